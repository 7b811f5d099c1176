# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a configuration makes its program open, read, write and send to. Pure.

Facts that a file does not state clearly are left out: the host compares what the program does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ..module_utils.grafana.files.documents import Steps


# A value that the program computes when it starts.
EXPANDED = "$"
# Variables of the collector: ${env:NAME} or ${NAME}, without a default, and not escaped.
COLLECTOR_VARIABLE = re.compile(r"(?<!\$)\$\{(?:env:)?([A-Za-z_]\w*)\}")
# Keys whose values have references of their own.
EXPRESSIONS = ("replacement", "expression", "template", "source", "replace")
# Variables of Loki, Tempo and Promtail. In other places ${1} and ${name} belong to expressions.
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]{2,})\}")
HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[\w.-]*):(\d+)\Z")
LISTEN_FLAG = re.compile(r"(--?[\w.-]*listen-address)=(\S*:\d+)\Z")
GLOB = re.compile(r"[*?\[{]")
# Receivers and extensions of the collector that accept connections at their endpoint. That of
# others may be a server to ask, unless it stands for every address.
SERVERS = frozenset(
    (
        "awsfirehose",
        "awsxray",
        "carbon",
        "cloudflare",
        "collectd",
        "datadog",
        "faro",
        "fluentforward",
        "health_check",
        "healthcheckv2",
        "http_forwarder",
        "influxdb",
        "jaeger",
        "jaegerremotesampling",
        "libhoney",
        "loki",
        "netflow",
        "opencensus",
        "otlp",
        "pprof",
        "prometheus_remote_write",
        "prometheusremotewrite",
        "sapm",
        "signalfx",
        "skywalking",
        "splunk_hec",
        "statsd",
        "syslog",
        "tcplog",
        "udplog",
        "wavefront",
        "webhookevent",
        "zipkin",
        "zpages",
    )
)
ENDPOINT_KEYS = ("endpoint", "listen_address")
# Parts of the collector with a default endpoint, and that of each protocol of OTLP.
DEFAULT_ENDPOINTS = {
    "health_check": "localhost:13133",
    "pprof": "localhost:1777",
    "zpages": "localhost:55679",
    "zipkin": "localhost:9411",
}
OTLP = {"grpc": "localhost:4317", "http": "localhost:4318"}
DEFAULT_TELEMETRY = "localhost:8888"
# Keys of the directories in which Loki and Tempo keep data.
DATA_KEYS = re.compile(
    r"path|path_prefix|dir|directory|rule_path|cache_location|local_work_path"
    r"|(?:chunks|working|active_index)_directory|shutdown_marker_dir"
)
DEFAULT_POSITIONS = "/var/log/positions.yaml"
DEFAULT_JOURNAL = "/var/log/journal"
DEFAULT_STORAGE = "/var/lib/otelcol/file_storage"


class Listener(NamedTuple):
    """An address that a file opens; an empty host stands for every one."""

    steps: Steps
    host: str
    port: str
    uses_tls: bool


class Found(NamedTuple):
    """A value in a file, such as a path."""

    steps: Steps
    value: str


@dataclass
class Facts:
    """What a configuration makes its program do.

    ``is_complete`` says whether all of its listeners are known. ``data`` are paths to write,
    ``read`` patterns of files to read, ``sockets`` those of Docker. ``clients`` are host:port to
    send to, and ``storage`` those without which the program does not start.
    """

    listeners: list[Listener] = field(default_factory=list)
    is_complete: bool = True
    data: list[Found] = field(default_factory=list)
    read: list[Found] = field(default_factory=list)
    sockets: list[Found] = field(default_factory=list)
    clients: list[Found] = field(default_factory=list)
    storage: list[Found] = field(default_factory=list)
    variables: list[Found] = field(default_factory=list)
    discovered: list[Found] = field(default_factory=list)


def facts_of(
    role: str,
    content: Any,
) -> Facts:
    """Return the facts of a role's configuration; none for a role or a file without a reader."""
    facts = Facts()
    reader = READERS.get(role)
    if reader and isinstance(content, dict):
        reader(content, facts)
    return facts


