# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files of the user's own, judged before any host is contacted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.hippius.monitoring.plugins.action import inventory_check
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    inventory,
    own_files,
)

# Text files, so that linters leave them as their authors wrote them.
OWN_FILES = Path(__file__).parent / "own"
Check = Callable[..., inventory_check.Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check a host with one role and a file of the user's own."""
    monkeypatch.chdir(tmp_path)

    def run_check(
        role: str,
        content: str | bytes | None,
        environment: str = "prod",
        **variables: Any,
    ) -> inventory_check.Result:
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / "own.yml").write_bytes(data)
            variables[f"{role}_config_file"] = str(tmp_path / "own.yml")
        hosts = {"a": {"monitoring_environment": environment, **variables}}
        groups = {group: {"hosts": hosts} for group in (role, "monitoring")}
        Path("hosts.yml").write_text(yaml.safe_dump(groups), encoding="utf-8")
        loader = DataLoader()
        manager = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.yml")])
        variable_manager = VariableManager(loader=loader, inventory=manager)
        hostvars = HostVars(
            inventory=manager, variable_manager=variable_manager, loader=loader
        )
        whole = inventory.Inventory(loader, manager.get_groups_dict(), hostvars)
        return inventory_check.check_inventory(whole, ["a"])

    return run_check


def own(name: str) -> str:
    return (OWN_FILES / f"{name}.txt").read_text(encoding="utf-8")


def lines(result: inventory_check.Result) -> list[str]:
    return result.get("msg", "").splitlines()


def refused(result: inventory_check.Result, *starts: str) -> None:
    """Assert that there is one blocker with each of these beginnings."""
    messages = lines(result)
    assert len(messages) == len(starts), messages
    for start in starts:
        assert any(message.startswith(start) for message in messages), messages


LOKI_ADDRESSES = (
    "the inventory has 127.0.0.1:3100, 127.0.0.1:9096; set the inventory's address"
)


def test_a_loki_that_listens_on_every_address_is_refused(check: Check) -> None:
    result = check("loki", own("loki1"))
    start = "own.yml:2: server.{0}_listen_port (loki_config_file of a): listens on 0.0.0.0:{1}, so"
    refused(result, start.format("http", 3100), start.format("grpc", 9096))
    assert all(LOKI_ADDRESSES in message for message in lines(result))


def test_every_address_is_allowed_in_dev_or_where_the_inventory_says_so(
    check: Check,
) -> None:
    assert check("loki", own("loki1"), "dev") == {"changed": False}
    both = ["0.0.0.0:3100", "[::]:9096"]
    assert check("loki", own("loki1"), monitoring_open_addresses=both) == {
        "changed": False
    }


@pytest.mark.parametrize(
    "value", ["1514", ["0.0.0.0"], [1514], {"a": 1}, [["0.0.0.0:1"]]]
)
def test_an_open_address_is_an_address(check: Check, value: Any) -> None:
    (message,) = lines(check("node_exporter", None, monitoring_open_addresses=value))
    assert "monitoring_open_addresses of a: " in message
    assert "is not host:port" in message


def test_a_collector_that_listens_on_every_address_is_refused(check: Check) -> None:
    ports = {"otel_collector_metrics_address": "127.0.0.1:8888"}
    refused(
        check("otel_collector", own("otel1"), **ports),
        "own.yml:2: receivers.otlp.protocols.grpc.endpoint (otel_collector_config_file of a):"
        " listens on 0.0.0.0:4317",
        "own.yml:2: receivers.otlp.protocols.http.endpoint",
        "own.yml:7: exporters.prometheus.endpoint",
        "own.yml:10: extensions.health_check.endpoint",
    )


def test_a_collector_with_unset_variables_and_data_elsewhere_is_refused(
    check: Check,
) -> None:
    refused(
        check("otel_collector", own("otel2")),
        "own.yml:3: extensions.basicauth/client.client_auth.username (otel_collector_config_file"
        " of a): OTLP_USER is not set; set it in otel_collector_environment.",
        "own.yml:3: extensions.basicauth/client.client_auth.password",
        "own.yml:4: extensions.file_storage/q.directory (otel_collector_config_file of a):"
        " /var/lib/otelcol/file_storage is outside of /var/lib/otel-collector",
    )


