# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role alertmanager that depend on several variables. Pure."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.filter.core import to_json

from ansible_collections.hippius.monitoring.plugins.filter.alert_receivers import (
    alert_receivers,
)
from ansible_collections.hippius.monitoring.plugins.filter.mute_timings import (
    mute_timings,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.severities import (
    SEVERITIES,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.transport import HTTPS

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.catalog import (
        Member,
    )
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )

PLAIN_TEXT: dict[str, Any] = {"scheme": "http", "config": [], "secrets": {}}
NO_WEBHOOK = (
    "alertmanager_discord_webhook is empty; set it to the webhook URL of a channel, or set"
    " alertmanager_notify."
)
Values = dict[str, Any]


def heartbeat(role: Role) -> str:
    """Return the address that reports when the alert Watchdog ends; empty for none."""
    return str(role.get("monitoring_heartbeat_url", "") or "")


def mute(role: Role) -> Values:
    """Return the times without messages, and the routes that refer to them."""
    by_severity = {name: role.own(f"{name}_route") for name in SEVERITIES}
    return mute_timings(role.get("monitoring_mute_timings", []), by_severity)


def mention(role: Role) -> str:
    """Return what a critical alert adds to its message; a resolved one mentions nobody."""
    name = role.own("critical_mention")
    return f'{{{{ if eq .Status "firing" }}}}{name}{{{{ end }}}}' if name else ""


def severity_receivers(role: Role) -> list[Values]:
    """Return a receiver for each severity; none where nothing says whom to tell."""
    own = role.fact("discord") if role.own("discord_webhook") else {}
    return alert_receivers(own, role.own("notify"))


def names(role: Role) -> dict[str, str]:
    """Return the receiver of each severity.

    Without any, the first one of the user's own gets all alerts.
    """
    if role.fact("severity_receivers"):
        return {severity: severity for severity in SEVERITIES}
    own = role.own("receivers")
    return dict.fromkeys(SEVERITIES, own[0]["name"] if own else "")


def default_receiver(role: Role) -> str:
    """Return the receiver of alerts without a known severity."""
    return str(names(role)[role.own("default_severity")])


def group_by(role: Role) -> list[Any]:
    """Return the labels by which alerts are grouped."""
    return role.strings("group_by")


def routes(role: Role) -> list[Values]:
    """Return the routes of the heartbeat, of the user and of the severities.

    The last route has no matchers: it takes alerts without a known severity.
    """
    muted, known = mute(role)["routes"], names(role)
    by_severity = [
        {
            "matchers": [f'severity="{severity}"'],
            "receiver": known[severity],
            **muted[severity],
        }
        for severity in SEVERITIES
    ]
    default = role.own("default_severity")
    last = {"receiver": known[default], **muted[default]}
    first = role.fact("heartbeat_routes") if heartbeat(role) else []
    return [*first, *role.own("routes"), *by_severity, last]


def receivers(role: Role) -> list[Values]:
    """Return all receivers."""
    last = role.fact("heartbeat_receivers") if heartbeat(role) else []
    return [*role.fact("severity_receivers"), *role.own("receivers"), *last]


def timings(role: Role) -> list[Values]:
    """Return the times without messages."""
    declared: list[Values] = mute(role)["timings"]
    return declared


def template_files(role: Role) -> dict[str, str]:
    """Return the sources of the message templates by their paths, in the order of reading.

    The role's own is not found by its name alone: a file beside the inventory would come first.
    """
    own = f"{role['role_path']}/files/discord.tmpl"
    sources = [own, *role.strings("templates")]
    return {f"templates/{os.path.basename(source)}": source for source in sources}


def template_paths(role: Role) -> list[str]:
    """Return the paths that the configuration reads.

    Order matters: a later definition replaces an earlier one, and Alertmanager's own come first.
    """
    sources = ["discord.tmpl", *role.strings("templates")]
    return [
        f"/etc/alertmanager/templates/{os.path.basename(source)}" for source in sources
    ]


def members(role: Role) -> list[Member]:
    """Return the Alertmanagers of the group, which agree on who sends; one is none."""
    if not role.is_one_of_several("alertmanager"):
        return []
    return role.members("alertmanager", listener="cluster")


def cluster_address(role: Role) -> str:
    """Return the address of the cluster, for which Alertmanager requires an IP address."""
    address = str(role.own("cluster_listen_address"))
    return re.sub("^:", "0.0.0.0:", address) if members(role) else ""


def cluster_tls(role: Role) -> Values:
    """Return the settings for TLS of the cluster."""
    if not members(role):
        return PLAIN_TEXT
    return role.tls(role.own("cluster_listen_address"))


def cluster_file(role: Role) -> list[Values]:
    """Return the cluster's settings for mutual TLS, which is never by password."""
    if cluster_tls(role)["scheme"] != HTTPS:
        return []
    return [{"path": "cluster-tls.yml", "content": role.fact("cluster_tls_config")}]


def cluster_flags(role: Role) -> list[str]:
    """Return the flags by which the Alertmanagers of a group find each other."""
    group = members(role)
    own = [member for member in group if member["host"] == role.host]
    peers = [member for member in group if member["host"] != role.host]
    flags = [f"--cluster.advertise-address={member['advertised']}" for member in own]
    flags += [f"--cluster.peer={member['advertised']}" for member in peers]
    if cluster_file(role):
        flags.append("--cluster.tls-config={etc}/cluster-tls.yml")
    return flags


def webhook(role: Role) -> dict[str, str]:
    """Return the file with the webhook of Discord.

    The generated configuration needs a receiver; a user's own file may have another one.
    """
    url = role.own("discord_webhook")
    if url:
        return {"discord-webhook": url}
    if role.own("config_file") or role.own("notify") or role.own("receivers"):
        return {}
    raise AnsibleUndefinedVariable(NO_WEBHOOK)


def web(role: Role) -> dict[str, str]:
    """Return the web configuration, a secret file, since it may hold the hash of a password."""
    own = role.fact("tls")
    return {"web.yml": to_json(own["web"])} if own["scheme"] == HTTPS else {}


def command(role: Role) -> list[str]:
    """Return the program with all flags."""
    return [
        *role.fact("program"),
        *cluster_flags(role),
        *(["--web.config.file={etc}/web.yml"] if web(role) else []),
        *role.fact("flags"),
    ]


def config_files(role: Role) -> list[Values]:
    """Return all files of the configuration.

    The API may be on 127.0.0.1, without TLS, while the cluster uses it.
    """
    sources = template_files(role).items()
    templates = [{"path": path, "source": source} for path, source in sources]
    certificates = role.fact("tls")["config"] or cluster_tls(role)["config"]
    main = role.fact("main_file")
    return [main, *templates, *certificates, *cluster_file(role)]


def secret_files(role: Role) -> Values:
    """Return all secret files."""
    url = heartbeat(role)
    return {
        **role.own("secrets"),
        **webhook(role),
        **cluster_tls(role)["secrets"],
        **role.fact("tls")["secrets"],
        **web(role),
        **({"heartbeat-url": url} if url else {}),
    }


def listen_addresses(role: Role) -> list[str]:
    """Return the addresses of the API and of the cluster, if there is one."""
    cluster = [cluster_address(role)] if members(role) else []
    return [role.own("listen_address"), *cluster]


VALUES = {
    "mention": mention,
    "severity_receivers": severity_receivers,
    "default_receiver": default_receiver,
    "group_by": group_by,
    "routes": routes,
    "receivers": receivers,
    "timings": timings,
    "template_paths": template_paths,
    "cluster_address": cluster_address,
    "command": command,
    "config_files": config_files,
    "secret_files": secret_files,
    "listen_addresses": listen_addresses,
}