def facts_of_flags(flags: list[str]) -> Facts:
    """Return the listeners that flags of a program open."""
    facts = Facts()
    for flag in flags:
        match = LISTEN_FLAG.match(flag)
        if match:
            _listen(
                match[2],
                (match[1],),
                facts,
                # The host finds out whether a listed address uses it.
                True,
            )
    return facts


def static_directory(pattern: str) -> str:
    """Return the deepest directory of a pattern of files that has no wildcard."""
    return GLOB.split(pattern, maxsplit=1)[0].rpartition("/")[0] or "/"


def _loki(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    _servers(content, facts, {"http": "3100", "grpc": "9095"})
    _internal_server(content, facts)
    _memberlist(content, facts)
    _data_directories(content, facts)
    _buckets(content, facts)
    _variables(content, facts, VARIABLE)


def _tempo(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    _servers(content, facts, {"http": "3200", "grpc": "9095"})
    _internal_server(content, facts)
    _memberlist(content, facts)
    receivers = _get(content, "distributor", "receivers")
    for name, settings in _items(receivers):
        steps = ("distributor", "receivers", name)
        # The host of a default endpoint depends on the version.
        _endpoints(
            name,
            settings,
            steps,
            facts,
            {},
        )
        if "endpoint" not in str(settings):
            facts.is_complete = False
    _data_directories(content, facts)
    _buckets(content, facts)
    _variables(content, facts, VARIABLE)


def _promtail(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    # The addresses of its own server are flags.
    facts.is_complete = False
    positions = _get(content, "positions", "filename") or DEFAULT_POSITIONS
    facts.data.append(
        Found(("positions", "filename"), str(positions)),
    )
    for index, client in enumerate(_list(content.get("clients"))):
        _client(client, ("clients", index), facts)
    _client(content.get("client"), ("client",), facts)
    for index, job in enumerate(_list(content.get("scrape_configs"))):
        _scrape_config(job, ("scrape_configs", index), facts)
    _variables(content, facts, VARIABLE)


def _client(
    client: Any,
    steps: Steps,
    facts: Facts,
) -> None:
    url = _get(client, "url")
    if isinstance(url, str):
        _url(
            url,
            (*steps, "url"),
            facts.clients,
        )


def _scrape_config(
    job: Any,
    steps: Steps,
    facts: Facts,
) -> None:
    for index, group in enumerate(_list(_get(job, "static_configs"))):
        path = _get(group, "labels", "__path__")
        if isinstance(path, str) and path.startswith("/") and EXPANDED not in path:
            place = ("static_configs", index, "labels", "__path__")
            facts.read.append(
                Found((*steps, *place), path),
            )
    for index, discovery in enumerate(_list(_get(job, "docker_sd_configs"))):
        host = str(_get(discovery, "host") or "unix:///var/run/docker.sock")
        if host.startswith("unix://"):
            host_steps = (*steps, "docker_sd_configs", index, "host")
            facts.sockets.append(
                Found(host_steps, host.removeprefix("unix://")),
            )
    journal = _get(job, "journal")
    if isinstance(journal, dict):
        path = str(journal.get("path") or DEFAULT_JOURNAL)
        facts.read.append(
            Found((*steps, "journal"), f"{path}/*"),
        )
    for kind in ("syslog", "gelf"):
        settings = _get(job, kind)
        if isinstance(settings, dict):
            uses_tls = bool(settings.get("tls_config"))
            address = settings.get("listen_address") or ":12201"
            address_steps = (*steps, kind, "listen_address")
            _listen(
                str(address),
                address_steps,
                facts,
                uses_tls,
            )
    for kind in ("loki_push_api", "heroku_drain", "gcplog"):
        server = _get(job, kind, "server")
        if isinstance(server, dict):
            _server(server, "http", "80", (*steps, kind, "server"), facts)


def _otel_collector(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    service = content.get("service")
    pipelines = dict(_items(_get(service, "pipelines")))
    used = {
        section: [
            name for one in pipelines.values() for name in _list(_get(one, section))
        ]
        for section in ("receivers", "exporters")
    }
    used["extensions"] = _list(_get(service, "extensions"))
    used["connectors"] = used["receivers"]
    for section, names in used.items():
        for name, settings in _items(content.get(section)):
            if name in names:
                _collector_part(section, name, settings, facts)
    _telemetry(service, facts)
    _variables(content, facts, COLLECTOR_VARIABLE)


def _collector_part(
    section: str,
    name: str,
    settings: Any,
    facts: Facts,
) -> None:
    """Add the facts of a receiver, an exporter or an extension that is used."""
    kind = str(name).partition("/")[0]
    steps = (section, name)
    if section == "exporters" and kind != "prometheus":
        if kind == "file" and isinstance(_get(settings, "path"), str):
            facts.data.append(
                Found((*steps, "path"), settings["path"]),
            )
        endpoint = _get(settings, "endpoint")
        if isinstance(endpoint, str):
            _url(
                endpoint,
                (*steps, "endpoint"),
                facts.clients,
            )
        return
    is_server = kind in SERVERS or (kind == "prometheus" and section == "exporters")
    defaults = OTLP if kind == "otlp" else {}
    _endpoints(
        kind if is_server else "",
        settings,
        steps,
        facts,
        defaults,
    )
    if is_server and not any(one.steps[:2] == steps for one in facts.listeners):
        _listen(
            DEFAULT_ENDPOINTS.get(kind, ""),
            steps,
            facts,
            False,
        )
    if kind == "file_storage":
        directory = str(_get(settings, "directory") or DEFAULT_STORAGE)
        facts.data.append(
            Found((*steps, "directory"), directory),
        )
    if kind == "filelog":
        for index, pattern in enumerate(_list(_get(settings, "include"))):
            if str(pattern).startswith("/"):
                facts.read.append(
                    Found((*steps, "include", index), str(pattern)),
                )


def _endpoints(
    kind: str,
    settings: Any,
    steps: Steps,
    facts: Facts,
    defaults: dict[str, str],
) -> None:
    """Add the listeners of a part of the collector; an empty ``kind`` may be a client."""
    for protocol, options in _items(_get(settings, "protocols")):
        if not _get(options, "endpoint") and protocol in defaults:
            _listen(
                defaults[protocol],
                (*steps, "protocols", protocol),
                facts,
                False,
            )
    for path, value in _walk(settings, steps):
        is_endpoint = path[-1] in ENDPOINT_KEYS and isinstance(value, str)
        if not is_endpoint:
            continue
        parent = _get(settings, *path[len(steps) : -1]) or {}
        uses_tls = bool(parent.get("tls"))
        match = HOST_PORT.match(value)
        if kind or (match and match[1] in ("", "0.0.0.0", "[::]")):
            _listen(
                value,
                path,
                facts,
                uses_tls,
            )


def _telemetry(
    service: Any,
    facts: Facts,
) -> None:
    """Add the page of the collector's own metrics."""
    metrics = _get(service, "telemetry", "metrics") or {}
    steps: Steps = ("service", "telemetry", "metrics")
    if not isinstance(metrics, dict) or metrics.get("level") == "none":
        return
    if isinstance(metrics.get("address"), str):
        _listen(
            metrics["address"],
            (*steps, "address"),
            facts,
            False,
        )
    readers = metrics.get("readers")
    if readers is None and "address" not in metrics:
        _listen(
            DEFAULT_TELEMETRY,
            steps,
            facts,
            False,
        )
    for index, reader in enumerate(_list(readers)):
        page = _get(reader, "pull", "exporter", "prometheus")
        if isinstance(page, dict):
            address = f"{page.get('host', 'localhost')}:{page.get('port', 8888)}"
            place = (*steps, "readers", index, "pull", "exporter", "prometheus")
            _listen(
                address,
                place,
                facts,
                False,
            )


def _prometheus(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    for index, job in enumerate(_list(content.get("scrape_configs"))):
        for number, discovery in enumerate(_list(_get(job, "file_sd_configs"))):
            for place, path in enumerate(_list(_get(discovery, "files"))):
                steps = (
                    "scrape_configs",
                    index,
                    "file_sd_configs",
                    number,
                    "files",
                    place,
                )
                facts.discovered.append(
                    Found(steps, str(path)),
                )


READERS: dict[str, Callable[[dict[str, Any], Facts], None]] = {
    "loki": _loki,
    "tempo": _tempo,
    "promtail": _promtail,
    "otel_collector": _otel_collector,
    "prometheus": _prometheus,
}


def _servers(
    content: dict[str, Any],
    facts: Facts,
    ports: dict[str, str],
) -> None:
    """Add the listeners of the section ``server`` that Loki, Tempo and Promtail share."""
    server = content.get("server")
    for protocol, port in ports.items():
        settings = server if isinstance(server, dict) else {}
        _server(settings, protocol, port, ("server",), facts)


def _internal_server(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    server = content.get("internal_server")
    if _get(server, "enable"):
        _server(server, "http", "3101", ("internal_server",), facts)


def _server(
    server: Any,
    protocol: str,
    default_port: str,
    steps: Steps,
    facts: Facts,
) -> None:
    host = str(server.get(f"{protocol}_listen_address") or "")
    port = str(server.get(f"{protocol}_listen_port", default_port))
    key = f"{protocol}_listen_address" if host else f"{protocol}_listen_port"
    uses_tls = bool(server.get(f"{protocol}_tls_config"))
    bracketed = f"[{host.strip('[]')}]" if ":" in host else host
    _listen(
        f"{bracketed}:{port}",
        (*steps, key),
        facts,
        uses_tls,
    )


def _memberlist(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    """Add the listener of a cluster, which exists if anything uses it."""
    members = content.get("memberlist")
    stores = [value for steps, value in _walk(content, ()) if steps[-1] == "store"]
    if "memberlist" not in stores and not _get(members, "join_members"):
        return
    port = str(_get(members, "bind_port") or 7946)
    uses_tls = bool(_get(members, "tls_enabled"))
    for host in _list(_get(members, "bind_addr")) or [""]:
        _listen(
            f"{host}:{port}",
            ("memberlist", "bind_addr"),
            facts,
            uses_tls,
        )


def _data_directories(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    for steps, value in _walk(content, ()):
        is_path = isinstance(value, str) and value.startswith("/")
        # Rules are read only.
        is_rules = any("rule" in str(step) for step in steps[:-1])
        if is_path and not is_rules and DATA_KEYS.fullmatch(str(steps[-1])):
            facts.data.append(
                Found(steps, str(value)),
            )


def _buckets(
    content: dict[str, Any],
    facts: Facts,
) -> None:
    """Add the servers of object stores."""
    for steps, value in _walk(content, ()):
        is_bucket = "s3" in steps or "aws" in steps
        if is_bucket and steps[-1] == "endpoint" and isinstance(value, str):
            _url(
                value,
                steps,
                facts.storage,
            )


def _variables(
    content: Any,
    facts: Facts,
    pattern: re.Pattern[str],
) -> None:
    for steps, value in _walk(content, ()):
        if isinstance(value, str) and steps[-1] not in EXPRESSIONS:
            facts.variables += [Found(steps, name) for name in pattern.findall(value)]


def _listen(
    address: str,
    steps: Steps,
    facts: Facts,
    uses_tls: bool,
) -> None:
    match = HOST_PORT.match(address)
    host = match[1].strip("[]") if match else ""
    is_name = bool(re.search(r"[A-Za-z]", host)) and ":" not in host
    if not match or (is_name and host != "localhost"):
        facts.is_complete = False
        return
    host = "" if host in ("0.0.0.0", "::") else host
    facts.listeners.append(Listener(steps, host, match[2], uses_tls))


def _url(
    url: str,
    steps: Steps,
    found: list[Found],
) -> None:
    """Add host:port of a URL or an address, unless the program computes it."""
    if EXPANDED in url:
        return
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = parts.port or {"http": 80, "": 0}.get(parts.scheme, 443)
    except ValueError:
        return
    if parts.hostname:
        found.append(Found(steps, f"{parts.hostname}:{port}"))


def _walk(
    value: Any,
    steps: Steps,
) -> Iterator[tuple[Steps, Any]]:
    """Yield each scalar of a value with the steps that lead to it."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _walk(part, (*steps, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _walk(part, (*steps, index))
    elif steps:
        yield steps, value


def _get(
    value: Any,
    *steps: str | int,
) -> Any:
    """Return a part of a value, None where there is none."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        else:
            return None
    return value


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