def test_a_collector_without_one_of_its_addresses_is_refused(check: Check) -> None:
    content = own("otel2").replace("/otelcol/", "/otel-collector/")
    listen = {
        "otel_collector_listen_addresses": ["127.0.0.1", "172.30.0.1"],
        "otel_collector_environment": {"OTLP_USER": "a", "OTLP_PASSWORD": "b"},
    }
    refused(
        check("otel_collector", content, "dev", **listen),
        "own.yml: the file (otel_collector_config_file of a): does not listen on 172.30.0.1:4317",
        "own.yml: the file (otel_collector_config_file of a): does not listen on 172.30.0.1:4318",
    )


def test_a_promtail_that_reads_hidden_paths_is_refused(check: Check) -> None:
    url = {"promtail_loki_url": "http://127.0.0.1:3100/loki/api/v1/push"}
    refused(
        check("promtail", own("promtail"), **url),
        "own.yml:6: scrape_configs.0.journal (promtail_config_file of a): /var/log/journal/* is"
        " hidden from Promtail; add /var/log/journal to promtail_read_paths",
        "own.yml:9: scrape_configs.1.syslog.listen_address (promtail_config_file of a): listens on"
        " 0.0.0.0:1514",
        "own.yml:12: scrape_configs.2.static_configs.0.labels.__path__",
        "own.yml:14: scrape_configs.3.static_configs.0.labels.__path__ (promtail_config_file of"
        " a): /srv/app/*.log is hidden from Promtail; add /srv/app to promtail_read_paths",
    )
    assert check(
        "promtail",
        own("promtail"),
        promtail_read_paths=["/var/log", "/srv/app"],
        monitoring_open_addresses="0.0.0.0:1514",
        **url,
    ) == {"changed": False}


def test_a_relative_path_to_read_is_no_hidden_one(check: Check) -> None:
    content = (
        "positions: {filename: /var/lib/promtail/positions.yaml}\n"
        "scrape_configs: [{job_name: a, journal: {path: journal/x}}]\n"
    )
    url = "http://127.0.0.1:3100/loki/api/v1/push"
    assert check("promtail", content, promtail_loki_url=url) == {"changed": False}


def test_a_promtail_that_asks_docker_and_keeps_no_positions_is_refused(
    check: Check,
) -> None:
    content = (
        "positions: {filename: /tmp/positions.yaml}\n"
        "clients: [{url: 'http://loki:3100/loki/api/v1/push'}]\n"
        "scrape_configs:\n"
        "  - job_name: docker\n"
        "    docker_sd_configs: [{host: 'unix:///var/run/docker.sock'}]\n"
    )
    refused(
        check("promtail", content, "dev"),
        "own.yml:1: positions.filename (promtail_config_file of a): /tmp/positions.yaml is outside",
        "own.yml:5: scrape_configs.0.docker_sd_configs.0.host (promtail_config_file of a):"
        " /var/run/docker.sock is hidden from Promtail; set promtail_docker_socket",
    )


def test_scrape_configurations_of_a_variable_are_judged_too(check: Check) -> None:
    jobs = [
        {
            "job_name": "nginx",
            "static_configs": [{"labels": {"__path__": "/root/app/*.log"}}],
        }
    ]
    url = "http://127.0.0.1:3100/loki/api/v1/push"
    (message,) = lines(
        check("promtail", None, promtail_loki_url=url, promtail_scrape_configs=jobs)
    )
    assert "promtail_scrape_configs of a" in message
    assert "add /root/app to promtail_read_paths" in message


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        pytest.param("/loki", False, id="beside /var"),
        pytest.param("/tmp/loki", False, id="lost at each restart"),
        pytest.param("/var/lib/loki-data", False, id="a similar name"),
        pytest.param("/var/lib/loki/../other", False, id="out of it"),
        pytest.param("/var/lib/loki", True, id="its own directory"),
        pytest.param("/var/lib/loki/deep/er", True, id="below it"),
        pytest.param("${DIR}", True, id="computed at the start"),
    ],
)
def test_data_must_be_where_the_program_may_write(
    check: Check, path: str, accepted: bool
) -> None:
    content = (
        "server: {http_listen_address: 127.0.0.1, grpc_listen_address: 127.0.0.1,\n"
        f"  grpc_listen_port: 9096}}\ncommon: {{path_prefix: {path}}}\n"
    )
    variables = {
        "loki_flags": ["-config.expand-env=true"],
        "loki_environment": {"DIR": "/x"},
    }
    result = check("loki", content, **variables)
    if accepted:
        assert result == {"changed": False}
    else:
        refused(
            result,
            f"own.yml:3: common.path_prefix (loki_config_file of a): {path} is outside",
        )


