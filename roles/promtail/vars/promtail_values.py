# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role promtail that depend on several variables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.filter.core import combine, flatten, to_bool

from ansible_collections.hippius.monitoring.plugins.filter.service_access import (
    service_access,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.transport import HTTPS

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.transport import (
        ClientConfig,
    )

# Promtail's own default for a batch.
DEFAULT_BATCH = 1048576
HOMES = ("/home", "/root", "/run/user")
Values = dict[str, Any]


def server_settings(role: Role) -> Values:
    """Return the settings of the server, with mutual TLS where other hosts reach Promtail."""
    uses_tls = role.fact("tls")["scheme"] == HTTPS
    return {
        **role.fact("server"),
        **(role.fact("tls_settings") if uses_tls else {}),
    }


def connection(role: Role) -> Values:
    """Return the connection to Loki; the certificate is for the inventory's Loki only."""
    tls: ClientConfig = {}
    if role.has("loki") and role.own("loki_url").startswith(
        role.ask("url", component="loki")
    ):
        tls = role.client("loki", "/etc/promtail")
    extra = role.own("client_extra")
    merged: Values = combine(role.fact("client"), tls, extra, recursive=True)
    return merged


def unsent(role: Role) -> int:
    """Return the bytes of a batch that a killed Promtail may not have sent."""
    if role.own("config_file"):
        return DEFAULT_BATCH
    size: int = {**role.fact("client"), **role.own("client_extra")}["batchsize"]
    return size


def scrape_configs(role: Role) -> list[Values]:
    """Return the scrape configurations of containers and of the user."""
    return [role.fact("docker"), *role.own("scrape_configs")]


def relabel_rules(role: Role) -> list[Values]:
    """Return the relabeling rules of containers."""
    return [*role.fact("relabel_configs"), *role.own("relabel_configs")]


def stages(role: Role) -> list[Values]:
    """Return the pipeline stages of containers.

    Docker keeps the newline of a line, so that "error$" would match nothing.
    """
    trimmed = '{{ TrimSuffix .Value "\\n" }}'
    return [
        {"docker": {}},
        {"template": {"source": "output", "template": trimmed}},
        {"output": {"source": "output"}},
        *role.own("pipeline_stages"),
        {"labeldrop": ["filename"]},
    ]


def command(role: Role) -> list[str]:
    """Return the program with all flags.

    A file of the user's own leaves the address of gRPC, which cannot be disabled, to a flag.
    """
    own = ["-server.grpc-listen-address=127.0.0.1"] if role.own("config_file") else []
    return [*role.fact("program"), *own, *role.fact("flags")]


def check(role: Role) -> list[str]:
    """Return the checker with all flags."""
    return [*role.fact("checker"), *role.fact("flags")]


def label_flags(role: Role) -> str:
    """Return the flags of the container labels that relabeling rules may use."""
    return " ".join(f"--label={name}" for name in role.strings("container_labels"))


def has_docker_socket(role: Role) -> bool:
    """Return whether Promtail may ask Docker."""
    return bool(to_bool(role.own("docker_socket")))


def service(role: Role) -> Values:
    """Return the directives of the service with its environment and groups."""
    groups = flatten(
        [["docker"] if has_docker_socket(role) else [], role.own("groups")]
    )
    return service_access(role.fact("service"), role.own("environment"), groups)


def visible(role: Role) -> list[str]:
    """Return the paths that the unit shows."""
    return [*role.fact("visible"), *role.strings("read_paths")]


def shown(role: Role) -> list[str]:
    """Return the paths that the units show of the directories that they hide."""
    paths = [*role.strings("read_paths"), role.fact("logs")]
    if has_docker_socket(role):
        paths.append("/run/docker.sock")
    return [path.rstrip("/") for path in paths]


def hidden(role: Role) -> list[str]:
    """Return the directories that the units hide.

    An inaccessible directory can show nothing, so that one with a shown path is emptied instead.
    """
    paths = shown(role)
    return [
        f"-{directory}"
        for directory in role.fact("private")
        if directory not in paths and not has_below(directory, paths)
    ]


def emptied(role: Role) -> list[str]:
    """Return the directories that the units show empty but for the shown paths."""
    paths = shown(role)
    with_shown_paths = [
        f"{directory}:ro"
        for directory in role.fact("private")
        if directory not in paths and has_below(directory, paths)
    ]
    return ["/opt:ro", "/var:ro", *with_shown_paths]


def home(role: Role) -> str:
    """Return how much the units show of the home directories."""
    paths = shown(role)
    if any(directory in paths for directory in HOMES):
        return "read-only"
    has_paths = any(has_below(directory, paths) for directory in HOMES)
    return "tmpfs" if has_paths else "yes"


def has_below(directory: str, paths: list[str]) -> bool:
    """Return whether a path is below a directory."""
    return any(path.startswith(f"{directory}/") for path in paths)


VALUES = {
    "server_settings": server_settings,
    "connection": connection,
    "unsent": unsent,
    "all_scrape_configs": scrape_configs,
    "relabel_rules": relabel_rules,
    "stages": stages,
    "command": command,
    "check": check,
    "label_flags": label_flags,
    "guarded_service": service,
    "all_visible": visible,
    "hidden": hidden,
    "emptied": emptied,
    "home": home,
}
