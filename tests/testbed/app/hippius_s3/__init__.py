# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample application: an object store with an S3-style API, three workers behind a queue, and real telemetry."""
