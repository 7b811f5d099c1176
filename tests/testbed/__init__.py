# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed: real servers in upstream archive layouts, systemd hosts and a sample application.

`python3 -m tests.testbed --help`, from the root of the checkout, lists what it can do. Everything that it makes lies in
the cache directory or in Docker under the label of `tests.testbed.docker.LABEL`, and `all-down` removes the latter.
"""
