# SPDX-License-Identifier: GPL-3.0-or-later
"""Install pip into an empty virtual environment from the copy that Python bundles.

ansible-test's own script for this is a download.
"""

from __future__ import annotations

import subprocess
import sys

if __name__ == "__main__":
    # The arguments are pip==<version> and options of get-pip.py that exclude other packages.
    packages = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    subprocess.run(
        [sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *packages], check=True
    )
