# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values that most roles need, from the variables that most roles have. Pure.

For the role loki, `tls` is the variable `__loki_tls`, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.filter.core import combine

from ..filter.environment_file import environment_file
from ..filter.host_port import HostPort, host_port
from ..filter.service_access import service_access

if TYPE_CHECKING:
    from collections.abc import Callable

    from .role_variables import Role

Values = dict[str, Any]


def tls(role: Role) -> Values:
    """Return the settings for TLS of the role's listener."""
    return role.tls(role.own("listen_address"))


def credentials(role: Role) -> Values:
    """Return the settings for TLS of the component as a client of others."""
    return role.tls()


def http(role: Role) -> HostPort:
    """Return host and port of the role's listener."""
    return host_port(role.own("listen_address"))


def flags(role: Role) -> list[Any]:
    """Return the additional flags of a user."""
    return role.strings("flags")


def environment(role: Role) -> Values:
    """Return the secret file of the environment, if there is any."""
    return environment_file(role.own("environment"))


def guarded_service(role: Role) -> Values:
    """Return the role's directives of the service, with its environment."""
    return service_access(role.fact("service"), role.own("environment"))


def generated(role: Role) -> Any:
    """Return the content of the main file.

    With a file of the user's own, no lookup of the generated configuration runs.
    """
    if role.own("config_file"):
        return ""
    extra = role.own("config_extra")
    return combine(role.fact("config"), extra, recursive=True)


def config_files(role: Role) -> list[Values]:
    """Return the main file, and the certificate of a client."""
    return [role.fact("main_file"), *role.fact("credentials")["config"]]


def secret_files(role: Role) -> Values:
    """Return the secret files of the user, of a client and of the environment."""
    of_client = role.fact("credentials")["secrets"]
    return {**role.own("secrets"), **of_client, **role.fact("environment")}


def authenticated(name: str) -> Callable[[Role], Values]:
    """Return a function that adds certificate and login to the settings of a probe."""
    return lambda role: {**role.fact(name), **role.fact("tls")["probe_auth"]}


def peers(role: Role) -> Values:
    """Return the probes of the other hosts of the group, which stand in for each other.

    A host is stopped only while the others are ready.
    """
    if not role.has_several(role.role):
        return {}
    return {"peers": role.ask("peers", component=role.component)}


def ready_with_peers(role: Role) -> Values:
    """Return the settings of the probe with certificate, login and peers."""
    return {**authenticated("ready")(role), **peers(role)}


VALUES: dict[str, Callable[[Role], Any]] = {
    "tls": tls,
    "credentials": credentials,
    "http": http,
    "flags": flags,
    "environment": environment,
    "guarded_service": guarded_service,
    "config_files": config_files,
    "secret_files": secret_files,
    "generated": generated,
    "peers": peers,
    "ready_with_peers": ready_with_peers,
    "ready_with_login": authenticated("ready"),
    "reload_with_login": authenticated("reload"),
}
