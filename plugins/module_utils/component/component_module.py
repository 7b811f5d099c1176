# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one place where the engine's modules end."""

from __future__ import annotations

import os
from typing import Any, Callable

from .component_errors import ComponentError
from .release_store import ArchiveWanted


def run(module: Any, act: Callable[[dict, bool], dict]) -> None:
    """Run ``act`` with an AnsibleModule's parameters, and exit with its values or with one clear error."""
    if os.geteuid() != 0:
        module.fail_json(msg="This needs root on the host: set become: true.")
    try:
        values = act(module.params, module.check_mode)
    except ArchiveWanted as desired:
        values = {"changed": False, "archive_wanted": desired.architecture}
    except ComponentError as error:
        module.fail_json(
            msg=str(error), rolled_back=list(error.rolled_back), notices=list(error.notices)
        )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        module.fail_json(msg=f"{where}{error.strerror or error}", rolled_back=[])
    module.exit_json(**values)