def test_a_variable_that_loki_does_not_expand_is_refused(check: Check) -> None:
    content = (
        "server: {http_listen_address: 127.0.0.1, grpc_listen_address: 127.0.0.1,\n"
        "  grpc_listen_port: 9096}\n"
        "common: {storage: {s3: {secret_access_key: '${S3_KEY}'}}}\n"
    )
    subject = "own.yml:3: common.storage.s3.secret_access_key (loki_config_file of a): "
    refused(
        check("loki", content),
        f"{subject}${{S3_KEY}} is not expanded; add -config.expand-env=true to loki_flags",
    )
    flags = {"loki_flags": ["-config.expand-env=true"]}
    refused(
        check("loki", content, **flags),
        f"{subject}S3_KEY is not set; set it in loki_environ",
    )
    assert not lines(check("loki", content, loki_environment={"S3_KEY": "x"}, **flags))


@pytest.mark.parametrize(
    "role", ["prometheus", "loki", "alertmanager", "node_exporter"]
)
def test_a_file_that_is_not_utf8_is_named(check: Check, role: str) -> None:
    content = "global: {scrape_interval: 15s}\nscrape_configs:\n  - job_name: café\n"
    (message,) = lines(check(role, content.encode("latin-1")))
    assert (
        f"{role}_config_file of a: own.yml:3: the file is not UTF-8; save it" in message
    )


def test_targets_that_a_rollout_would_move_are_told(check: Check) -> None:
    content = (
        "scrape_configs:\n"
        "  - job_name: a\n"
        "    file_sd_configs: [{files: [/etc/prometheus/targets/*.json]}]\n"
    )
    result = check("prometheus", content)
    assert "failed" not in result
    (warning,) = result["warnings"]
    assert warning.startswith(
        "own.yml:3: /etc/prometheus/targets/*.json (prometheus_config_file"
    )
    assert "keep targets below /var/lib/prometheus/targets" in warning
    assert not check("prometheus", content.replace("/etc/", "/var/lib/")).get(
        "warnings"
    )


@pytest.mark.parametrize(
    ("role", "content", "addresses"),
    [
        ("loki", {}, [("", "3100"), ("", "9095")]),
        (
            "loki",
            {"server": {"http_listen_address": "::1", "grpc_listen_port": 0}},
            [("::1", "3100"), ("", "0")],
        ),
        (
            "loki",
            {"memberlist": {"join_members": ["a"], "bind_addr": ["10.0.0.1"]}},
            [("", "3100"), ("", "9095"), ("10.0.0.1", "7946")],
        ),
        (
            "tempo",
            {"distributor": {"receivers": {"zipkin": {"endpoint": ":9411"}}}},
            [("", "3200"), ("", "9095"), ("", "9411")],
        ),
        (
            "otel_collector",
            {
                "receivers": {
                    "otlp": {"protocols": {"grpc": None}},
                    "redis": {"endpoint": "10.0.0.1:6379"},
                    "unused/otlp": {"endpoint": "0.0.0.0:1"},
                },
                "service": {
                    "pipelines": {"metrics": {"receivers": ["otlp", "redis"]}},
                    "telemetry": {"metrics": {"level": "none"}},
                },
            },
            [("localhost", "4317")],
        ),
        (
            "otel_collector",
            {
                "receivers": {"syslog": {"tcp": {"listen_address": "10.0.0.1:54526"}}},
                "service": {"pipelines": {"logs": {"receivers": ["syslog"]}}},
            },
            [("10.0.0.1", "54526"), ("localhost", "8888")],
        ),
        (
            "otel_collector",
            {
                "extensions": {"health_check": None, "zpages": {}},
                "service": {
                    "extensions": ["health_check"],
                    "telemetry": {"metrics": {"level": "none"}},
                },
            },
            [("localhost", "13133")],
        ),
    ],
)
def test_the_listeners_of_a_file_are_found(
    role: str, content: dict[str, Any], addresses: list[tuple[str, str]]
) -> None:
    found = own_files.facts_of(role, content).listeners
    assert [(one.host, one.port) for one in found] == addresses


