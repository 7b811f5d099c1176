# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample application: an S3-style object store, three workers behind queues, real telemetry."""
