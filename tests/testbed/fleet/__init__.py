# SPDX-License-Identifier: GPL-3.0-or-later
"""Data as a production of six hosts and two environments makes it, with faults in it.

`python3 -m tests.testbed.fleet DIRECTORY` writes `metrics.txt`, which
`promtool tsdb create-blocks-from openmetrics` makes blocks of, and `lines.txt`, each line of which
is a request that Loki takes. One host shows nothing of how a dashboard looks where it is needed.
"""
