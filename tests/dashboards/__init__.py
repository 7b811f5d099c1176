# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of the roles as data, from which their JSON is generated.

`python3 -m tests.dashboards` writes `roles/<role>/files/dashboards/<name>.json`. Change a
dashboard in `boards/`, run the command, and commit both; a test compares them.
"""
