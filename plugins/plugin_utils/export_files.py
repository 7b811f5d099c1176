# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serialize exported content to the contents of files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .yaml_writer import to_yaml

if TYPE_CHECKING:
    from ..module_utils.grafana.files.exporting import ExportedFiles


def serialize(files: ExportedFiles) -> dict[str, str]:
    """Return the content of each file by its path."""
    return {path: _encode(form, content) for path, (form, content) in files.items()}


def _encode(form: str, content: Any) -> str:
    if form == "json":
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return to_yaml(content, width=120, explicit_start=True)