@pytest.mark.parametrize(
    ("pattern", "directory"),
    [
        ("/var/log/*.log", "/var/log"),
        ("/srv/{a,b}/x.log", "/srv"),
        ("/srv/app/**/*.log", "/srv/app"),
        ("/srv/app/one.log", "/srv/app"),
        ("/*", "/"),
    ],
)
def test_the_directory_of_a_pattern_is_found(pattern: str, directory: str) -> None:
    assert own_files.static_directory(pattern) == directory


@pytest.mark.parametrize(
    "content", ["[]", "server: []", "scrape_configs: {a: 1}", "a: [", ""]
)
@pytest.mark.parametrize("role", sorted(own_files.READERS))
def test_odd_content_is_left_to_the_checker(
    check: Check, role: str, content: str
) -> None:
    check(role, content, "dev")


SECOND_LOKI = own("loki1").replace(
    "9096}", "9096, http_tls_config: {cert_file: /etc/loki/a}}"
)


def test_a_listed_address_needs_tls_in_the_file(check: Check) -> None:
    tls = dict.fromkeys(("certificate", "key", "ca"), "x")
    variables = {f"monitoring_tls_{name}": value for name, value in tls.items()}
    variables["loki_listen_address"] = "0.0.0.0:3100"
    variables["monitoring_open_addresses"] = ["0.0.0.0:9096"]
    refused(
        check("loki", own("loki1"), **variables),
        "own.yml:2: server.http_listen_port (loki_config_file of a): listens on 0.0.0.0:3100, so it"
        " answers other hosts in plain text",
    )
    assert not lines(check("loki", SECOND_LOKI, **variables))


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("password", "correct horse battery", False),
        ("password", "trailing\n", False),
        ("password", "p@$s:w/o#r%d\"'\\{}+ü&^", True),
        ("user", "a b", False),
        ("user", "mon@x:y%20", True),
        ("database", "my database", False),
        ("database", "a/b?c", True),
    ],
)
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_the_exporter_of_postgresql_cannot_use_is_refused_unseen(
    check: Check, variable: str, value: str, accepted: bool, environment: str
) -> None:
    exporter = {
        "name": "main",
        "listen_address": "127.0.0.1:9187",
        "postgres_address": "127.0.0.1:5432",
        variable: value,
    }
    messages = lines(
        check(
            "postgres_exporter",
            None,
            environment,
            postgres_exporter_instances=[exporter],
        )
    )
    if accepted:
        assert messages == []
        return
    (message,) = messages
    subject = f"{variable} in postgres_exporter_instances of a, instance main: has white space"
    assert subject in message
    assert value not in message


@pytest.mark.parametrize(
    "endpoint", ["${env:BIND}:4317", "collector.internal:4317", "unix:///run/x"]
)
def test_an_endpoint_that_the_file_does_not_tell_is_left_to_the_host(
    endpoint: str,
) -> None:
    content = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": endpoint}}}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"]}}},
    }
    facts = own_files.facts_of("otel_collector", content)
    assert not facts.is_complete
    assert [one.port for one in facts.listeners] == ["8888"]


# The host files of a directory for containers, written anew.
CONTAINER_FILES = {
    "loki": """\
auth_enabled: false
server: {http_listen_port: 3100, grpc_listen_port: 9096}
common:
  path_prefix: /loki
  storage: {filesystem: {chunks_directory: /loki/chunks, rules_directory: /loki/rules}}
""",
    "tempo": """\
server: {http_listen_port: 3200, grpc_listen_port: 9095}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317"}}}}}
storage: {trace: {backend: local, local: {path: /tmp/tempo/blocks}, wal: {path: /tmp/tempo/wal}}}
""",
    "promtail": """\
server: {http_listen_port: 9080, grpc_listen_port: 0}
positions: {filename: /tmp/positions.yaml}
clients: [{url: "http://loki:3100/loki/api/v1/push"}]
scrape_configs: [{job_name: docker, docker_sd_configs: [{host: "unix:///var/run/docker.sock"}]}]
""",
    "prometheus": """\
scrape_configs: [{job_name: redis-main, static_configs: [{targets: ["redis-exporter:9121"]}]}]
""",
}


