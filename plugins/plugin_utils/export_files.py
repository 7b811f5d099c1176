# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Exported content as the text of files."""

from __future__ import annotations

import json

import yaml

from .yaml_documents import Loader


class Dumper(yaml.SafeDumper):
    """Quotes what either Go's YAML or that of Python would not take for a text."""

    def ignore_aliases(self, data: object) -> bool:
        """Write the same value twice rather than a reference to it."""
        return True


Dumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
        *Loader.yaml_implicit_resolvers.get(first, []),
    ]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
}


def _represented(dumper: Dumper, text: str) -> yaml.Node:
    """Lines as lines; what YAML takes for the end of a line beside that is escaped, since it would not stay."""
    style = '"' if set(text) & set("\r\x85\u2028\u2029") else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _represented)


def rendered(files: dict) -> dict:
    """Path -> text of a map of path -> (form, content)."""
    return {path: _text(form, content) for path, (form, content) in files.items()}


def _text(form: str, content: object) -> str:
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
