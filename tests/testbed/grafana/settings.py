# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's configuration: defaults.ini, `--config`, `GF_<SECTION>_<KEY>`, then references."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

NO_DEFAULTS = (
    "could not find config defaults, make sure homepath command line parameter is set"
    " or working directory is homepath"
)
# Sections with keys of the user's own.
FREE_SECTIONS = (
    "feature_toggles",
    "environment_variables",
    "plugin.",
    "auth.",
    "unified_alerting.",
    "log.",
)
EXPANDED = re.compile(r"\$__(file|env)\{([^}]*)\}|\$\{([^}]+)\}")
REFERENCE = re.compile(r"%\(([^)]+)\)s")


class SettingsError(Exception):
    """An invalid configuration, with which the server does not start."""


class Settings:
    """The effective values; `get(section, key)` is a string."""

    def __init__(self, values: dict[str, dict[str, str]], home: Path) -> None:
        self.values, self.home = values, home

    def get(self, section: str, key: str) -> str:
        """Return a value, or the empty string."""
        return self.values.get(section, {}).get(key, "")

    def flag(self, section: str, key: str) -> bool:
        """Return a value as a boolean, as Go's ini library reads it."""
        return self.get(section, key).lower() in ("1", "t", "true", "y", "yes", "on")

    def path(self, section: str, key: str, base: Path | None = None) -> Path:
        """Return a path, relative to the home directory or to `base`."""
        return (base or self.home) / self.get(section, key)


def read(
    home: Path, config: Path | None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """Read all sources.

    Raises SettingsError, also for an unknown key, which the real server ignores.
    """
    defaults = home / "conf" / "defaults.ini"
    if not defaults.is_file():
        raise SettingsError(NO_DEFAULTS)
    values = parse(defaults.read_text(encoding="utf-8"), defaults)
    if config is None:
        config = home / "conf" / "custom.ini"
    elif not config.is_file():
        raise SettingsError(
            f"failed to parse {config}: open {config}: no such file or directory"
        )
    if config.is_file():
        merge(values, parse(config.read_text(encoding="utf-8"), config), config)
    for section, keys in values.items():
        for key in keys:
            name = (
                "GF_"
                + re.sub(
                    r"[.-]",
                    "_",
                    f"{section}_{key}" if section != "DEFAULT" else f"default_{key}",
                ).upper()
            )
            if environment.get(name):
                keys[key] = environment[name]
    for section, keys in values.items():
        for key, value in keys.items():
            keys[key] = expand(
                resolve(values, section, value), environment, f"[{section}] {key}"
            )
    return Settings(values, home)


def merge(
    values: dict[str, dict[str, str]], own: dict[str, dict[str, str]], config: Path
) -> None:
    """Merge the user's values over the defaults."""
    for section, keys in own.items():
        free = section.startswith(FREE_SECTIONS)
        unknown = [
            key for key in keys if not free and key not in values.get(section, {})
        ]
        if unknown:
            raise SettingsError(
                f"{config}: this fake supports no {unknown[0]} in [{section}]"
            )
        # An empty value keeps the default.
        values.setdefault(section, {}).update(
            {key: value for key, value in keys.items() if value}
        )


def parse(text: str, file: Path) -> dict[str, dict[str, str]]:
    """Return the sections of an ini file."""
    sections: dict[str, dict[str, str]] = {}
    section = "DEFAULT"
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip()
            sections.setdefault(section, {})
            continue
        key, separator, value = line.partition("=")
        if not separator:
            raise SettingsError(
                f"failed to parse {file}: line {number}: key-value delimiter not found: {line}"
            )
        sections.setdefault(section, {})[key.strip()] = plain(value.strip())
    return sections


def plain(value: str) -> str:
    """Return a value without quotes and comments.

    Outside of quotes # and ; start a comment anywhere.
    """
    for quote in ("`", '"""'):
        if value.startswith(quote) and value.rfind(quote) >= len(quote):
            return value[len(quote) : value.rfind(quote)]
    value = re.split(r"[#;]", value, maxsplit=1)[0].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def resolve(values: dict[str, dict[str, str]], section: str, value: str) -> str:
    """Replace %(key)s by another value of the section."""
    for _depth in range(9):
        reference = REFERENCE.search(value)
        if reference is None or reference.group(1) not in values[section]:
            break
        value = value.replace(reference.group(0), values[section][reference.group(1)])
    return value


def expand(value: str, environment: Mapping[str, str], where: str) -> str:
    """Replace `$__file{path}`, `$__env{NAME}` and `${NAME}`."""

    def replacement(match: re.Match[str]) -> str:
        kind, name, variable = match.groups()
        if kind != "file":
            return environment.get(name if kind else variable, "")
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"{where}: got error while expanding {name} with expander file: {error}"
            ) from error

    return EXPANDED.sub(replacement, value)