@pytest.mark.parametrize(
    ("role", "environment", "words"),
    [
        ("loki", "dev", ["/loki is outside of", "/loki/chunks is outside of"]),
        (
            "loki",
            "prod",
            [
                "listens on 0.0.0.0:3100",
                "listens on 0.0.0.0:9096",
                "/loki is outside of",
                "/loki/chunks is outside of",
            ],
        ),
        (
            "tempo",
            "dev",
            [
                "does not listen on 127.0.0.1:4319",
                "/tmp/tempo/blocks is outside of",
                "/tmp/tempo/wal is outside of",
            ],
        ),
        (
            "promtail",
            "dev",
            ["/tmp/positions.yaml is outside of", "/var/run/docker.sock is hidden"],
        ),
        ("prometheus", "prod", []),
    ],
)
def test_the_files_of_containers_are_refused_with_what_to_change(
    check: Check, role: str, environment: str, words: list[str]
) -> None:
    messages = lines(check(role, CONTAINER_FILES[role], environment))
    assert len(messages) == len(words), messages
    for message, expected in zip(messages, words, strict=True):
        assert message.startswith("own.yml")
        assert expected in message


@pytest.mark.parametrize(
    ("role", "variables", "accepted"),
    [
        (
            "node_exporter",
            {"node_exporter_flags": ["--web.listen-address=:9101"]},
            False,
        ),
        (
            "prometheus",
            {"prometheus_flags": "--web.listen-address=0.0.0.0:9090"},
            False,
        ),
        (
            "alertmanager",
            {"alertmanager_flags": ["--cluster.listen-address=10.0.0.1:9094"]},
            False,
        ),
        (
            "node_exporter",
            {"node_exporter_flags": ["--web.listen-address=127.0.0.2:9101"]},
            True,
        ),
        ("node_exporter", {"node_exporter_flags": ["--web.telemetry-path=/x"]}, True),
        (
            "redis_exporter",
            {
                "redis_exporter_instances": [
                    {
                        "name": "main",
                        "listen_address": "127.0.0.1:9121",
                        "redis_address": "127.0.0.1:6379",
                        "flags": ["--web.listen-address=0.0.0.0:9121"],
                    }
                ]
            },
            False,
        ),
    ],
)
def test_flags_may_not_open_what_the_inventory_has_not(
    check: Check, role: str, variables: dict[str, Any], accepted: bool
) -> None:
    webhook = {"alertmanager_discord_webhook": "https://discord.example/1"}
    messages = lines(check(role, None, **variables, **webhook))
    assert any("listen" in message for message in messages) is not accepted
    assert not lines(check(role, None, "dev", **variables, **webhook))


