# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role node_exporter that depend on several variables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.filter.core import combine, to_json

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )

Values = dict[str, Any]


def command(role: Role) -> list[str]:
    """Return the program with all flags."""
    enabled = role.strings("collectors_enabled")
    disabled = role.strings("collectors_disabled")
    return [
        *role.fact("program"),
        *(f"--collector.{name}" for name in enabled),
        *(f"--no-collector.{name}" for name in disabled),
        *role.fact("flags"),
    ]


def check(role: Role) -> list[str]:
    """Return the checker; it validates its flags before it prints its version."""
    return [*command(role), "--version"]


def config(role: Role) -> Values:
    """Return the web configuration, which the settings of the user are merged over."""
    web: Values = role.fact("tls")["web"]
    return web


def settings(role: Role) -> Values:
    """Return the web configuration with the settings of the user."""
    extra = role.own("config_extra")
    merged: Values = combine(role.fact("config"), extra, recursive=True)
    return merged


def is_hidden(role: Role) -> bool:
    """Return whether the web configuration is secret, since it has the hash of a password."""
    return "basic_auth_users" in settings(role) and not role.own("config_file")


def config_files(role: Role) -> list[Values]:
    """Return all files of the configuration."""
    main = [] if is_hidden(role) else [role.fact("main_file")]
    return [*main, *role.fact("tls")["config"]]


def secret_files(role: Role) -> Values:
    """Return all secret files."""
    web = {"web.yml": to_json(settings(role))} if is_hidden(role) else {}
    return {**role.fact("tls")["secrets"], **web}


def containers(role: Role) -> str:
    """Return Docker's directory of containers; empty without Docker."""
    root = role.own("docker_root")
    return f"{root}/containers" if root else ""


def container_flag(role: Role) -> str:
    """Return the flag of the script that reads the containers; empty without Docker."""
    directory = containers(role)
    return f"--containers={directory}" if directory else ""


def container_paths(role: Role) -> list[str]:
    """Return what the script sees of /var."""
    directory = containers(role)
    return [f"-{directory}"] if directory else []


VALUES = {
    "command": command,
    "check": check,
    "config": config,
    "config_files": config_files,
    "secret_files": secret_files,
    "container_flag": container_flag,
    "container_paths": container_paths,
}
