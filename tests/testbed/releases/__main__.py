# SPDX-License-Identifier: GPL-3.0-or-later
"""Build and publish release archives: `python3 -m tests.testbed.releases [NAME...]`.

Without a name it builds all of them.
"""

from __future__ import annotations

import sys

from tests.testbed.releases.build import BuildError, build_all


def main() -> int:
    """Print name and archive of each release that is now in the mirror's tree."""
    try:
        archives = build_all(sys.argv[1:] or None)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for name, archive in archives.items():
        print(f"{name} {archive}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
