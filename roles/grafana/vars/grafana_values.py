# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role grafana that depend on several variables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.filter.core import combine, to_bool

from ansible_collections.hippius.monitoring.plugins.filter.grafana_ini import (
    grafana_ini,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.transport import HTTPS

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )

TLS = "/etc/grafana/tls"
NO_PASSWORD = (
    "grafana_admin_password is empty; set it, from a vault or the environment."
)
NO_KEY = "grafana_secret_key is empty; set it to a long random string, from a vault."
Values = dict[str, Any]


def certificate(role: Role) -> str | None:
    """Return the path of the certificate, if Grafana uses TLS."""
    return f"{TLS}/certificate.pem" if uses_tls(role) else None


def key(role: Role) -> str | None:
    """Return the path of the certificate's key, if Grafana uses TLS."""
    return f"{TLS}/key.pem" if uses_tls(role) else None


def uses_tls(role: Role) -> bool:
    """Return whether other hosts reach Grafana, without client certificates: users log in."""
    return bool(role.fact("tls")["scheme"] == HTTPS)


def port(role: Role) -> str:
    """Return the port as Grafana's configuration has it."""
    return str(role.fact("http")["port"])


def domain(role: Role) -> str:
    """Return the host of the URL in the browser."""
    return urlsplit(role.own("url")).hostname or ""


def database(role: Role) -> Values:
    """Return the settings of the database with a reference to its password."""
    password = role.fact("database_password_file")
    return {**role.own("database"), **({"password": password} if password else {})}


def database_password_file(role: Role) -> str | None:
    """Return the reference to the password of the database, if there is one."""
    has_password = role.own("database_password")
    return "$__file{/etc/grafana/database-password}" if has_password else None


def over_tls(role: Role) -> bool:
    """Return whether browsers use TLS."""
    url: str = role.own("url") or role.fact("tls")["scheme"] + "://"
    return url.startswith("https://")


def same_site(role: Role) -> str:
    """Return the protection of cookies; without TLS "strict" would protect nothing."""
    return "strict" if over_tls(role) else "lax"


def allowed_hosts(role: Role) -> str:
    """Return the allowed addresses of data sources."""
    return " ".join(map(str, role.strings("data_source_hosts")))


def home_page(role: Role) -> str:
    """Return the page after a login, a dashboard that Prometheus brings.

    Grafana's own is a tutorial.
    """
    brings_content = to_bool(role.get("grafana_content_from_components", True))
    return "/d/hippius-stack" if role.has("prometheus") and brings_content else ""


def metrics_username(role: Role) -> str | None:
    """Return the login that protects the metrics, if there is one."""
    username: str | None = role.fact("tls")["probe_auth"].get("username")
    return username


def metrics_password(role: Role) -> str | None:
    """Return the reference to the password that protects the metrics, if there is one."""
    path = role.fact("tls")["probe_auth"].get("password_file")
    return f"$__file{{/etc/grafana/{path}}}" if path else None


def ini(role: Role) -> str:
    """Return the content of the main file."""
    if role.own("config_file"):
        return ""
    extra = role.own("config_extra")
    return grafana_ini(combine(role.fact("sections"), extra, recursive=True))


def environment_of_own_file(role: Role) -> Values:
    """Return what a user's own file has to obey; Grafana reads each setting from a variable too."""
    return role.fact("environment_settings") if role.own("config_file") else {}


def admin_password_file(role: Role) -> str | None:
    """Return the reference to the administrator's password, if it is set."""
    security = role.fact("sections")["security"]
    return security["admin_password"] if role.own("admin_password") else None


def secret_key_file(role: Role) -> str | None:
    """Return the reference to the secret key, if it is set."""
    security = role.fact("sections")["security"]
    return security["secret_key"] if role.own("secret_key") else None


def secret_files(role: Role) -> Values:
    """Return all secret files.

    The generated configuration requires both secrets; a user's own file may not.
    """
    has_own_file = bool(role.own("config_file"))
    files = dict(role.own("secrets"))
    for path, name, problem in (
        ("admin-password", "admin_password", NO_PASSWORD),
        ("secret-key", "secret_key", NO_KEY),
        ("database-password", "database_password", ""),
    ):
        secret = role.own(name)
        if secret:
            files[path] = secret
        elif problem and not has_own_file:
            raise AnsibleUndefinedVariable(problem)
    return {**files, **role.fact("tls")["secrets"]}


def config_files(role: Role) -> list[Values]:
    """Return all files of the configuration."""
    return [role.fact("main_file"), *role.fact("tls")["config"]]


def prepare(role: Role) -> list[str]:
    """Return the program that runs before each start, and as the checker."""
    settings = role.own("database")
    is_file = settings["type"] == "sqlite3"
    path = settings.get("path", "grafana.db") if is_file else ""
    return [*role.fact("prepare_program"), f"--database={path}"]


def prepare_command(role: Role) -> str:
    """Return the program that runs before each start as one line."""
    return " ".join(prepare(role)) + " --release={release}"


def check(role: Role) -> list[str]:
    """Return the checker."""
    accepts = to_bool(role.own("accept_secret_key"))
    return [
        *prepare(role),
        "--check",
        *(["--accept-secret-key"] if accepts else []),
    ]


def ready(role: Role) -> Values:
    """Return the probe.

    A login verifies that Grafana uses a new password. Without a password the health page must do.
    """
    has_password = role.own("admin_password")
    return {
        "url": base_url(role) + ("/api/org" if has_password else "/api/health"),
        "timeout": 300,
        **role.fact("tls")["probe_auth"],
        **(role.fact("login") if has_password else {}),
        **role.fact("peers"),
    }


def base_url(role: Role) -> str:
    """Return the URL by which this host reaches Grafana's API."""
    extra = role.own("config_extra").get("server") or {}
    server = {**role.fact("sections")["server"], **extra}
    has_path = to_bool(server.get("serve_from_sub_path", False))
    path = urlsplit(role.own("url")).path.removesuffix("/") if has_path else ""
    scheme = server.get("protocol", "http")
    return f"{scheme}://{role.own('listen_address')}{path}"


VALUES = {
    "certificate": certificate,
    "key": key,
    "port": port,
    "domain": domain,
    "database": database,
    "database_password_file": database_password_file,
    "over_tls": over_tls,
    "same_site": same_site,
    "allowed_hosts": allowed_hosts,
    "home_page": home_page,
    "metrics_username": metrics_username,
    "metrics_password": metrics_password,
    "ini": ini,
    "environment_of_own_file": environment_of_own_file,
    "admin_password_file": admin_password_file,
    "secret_key_file": secret_key_file,
    "secret_files": secret_files,
    "config_files": config_files,
    "prepare_command": prepare_command,
    "check": check,
    "ready": ready,
}
