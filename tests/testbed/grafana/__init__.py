# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake Grafana: its HTTP API for what this collection manages, stateful and strict, as 11, 12 or 13 answer.

It is a test program with nothing but the standard library, and no part of the collection. `server.FakeGrafana` runs it
within a test; packed as `bin/grafana` it is started by the role like the real one. What it refuses, fills in and
normalizes follows the recorded answers of a real server and the sources of Grafana; guesses are marked "assumed".
"""
