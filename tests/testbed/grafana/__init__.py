# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake Grafana: the HTTP API of 11, 12 or 13 for this collection's objects, stateful and strict.

It is a test program of the standard library alone, and no part of the collection.
`server.FakeGrafana` runs it in a test; packed as `bin/grafana` the role starts it like the real
one. Its rejections, defaults and normalizations follow the recorded answers of a real server and
the sources of Grafana; guesses are marked "assumed".
"""