@pytest.mark.parametrize(
    ("flags", "expands"),
    [
        (["-config.expand-env"], True),
        (["--config.expand-env=1"], True),
        (["-config.expand-env=false", "-config.expand-env=true"], True),
        ("-config.expand-env=true", True),
        (["-config.expand-env=false"], False),
        (["-config.expand-env=F"], False),
        (["-config.expand-env=true", "--config.expand-env=0"], False),
        (["-config.expand-environment=true"], False),
        ([], False),
    ],
)
def test_the_last_flag_says_whether_variables_are_expanded(
    check: Check, flags: Any, expands: bool
) -> None:
    content = (
        "server: {http_listen_address: 127.0.0.1, grpc_listen_address: 127.0.0.1,\n"
        "  grpc_listen_port: 9096}\n"
        "common: {storage: {s3: {secret_access_key: '${S3_KEY}'}}}\n"
    )
    own_variables = {"loki_flags": flags, "loki_environment": {"S3_KEY": "x"}}
    messages = lines(check("loki", content, **own_variables))
    assert messages == [] if expands else "is not expanded; add" in messages[0]


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"a-b": "x"}, "'a-b' (loki_environment of a): is not a name; use letters"),
        ({"1X": "x"}, "'1X' (loki_environment of a): is not a name"),
        ({"": "x"}, "'' (loki_environment of a): is not a name"),
        ({"A B": "x"}, "'A B' (loki_environment of a): is not a name"),
        ({"Ü": "x"}, "'Ü' (loki_environment of a): is not a name"),
        ({1: "x"}, "1 (loki_environment of a): is not a name"),
        ({"A": None}, "'A' (loki_environment of a): has no value that a program"),
        ({"A": {"b": "secret"}}, "'A' (loki_environment of a): has no value"),
        ({"A": ["secret"]}, "'A' (loki_environment of a): has no value"),
        ({"A": "secret\0"}, "'A' (loki_environment of a): has no value"),
    ],
)
def test_an_odd_variable_of_an_environment_is_refused(
    check: Check, variables: dict, problem: str
) -> None:
    (message,) = lines(check("loki", None, loki_environment=variables))
    assert message.startswith("hosts.yml:") and problem in message
    assert "secret" not in message


def test_variables_of_an_environment_may_have_any_text(check: Check) -> None:
    values = {"_a1": "x", "B": "two\nlines $ \" '", "C": 5, "D": True, "E": ""}
    for role in ("loki", "tempo", "promtail", "otel_collector"):
        more = {"promtail_loki_url": "http://127.0.0.1:3100/loki/api/v1/push"}
        result = check(role, None, **{f"{role}_environment": values, **more})
        assert "is not a name" not in str(result) and "has no value" not in str(result)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("var/log", "'var/log' (promtail_read_paths of a): is not absolute; write a"),
        ("~/log", "is not absolute"),
        ("", "is not absolute"),
        ("-/var/log", "is not absolute"),
        ("/var/log/*.log", "is a pattern; write the directory"),
        ("/var/log:ro", "has ':', which systemd does not take"),
        ("/var/a b", "has ' ', which systemd does not take"),
        ("/var/%n", "has '%', which systemd does not take"),
        ("/var/log/../lib", "has .. in it"),
        ("/var/log", None),
        ("/var/log/", None),
        ("/srv/ü-1_a.b/log", None),
    ],
)
def test_a_path_to_read_is_one_that_a_unit_can_show(
    check: Check, path: str, problem: str | None
) -> None:
    url = {"promtail_loki_url": "http://127.0.0.1:3100/loki/api/v1/push"}
    for paths in ([path], path):
        messages = lines(check("promtail", None, promtail_read_paths=paths, **url))
        if problem is None or not paths:
            assert messages == []
        else:
            (message,) = messages
            assert message.startswith("hosts.yml:") and problem in message


@pytest.mark.parametrize("role", ["prometheus", "loki", "alertmanager", "promtail"])
def test_a_directory_in_place_of_a_file_is_refused(check: Check, role: str) -> None:
    more = {"promtail_loki_url": "http://127.0.0.1:3100/loki/api/v1/push"}
    (message,) = lines(check(role, None, **{f"{role}_config_file": "/etc", **more}))
    assert message.startswith("hosts.yml:")
    assert f"{role}_config_file of a: '/etc' is a directory; name a file" in message


@pytest.mark.parametrize("name", ["prometheus_rule_files", "alertmanager_templates"])
def test_a_directory_in_a_list_of_files_is_refused(check: Check, name: str) -> None:
    messages = lines(check(name.split("_")[0], None, **{name: ["/etc"]}))
    (message,) = [message for message in messages if name in message]
    assert f"{name} of a: '/etc' is a directory; name a file" in message


def test_a_file_that_cannot_be_read_is_refused_once(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.yml"
    read_bytes = Path.read_bytes

    def unreadable(path: Path) -> bytes:
        if path.name == file.name:
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    file.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(Path, "read_bytes", unreadable)
    (message,) = lines(check("prometheus", None, prometheus_config_file=str(file)))
    assert "prometheus_config_file of a: " in message
    assert "it cannot be read: [Errno 13] Permission denied" in message
