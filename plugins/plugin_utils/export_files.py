# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serialize exported content to the contents of files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from .yaml_documents import Loader

if TYPE_CHECKING:
    from ..module_utils.grafana.files.exporting import ExportedFiles

# YAML ends a line at these, so that they would not survive in a block scalar.
_LINE_ENDS = frozenset("\r\x85\u2028\u2029")


class Dumper(yaml.SafeDumper):
    """Quote each string that Go's YAML or Python's would read as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat a value that occurs twice rather than write an alias."""
        return True


_PYTHON = yaml.SafeDumper.yaml_implicit_resolvers
_GO = Loader.yaml_implicit_resolvers
Dumper.yaml_implicit_resolvers = {
    first_character: [*_PYTHON.get(first_character, []), *_GO.get(first_character, [])]
    for first_character in {*_PYTHON, *_GO}
}


def _represent_string(dumper: Dumper, string: str) -> yaml.Node:
    """Represent lines as a block; quote and escape other line ends."""
    style = None
    if _LINE_ENDS & set(string):
        style = '"'
    elif "\n" in string:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", string, style=style)


Dumper.add_representer(str, _represent_string)


def serialize(files: ExportedFiles) -> dict[str, str]:
    """Return the content of each file by its path."""
    return {path: _encode(form, content) for path, (form, content) in files.items()}


def _encode(form: str, content: Any) -> str:
    if form == "json":
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return yaml.dump(
        content,
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=120,
        explicit_start=True,
        indent=2,
    )
