# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed: real servers in upstream archive layouts, systemd hosts and a sample application.

`python3 -m tests.testbed --help`, from the root of the checkout, lists its commands. Everything
that it creates is in the cache directory, or in Docker with the label
`tests.testbed.docker.LABEL`; `all-down` removes the latter.
"""

import sys
from pathlib import Path

# The collection of this checkout, whose download the demonstration uses.
sys.path.insert(0, str(Path(__file__).parents[2] / "collections"))
