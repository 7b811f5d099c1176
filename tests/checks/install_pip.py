# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs pip into an empty virtual environment from what Python brings: ansible-test's own script is a download."""

from __future__ import annotations

import subprocess
import sys

if __name__ == "__main__":
    # Its arguments are pip==<version> and options of get-pip.py that name what is not wanted.
    packages = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *packages], check=True)
