# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory check over real inventory files and the real roles, without a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.hippius.monitoring.plugins.action import inventory_check
from ansible_collections.hippius.monitoring.plugins.module_utils.upstream_releases import (
    mirror_path,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    arguments,
    inventory,
    lock_files,
)

ROOT = Path(__file__).parents[3]
INVENTORY = """
all:
  vars:
    monitoring_environment: dev
  children:
    prometheus:
      hosts:
        a: {prometheus_listen_address: 10.0.0.1:9090}
        b: {prometheus_listen_address: 10.0.0.2:9090}
    loki:
      hosts:
        b:
          loki_listen_address: 0.0.0.0:3100
          monitoring_address: logs.b
    monitoring: {hosts: {a: {}, b: {}}}
"""
REMEDY = "correct it, or remove it to use the default"
Check = Callable[..., inventory_check.Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check an inventory, with further variables of all hosts, as the first play does."""
    monkeypatch.chdir(tmp_path)

    def run_check(
        hosts: str = INVENTORY,
        variables: str = "",
        limit: str = "all",
    ) -> inventory_check.Result:
        lines = "".join(f"    {line}\n" for line in variables.splitlines())
        content = hosts.replace("  children:\n", f"{lines}  children:\n", 1)
        Path("hosts.yml").write_text(content)
        loader = DataLoader()
        manager = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.yml")])
        variable_manager = VariableManager(loader=loader, inventory=manager)
        hostvars = HostVars(
            inventory=manager, variable_manager=variable_manager, loader=loader
        )
        run_hosts = [host.name for host in manager.list_hosts(limit)]
        whole = inventory.Inventory(loader, manager.get_groups_dict(), hostvars)
        return inventory_check.check_inventory(whole, run_hosts)

    return run_check


def blockers(check: Check, hosts: str) -> list[str]:
    """Return the lines of the failure without their locations."""
    lines = check(hosts).get("msg", "").splitlines()
    return [re.sub(r"^((\S+:\d+, )*\S+:\d+: )?", "", line) for line in lines]


def test_accepts_a_good_inventory_without_a_message(check: Check) -> None:
    variables = (
        "loki_retention: 14d\n"
        "prometheus_flags: --one\n"
        "prometheus_config_extra: {global: {scrape_interval: 10s}}\n"
        "our_loki_thing: 1\n"
    )
    assert check(variables=variables) == {"changed": False}


def test_reports_the_blockers_of_the_whole_inventory_in_one_message(
    check: Check,
) -> None:
    hosts = INVENTORY.replace("10.0.0.1:9090", "127.0.0.1:9090")
    refused = check(hosts.replace("10.0.0.2:9090", "127.0.0.1:9091"))
    assert refused["failed"]
    subject = "prometheus on {}, prometheus_listen_address: 127.0.0.1 cannot be reached"
    first, second = sorted(refused["msg"].splitlines())
    assert first.startswith(f"hosts.yml:8, hosts.yml:9: {subject.format('a')} from b;")
    assert second.startswith(f"hosts.yml:9, hosts.yml:8: {subject.format('b')} from a;")


def test_refuses_plain_text_between_hosts_outside_dev(check: Check) -> None:
    messages = blockers(check, INVENTORY.replace(": dev", ": prod"))
    assert len(messages) == 2
    assert all("plain text" in message for message in messages)


def test_warns_of_blockers_of_hosts_outside_the_run(check: Check) -> None:
    hosts = INVENTORY.replace(
        "monitoring_address: logs.b",
        "loki_secrets: {key: ''}\n          loki_version: 0.0.1",
    )
    warnings = check(hosts, limit="a")["warnings"]
    assert len(warnings) == 2
    assert all(
        warning.endswith("(this does not block the run).") for warning in warnings
    )
    assert "key in loki_secrets of b: is empty" in "".join(warnings)
    assert "release loki 0.0.1" in "".join(warnings)
    assert check(hosts, limit="b")["msg"].count("\n") == 1


@pytest.mark.parametrize("limit", ["a", "b"])
def test_reports_a_blocker_of_this_run_and_of_others_once(
    check: Check, limit: str
) -> None:
    # Prometheus of a and Loki itself both need the address.
    hosts = INVENTORY.replace("0.0.0.0:3100", "127.0.0.1:99999")
    result = check(hosts, limit=limit)
    assert result["msg"].count("has no valid port") == 1
    assert "warnings" not in result


def test_refuses_a_component_outside_the_run_that_the_run_must_reach(
    check: Check,
) -> None:
    hosts = INVENTORY.replace("0.0.0.0:3100", "127.0.0.1:3100")
    # Prometheus on a scrapes Loki on b.
    assert "loki on b" in check(hosts, limit="a")["msg"]
    assert "msg" not in check(hosts, limit="b")


def test_reports_a_missing_environment_once(check: Check) -> None:
    (message,) = blockers(
        check, INVENTORY.replace("monitoring_environment", "our_environment")
    )
    assert message.startswith("monitoring_environment of b, a: is not set; set it in")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            "loki_secrets: [one]",
            [f"hosts.yml:5: loki_secrets of b: must be a dict, not a list; {REMEDY}."],
            id="type",
        ),
        pytest.param(
            "\n\nprometheus_config_extra: yes",
            ["hosts.yml:7: prometheus_config_extra of a, b: "],
            id="line",
        ),
        pytest.param(
            "loki_version: 0.0.1",
            ["hosts.yml:5: loki_version of b: release loki 0.0.1 is not in"],
            id="lock",
        ),
        pytest.param(
            "loki_config_extra: '{{ nowhere }}'",
            ["loki_config_extra of b: ", "nowhere", "; correct the value."],
            id="undefined",
        ),
        pytest.param(
            "prometheus_flags:\n  - --web.console: x",
            [
                "hosts.yml:5: prometheus_flags of a, b: each element must be a str, not a dict;",
            ],
            id="flag with a colon",
        ),
        pytest.param(
            "loki_config_extra: a=b",
            ["loki_config_extra of b: must be a dict, not a str;"],
            id="no dict",
        ),
        pytest.param(
            "loki_retention: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132",
            [
                "hosts.yml:5: loki_retention of b: ",
                "decrypt",
                "; run with --ask-vault-pass or --vault-password-file",
            ],
            id="vaulted",
        ),
        pytest.param(
            "loki_retention: [7d]",
            ["loki_retention of b: must be a str, not a list;"],
            id="no string",
        ),
        pytest.param(
            "loki_config_extra:",
            [f"hosts.yml:5: loki_config_extra of b: has no value; {REMEDY}."],
            id="no value",
        ),
        pytest.param(
            "loki_config_file: away.yml",
            [
                "loki_config_file of b: 'away.yml' is not on the controller, in ",
                "; correct the path, which is relative to the inventory.",
            ],
            id="no file",
        ),
        pytest.param(
            "prometheus_rule_files: [away.yml]",
            ["prometheus_rule_files of a, b: 'away.yml' is not on"],
            id="no files",
        ),
    ],
)
def test_names_a_wrong_variable_with_file_and_line(
    check: Check,
    variables: str,
    words: list[str],
) -> None:
    refused = check(variables=f"{variables}\n")
    assert [word for word in words if word not in refused["msg"]] == []


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ("prometheus_scrape_interval: 15 sec", "must be a duration such as 90s, 15m"),
        ("loki_retention: 30 days", "not '30 days'"),
        ("loki_retention: 30", "not '30'"),
        ("loki_retention: 1h30s20m", "not '1h30s20m'"),
        ("loki_compaction_interval: 1d", "without days, not '1d'"),
        ("prometheus_retention_size: 20 GB", "must be a size such as 500MB or 20GB"),
        ("prometheus_retention_size: 20", "not '20'"),
    ],
)
def test_refuses_a_duration_or_size_without_a_known_unit(
    check: Check, variables: str, problem: str
) -> None:
    message = check(variables=f"{variables}\n")["msg"]
    assert message.startswith(f"hosts.yml:5: {variables.partition(':')[0]} of ")
    assert problem in message and message.endswith(f"; {REMEDY}.")


def test_refuses_a_wrong_interval_of_a_route(check: Check) -> None:
    route = "alertmanager_critical_route: {group_wait: 10 s, repeat_interval: 1h}"
    hosts = INVENTORY.replace(
        "    loki:\n", "    alertmanager: {hosts: {b: {}}}\n    loki:\n"
    )
    hook = "alertmanager_discord_webhook: https://discord.com/api/webhooks/dummy"
    message = check(hosts, f"{route}\n{hook}\n")["msg"]
    assert "alertmanager_critical_route of b: group_wait must be a duration" in message


@pytest.mark.parametrize(
    "variables",
    [
        "loki_retention: 1w2d\nprometheus_retention_size: 500MB",
        "prometheus_out_of_order_time_window: 0",
        "loki_compaction_interval: 1h30m",
        "prometheus_scrape_interval: 1500ms",
    ],
)
def test_accepts_durations_and_sizes_as_the_programs_write_them(
    check: Check, variables: str
) -> None:
    assert check(variables=f"{variables}\n") == {"changed": False}


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (
            "127.0.0.1:99999",
            "'127.0.0.1:99999' has no valid port; write one from 1 to 65535.",
        ),
        ("127.0.0.1:0", "the port 0 stands for any port; write one from 1 to 65535."),
        ("'::1:9090'", "has an IPv6 address without brackets; write [::1]:9090."),
        ("http://127.0.0.1:9090", "is not host:port;"),
        ("'127.0.0.1 :9090'", "is not host:port;"),
        ("127.0.0.1:80:9090", "has two ports; write 127.0.0.1:80."),
    ],
)
def test_refuses_an_address_that_no_program_can_listen_on(
    check: Check, address: str, problem: str
) -> None:
    hosts = INVENTORY.replace("0.0.0.0:3100", address)
    message = check(hosts)["msg"]
    assert problem in message
    assert message.startswith("hosts.yml:")


@pytest.mark.parametrize(
    ("prometheus", "loki", "conflicts"),
    [
        ("10.0.0.2:3100", "10.0.0.2:3100", True),
        ("10.0.0.2:3100", "0.0.0.0:3100", True),
        ("'[::]:3100'", "10.0.0.2:3100", True),
        ("10.0.0.2:3100", "':3100'", True),
        ("'[fd00::1]:3100'", "0.0.0.0:3100", False),
        ("10.0.0.2:3101", "10.0.0.2:3100", False),
        ("10.0.0.3:3100", "10.0.0.2:3100", False),
    ],
)
def test_refuses_two_components_of_a_host_on_one_address(
    check: Check, prometheus: str, loki: str, conflicts: bool
) -> None:
    hosts = INVENTORY.replace("10.0.0.2:9090", prometheus).replace("0.0.0.0:3100", loki)
    message = check(hosts).get("msg", "")
    assert ("loki and prometheus on b: both listen on" in message) == conflicts
    assert conflicts == ("change loki_listen_address or prometheus_listen" in message)


RULE_FILE = """\
groups:
  - name: one
    interval: 5 min
    rules:
      - {alert: A, expr: up, for: 1 minute}
      - {alert: B}
      - {alert: C, record: c, expr: up}
  - name: one
  - rules: []
"""


def test_reports_all_errors_of_a_rule_file_once_with_their_lines(
    check: Check, tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_text(RULE_FILE)
    (tmp_path / "broken.yml").write_text("groups: [\n")
    message = check(variables="prometheus_rule_files: [rules.yml, broken.yml]\n")["msg"]
    subject = "hosts.yml:5: prometheus_rule_files of a, b: "
    lines = [line.removeprefix(subject) for line in message.splitlines()]
    assert lines == [
        "rules.yml:3: interval is '5 min'; write a duration such as 5m.",
        "rules.yml:5: for is '1 minute'; write a duration such as 5m.",
        "rules.yml:6: rule B has no expr; add one.",
        "rules.yml:7: a rule needs either alert or record; write one of them.",
        "rules.yml:8: there are two groups one; rename one.",
        "rules.yml:9: a group has no name; add one.",
        lines[6],
    ]
    assert lines[6].startswith("broken.yml:2: invalid YAML")


def test_accepts_no_value_where_the_default_is_an_empty_string(check: Check) -> None:
    assert check(variables="loki_config_file:\nmonitoring_mirrors:\n") == {
        "changed": False
    }


def test_finds_a_file_where_its_role_finds_it(
    check: Check,
    tmp_path: Path,
) -> None:
    for name in ("files/own.yml", "beside.yml", "elsewhere.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rules = f"prometheus_rule_files: [own.yml, beside.yml, {tmp_path}/elsewhere.yml]\n"
    assert check(variables=rules + "loki_config_file: own.yml\n") == {"changed": False}


def test_names_the_active_definition_of_a_variable_first(
    check: Check,
    tmp_path: Path,
) -> None:
    definitions = {
        "group_vars/all.yml": "loki_retention: 7d",
        "host_vars/b.yml": "---\nloki_retention: [9d]",
    }
    for name, line in definitions.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"{line}\n")
    message = check()["msg"]
    assert message.startswith("host_vars/b.yml:2: loki_retention of b: must be a str, ")


def test_reports_each_wrong_address_of_a_host_at_once(check: Check) -> None:
    wrong = """loki_listen_address: 127.0.0.1:99999
          loki_grpc_listen_address: "::1:9095"
          monitoring_open_addresses: [1514, "0.0.0.0:99999"]"""
    hosts = INVENTORY.replace("loki_listen_address: 0.0.0.0:3100", wrong)
    message = "\n".join(blockers(check, hosts))
    for words in (
        "loki_listen_address: '127.0.0.1:99999' has no valid port",
        "loki_grpc_listen_address: '::1:9095' has an IPv6 address without brackets",
        "monitoring_open_addresses of b: 1514 is not host:port",
        "monitoring_open_addresses of b: '0.0.0.0:99999' has no valid port",
    ):
        assert message.count(words) == 1, message


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            "loki_listen_address: 3100",
            "loki on b, loki_listen_address: 3100 is not host:port;",
        ),
        (
            "loki_listen_address: '{{ nowhere }}'",
            "loki_listen_address of b: 'nowhere' is undefined;",
        ),
    ],
)
def test_reports_the_same_error_once(
    check: Check,
    variables: str,
    words: str,
) -> None:
    hosts = (
        INVENTORY
        + "    promtail: {hosts: {b: {promtail_listen_address: '0.0.0.0:9080'}}}\n"
    )
    messages = blockers(
        check, hosts.replace("loki_listen_address: 0.0.0.0:3100", variables)
    )
    assert [message[: len(words)] for message in messages] == [words]


def test_applies_a_role_without_a_component_to_the_hosts_of_the_one_in_its_name(
    check: Check,
) -> None:
    hosts = INVENTORY + "    grafana: {hosts: {c: {}}}\n"
    secrets = (
        "grafana_admin_password: one of ours\ngrafana_secret_key: another one of ours\n"
    )
    refused = check(hosts, secrets + "grafana_content_environment: nothing\n")
    assert (
        "grafana_content_environment of c: must be a dict, not a str;" in refused["msg"]
    )


@pytest.mark.parametrize(
    "value",
    [
        "[canary]",
        "[{name: [canary]}]",
        "canary",
        "{name: canary}",
        "[{name: x, passwort: canary}]",
    ],
)
def test_does_not_quote_a_value_that_may_hold_a_secret(value: str) -> None:
    option = arguments.role_options()["redis_exporter"]["redis_exporter_instances"]
    errors = arguments.value_errors(
        "redis_exporter_instances", option, yaml.safe_load(value)
    )
    assert errors
    assert not any("canary" in error for error in errors)


@pytest.mark.parametrize(
    ("part", "messages"),
    [
        ("flags: --is-cluster", ["flags in each element must be a list, not a str"]),
        (
            "flags: [--is-cluster: true]",
            ["each element of flags in each element must be a str, not a dict"],
        ),
        ("flags: [--is-cluster]", []),
        ("password:", []),
    ],
)
def test_checks_the_parts_of_a_value(
    part: str,
    messages: list[str],
) -> None:
    option = arguments.role_options()["redis_exporter"]["redis_exporter_instances"]
    instance = yaml.safe_load(
        f"name: main\nlisten_address: 127.0.0.1:1\nredis_address: 127.0.0.1:2\n{part}\n"
    )
    errors = arguments.value_errors("redis_exporter_instances", option, [instance])
    assert errors == [f"{message}; {REMEDY}" for message in messages]


OPTIONS_BY_ROLE = {
    "loki": {"loki_retention": {}, "loki_version": {}},
    "grafana": {"grafana_version": {}},
    "grafana_content": {"grafana_content_folder": {}},
}


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("loki_retentoin", "loki_retention"),
        ("loki_retention", None),
        ("loki_of_our_own", None),
        ("our_loki_retention", None),
        ("grafana_content_folder_", "grafana_content_folder"),
    ],
)
def test_finds_the_variable_that_a_misspelled_name_means(
    name: str,
    closest: str | None,
) -> None:
    assert arguments.closest_variable(name, OPTIONS_BY_ROLE) == closest


@pytest.mark.parametrize(
    ("variables", "warning"),
    [
        ("lokki_retention: 14d", "did you mean loki_retention?"),
        ("loki_port: 3101", "it has no effect; remove it."),
        ("loki_name: logs\nmonitoring_address: '{{ loki_name }}'", ""),
        ("my_port: 3101", ""),
    ],
)
def test_warns_of_a_variable_that_no_role_has(
    check: Check, variables: str, warning: str
) -> None:
    name = variables.partition(":")[0]
    subject = f"hosts.yml:5: {name} of a"
    expected = [f"{subject}: is not a variable of a role; {warning}"] if warning else []
    assert check(variables=f"{variables}\n").get("warnings", []) == expected


def test_warns_of_a_misspelled_variable_with_its_location(check: Check) -> None:
    result = check(variables="loki_retentoin: 14d\n")
    assert "failed" not in result
    subject = "hosts.yml:5: loki_retentoin of a"
    warning = f"{subject}: is not a variable of a role; did you mean loki_retention?"
    assert result["warnings"] == [warning]


WITH_SUBGROUP = INVENTORY.replace(
    "    prometheus:\n", "    prometheus:\n      children: {prometheus_eu: {}}\n"
)


@pytest.mark.parametrize(
    ("group", "role"),
    [
        ("node-exporter", "node_exporter"),
        ("nodeexporter", "node_exporter"),
        ("redis_exporters", "redis_exporter"),
        ("prometeus", "prometheus"),
        ("Grafana", "grafana"),
        ("alert_manager", "alertmanager"),
        ("tempp", "tempo"),
        ("monitorng", "monitoring"),
        ("prometheus_eu", None),
        ("webservers", None),
        ("monitored", None),
        ("redis", None),
        ("postgres", None),
    ],
)
def test_refuses_a_group_whose_name_resembles_a_role(
    check: Check, group: str, role: str | None
) -> None:
    hosts = WITH_SUBGROUP.replace(
        "hosts: {a: {}, b: {}}", "hosts: {a: {}, b: {}, c: {}}"
    )
    host = "b" if role is None else "c"
    hosts += f"    {group}: {{hosts: {{{host}: {{}}}}}}\n"
    if role == "monitoring":
        hosts = hosts.replace(", c: {}}", "}")
    expected = (
        f"group {group} (c): no role has this name; did you mean {role}?"
        " Rename it, or add it to monitoring_other_groups."
    )
    assert check(hosts).get("msg", "") == (expected if role else "")
    # A run that does not touch its hosts goes on.
    limited = check(hosts, limit="a")
    assert "msg" not in limited
    assert bool(limited.get("warnings")) == bool(role)


def test_accepts_a_similar_group_that_the_user_declares(check: Check) -> None:
    hosts = f"{INVENTORY}    loki2: {{hosts: {{a: {{}}}}}}\n"
    assert "group loki2 (a): no role" in check(hosts)["msg"]
    declared = "monitoring_other_groups: [loki2]"
    assert check(hosts, declared) == {"changed": False}


def test_warns_of_a_host_outside_the_group_of_all_hosts(check: Check) -> None:
    hosts = INVENTORY.replace(
        "monitoring: {hosts: {a: {}", "monitoring: {hosts: {c: {}"
    )
    (warning,) = check(hosts)["warnings"]
    assert warning.startswith("a: not in the group monitoring")


def test_shared_variables_are_those_of_the_documentation() -> None:
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("playbooks/*.yml"), ROOT / "README.md"]
    names = {
        name
        for page in pages
        for name in re.findall(r"\bmonitoring_\w+", page.read_text())
    }
    assert names == set(arguments.SHARED)


def test_checks_shared_variables_too(check: Check) -> None:
    result = check(
        variables="monitoring_mirror: [http://mirror.example]\nmonitoring_prune_max: many\n"
    )
    subject = "hosts.yml:5: monitoring_mirror of a"
    warning = (
        f"{subject}: is not a variable of a role; did you mean monitoring_mirrors?"
    )
    assert result["warnings"] == [warning]
    message = f"hosts.yml:6: monitoring_prune_max of b, a: must be an int, not 'many'; {REMEDY}."
    assert result["msg"] == message


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        (
            "grafana_content_directories: [{path: grafana}]",
            "unknown key path, did you mean paths? (known are datasource_type,",
        ),
        (
            "grafana_content_directories: [{directory: .}, {folder: Mine}]",
            "element 2 has none of directory, file, objects;",
        ),
        (
            "grafana_content_directories: [grafana]",
            "each element must be a dict, not a str;",
        ),
        (
            "grafana_content_notify: {al: []}",
            "unknown key al, did you mean all? (known are all, critical, high, medium);",
        ),
        (
            "grafana_content_notify: {all: {type: slack}}",
            "all must be a list, not a dict;",
        ),
        (
            "grafana_content_notify: {all: [{type: slack}]}",
            "all, receiver 1: lacks settings;",
        ),
        ("grafana_content_notify: {high: [slack]}", "must be a dict, not a str;"),
        ("alertmanager_group_by: {a: b}", "must be a list of str, not a dict;"),
        ("alertmanager_notify: slack", "must be a dict, not a str;"),
        ("alertmanager_notify: {all: [slack]}", "all must be a dict, not a list;"),
        (
            "alertmanager_notify: {critcal: {}}",
            "unknown key critcal, did you mean critical?",
        ),
        (
            "alertmanager_notify: {all: {slack_config: [{}]}}",
            "all, slack_config: no type of receiver; did you mean slack_configs?",
        ),
        (
            "alertmanager_notify: {all: {smoke: [{}]}}",
            "all, smoke: no type of receiver; discord_configs, email_configs,",
        ),
        (
            "alertmanager_notify: {all: {email_configs: {to: a@b.example}}}",
            "all, email_configs: must be a list of receivers;",
        ),
        (
            "alertmanager_notify: {all: {email_configs: [a@b.example]}}",
            "all, email_configs: each receiver must be a dict;",
        ),
        ("grafana_content_discord: nein", "must be a bool, not 'nein';"),
        ("grafana_content_discord: {a: b}", "must be a bool, not a dict;"),
        ("grafana_url: grafana.example", "is no address such as https://host.example/"),
        ("grafana_content_discord_webhook: discord.com/x", "is no address such as"),
        ("monitoring_documentation_url: docs/", "is no address such as"),
        (
            "monitoring_mirrors: mirror.example",
            "'mirror.example' is no address such as https://mirror.example/releases or upstream;",
        ),
        ("monitoring_address: http://10.0.0.1", "without scheme and port;"),
        ("monitoring_address: 10.0.0.1:80", "without scheme and port;"),
        ("monitoring_plaintext_networks: [10.0.0.0/33]", "is no network such as"),
        (
            "monitoring_tls_key: tls/a.key\nmonitoring_tls_ca: x\nmonitoring_tls_certificate: x",
            "is a path; read the file by lookup(",
        ),
        (
            "monitoring_tls_ca: ca.pem\nmonitoring_tls_key: x\nmonitoring_tls_certificate: x",
            "is a path; read the file by lookup(",
        ),
        ("monitoring_prune_max: -1", "must not be negative, as -1 is;"),
        ("monitoring_releases_lock: away.yml", "cannot be read as a release lock: "),
        ("monitoring_mirrors: [upstream, 5]", "5 is no address such as"),
        (
            "monitoring_archives_dir: away",
            "'away' is not a directory on the controller; correct the path, which is relative to",
        ),
        ("monitoring_archives_dir: hosts.yml", "'hosts.yml' is not a directory on the"),
    ],
)
def test_refuses_what_only_a_host_would_find_wrong(
    check: Check, variable: str, problem: str
) -> None:
    hosts = """
all:
  vars:
    monitoring_environment: dev
    grafana_admin_password: admin
    grafana_secret_key: SW2YcwTIb9zpOOhoPsMm
    alertmanager_discord_webhook: https://discord.com/api/webhooks/dummy
  children:
    monitoring: {hosts: {a: {}}}
    grafana: {hosts: {a: {}}}
    alertmanager: {hosts: {a: {}}}
"""
    message = check(hosts, f"{variable}\n")["msg"]
    assert message.startswith(f"hosts.yml:8: {variable.partition(':')[0]} of ")
    assert problem in message


@pytest.mark.parametrize(
    "variable",
    [
        "monitoring_mirrors: https://mirror.example:8443/releases",
        "monitoring_mirrors: [upstream, 'http://[fd00::1]/x']",
        "monitoring_archives_dir: ''",
        "monitoring_address: ''",
        "monitoring_address: web1.example.com",
        "monitoring_address: fd00::1",
        "monitoring_plaintext_networks: [10.0.0.7, 172.30.0.0/24, 'fd00::/8']",
        "monitoring_prune_max: 0",
        "monitoring_documentation_url: ''",
        "grafana_content_discord_webhook: ''",
        "alertmanager_notify: {all: {slack_configs: [{channel: ops}], later_configs: []}}",
        "grafana_content_notify: {all: [{type: slack, settings: {url: 'https://x.example'}}]}",
    ],
)
def test_accepts_addresses_of_web_servers(check: Check, variable: str) -> None:
    assert check(variables=f"{variable}\n") == {"changed": False}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("5", "must be a str, not 5;"),
        ("yes", "must be a str, not True;"),
        ("'a\"b'", " may have letters, digits, spaces and"),
        ("'$x'", " may have letters, digits, spaces and"),
        ("prod eu/1", ""),
        ("Gr\u00fcn", ""),
    ],
)
def test_refuses_a_name_of_an_environment_that_some_program_would_change(
    check: Check, name: str, problem: str
) -> None:
    hosts = INVENTORY.replace(": dev", f": {name}").replace("10.0.0.", "127.0.0.")
    tls = "monitoring_plaintext_networks: [0.0.0.0/0]\n"
    message = check(hosts, tls).get("msg", "")
    subject = "monitoring_environment of "
    assert (f": {subject}" in message) == bool(problem), message
    assert problem in message


EXPORTERS = """
redis_exporter: {hosts: {a: {monitoring_environment: dev, redis_exporter_instances: [%s]}}}
monitoring: {hosts: {a: {}}}
"""


@pytest.mark.parametrize(
    ("instances", "problems"),
    [
        (
            "{name: a b, listen_address: '127.0.0.1:1'}",
            ["name 'a b' must be 1 to 16 lower-case"],
        ),
        (
            "{name: a, listen_address: '127.0.0.1:1'}, {name: a, listen_address: '127.0.0.1:2'}",
            ["name 'a' must be unique"],
        ),
        # The template of its address has no value either.
        (
            "{name: a}",
            ["missing required arguments: listen_address found in"],
        ),
    ],
)
def test_refuses_an_instance_once(
    check: Check, instances: str, problems: list[str]
) -> None:
    complete = instances.replace("{name", "{redis_address: '127.0.0.1:6379', name")
    messages = blockers(check, EXPORTERS % complete)
    assert len(messages) == len(problems), messages
    for message, problem in zip(messages, problems, strict=True):
        assert message.startswith(f"redis_exporter_instances of a: {problem}")


def test_names_the_variable_of_a_wrong_list_of_addresses(check: Check) -> None:
    hosts = "otel_collector: {hosts: {a: {monitoring_environment: dev, LISTEN}}}"
    listen = "otel_collector_listen_addresses: [127.0.0.1:4317]"
    messages = check(hosts.replace("LISTEN", listen))["msg"].splitlines()
    for message in messages:
        subject = "otel-collector on a, otel_collector_listen_addresses: "
        assert f"{subject}'127.0.0.1:4317:431" in message
        assert message.endswith("has two ports; write 127.0.0.1:4317.")


def test_names_a_version_that_does_not_exist_with_the_one_that_does(
    check: Check,
) -> None:
    (message,) = blockers(check, ALONE.replace("test}", "test, loki_version: v3.7.8}"))
    problem = "release loki v3.7.8 does not exist; write 3.7.8, without v."
    assert message == f"loki_version of a: {problem}"


def test_warns_of_a_release_that_the_only_source_of_archives_lacks(
    check: Check, tmp_path: Path
) -> None:
    hosts = ALONE.replace("test}", "test, monitoring_archives_dir: bundle}")
    hosts += "\nmonitoring: {hosts: {a: {}}}"
    (tmp_path / "bundle").mkdir()
    (warning,) = check(hosts)["warnings"]
    assert "monitoring_archives_dir of a: has no loki 3.7.8, which a host" in warning
    mirror = hosts.replace("test, ", "test, monitoring_mirrors: upstream, ")
    assert "warnings" not in check(mirror)
    locked = lock_files.archives([], "loki", "3.7.8")["amd64"]
    archive = tmp_path / "bundle" / mirror_path(locked["url"])
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert "warnings" not in check(hosts)


ALONE = "loki: {hosts: {a: {monitoring_environment: test}}}"


def test_refuses_a_version_that_is_in_no_lock_file(
    check: Check,
    tmp_path: Path,
) -> None:
    assert blockers(check, ALONE) == []
    (message,) = blockers(check, ALONE.replace("test}", "test, loki_version: 9.9.9}"))
    expected = "loki_version of a: release loki 9.9.9 is not in the collection's releases.lock.yml"
    assert message.startswith(expected)
    own = tmp_path / "own.yml"
    archive = {"url": "https://releases.example/loki", "sha256": "a" * 64}
    own.write_text(yaml.safe_dump({"loki": {"9.9.9": {"amd64": archive}}}))
    lock = (
        f"monitoring_releases_lock: {own}, loki_version: '{{{{ ours }}}}', ours: 9.9.9"
    )
    assert blockers(check, ALONE.replace("test}", f"test, {lock}}}")) == []


OWN_FILE = (
    "grafana: {hosts: {a: {monitoring_environment: prod, grafana_config_file: own.ini,"
    " grafana_secret_key: '', grafana_admin_password: WORD,"
    " grafana_content_discord_webhook: 'https://discord.com/api/webhooks/HOOK'}}}"
)


@pytest.mark.parametrize(
    ("word", "hook", "beginnings"),
    [
        pytest.param("correct horse battery", "1/x", [], id="good ones"),
        pytest.param(
            "admin",
            "1/x",
            ["grafana_admin_password of a: is the example"],
            id="a well-known password",
        ),
        pytest.param(
            "''", "1/x", ["grafana_admin_password of a: is not set"], id="no password"
        ),
        pytest.param(
            "correct horse battery",
            "dummy",
            ["grafana_content_discord_webhook of a: is the example"],
            id="a dummy",
        ),
    ],
)
def test_refuses_an_example_beside_a_configuration_file_of_the_users_own(
    check: Check,
    word: str,
    hook: str,
    beginnings: list[str],
) -> None:
    Path("own.ini").touch()
    messages = blockers(check, OWN_FILE.replace("WORD", word).replace("HOOK", hook))
    pairs = zip(messages, beginnings, strict=True)
    assert [message[: len(beginning)] for message, beginning in pairs] == beginnings


def test_refuses_a_well_known_password_outside_dev(check: Check) -> None:
    instance = (
        "{name: main, listen_address: '127.0.0.1:1', postgres_address: '127.0.0.1:2',"
        " password: postgres}"
    )
    variables = (
        f"monitoring_environment: dev, postgres_exporter_instances: [{instance}]"
    )
    groups = f"postgres_exporter: {{hosts: {{a: {{{variables}}}}}}}"
    assert blockers(check, groups) == []
    (message,) = blockers(check, groups.replace("dev", "prod"))
    subject = "password in postgres_exporter_instances of a, instance main"
    assert message.startswith(f"{subject}: is the example of dev")


def test_refuses_a_host_of_exporters_without_a_server(check: Check) -> None:
    group = "redis_exporter: {hosts: {a: {monitoring_environment: dev}}}"
    (message,) = blockers(check, group)
    remedy = "list them, or remove the host from the group redis_exporter"
    assert message == f"redis_exporter_instances of a: is empty; {remedy}."


FROM_ENVIRONMENT = """
grafana:
  hosts:
    a:
      monitoring_environment: prod
      grafana_admin_password: "{{ lookup('ansible.builtin.env', 'NO_SUCH_PASSWORD') }}"
      grafana_secret_key: ''
      alertmanager_discord_webhook: ''
alertmanager: {hosts: {a: {}}}
"""


def test_names_the_environment_variable_of_a_secret_and_how_to_make_one(
    check: Check,
) -> None:
    webhook, password, key = sorted(blockers(check, FROM_ENVIRONMENT))
    # The webhook of Grafana follows from that of Alertmanager, and is not told as well.
    assert webhook.startswith("alertmanager_discord_webhook of a: is not set; set the")
    export = 'export NO_SUCH_PASSWORD="$(openssl rand -base64 24)"'
    command = f"{export} once and keep the value, or run the playbook secrets"
    assert password == (
        "grafana_admin_password of a: the environment variable NO_SUCH_PASSWORD is empty;"
        f" {command}."
    )
    assert key.endswith("requires, made for example by: openssl rand -base64 24.")


ALERTING = INVENTORY.replace(
    "    monitoring: {hosts",
    "    alertmanager: {hosts: {b: {}}}\n    monitoring: {hosts",
)
RECEIVER = (
    "alertmanager_discord_webhook: https://discord.example/x\n"
    "alertmanager_listen_address: 10.0.0.2:9093\n"
)
PLAIN = RECEIVER + "monitoring_plaintext_networks: [10.0.0.0/8, 0.0.0.0/0]\n"
PROD = ALERTING.replace("dev", "prod")


def test_warns_where_nobody_outside_watches_the_alerting(check: Check) -> None:
    def warned(hosts: str, variables: str = "") -> list[str]:
        result = check(hosts, PLAIN + variables)
        return [each for each in result.get("warnings", []) if "heartbeat" in each]

    url = "monitoring_heartbeat_url: https://hc.example/x"
    [warning] = warned(PROD)
    assert "nobody notices when the alerting itself is down; set it to" in warning
    assert warned(ALERTING) == warned(PROD, url) == []


def timing(severity: str, interval: str, more: str = "") -> str:
    """Return the variable with one timing."""
    fields = f"name: n, severities: [{severity}], time_intervals: [{interval}]"
    return f"monitoring_mute_timings: [{{{fields}{more}}}]"


BACKWARDS = "{times: [{start_time: '22:00', end_time: '06:00'}]}"
UNQUOTED = "{times: [{start_time: 06:00, end_time: 22:00}]}"
DIFFERENT = ALERTING.replace("b: {}", "b: {monitoring_heartbeat_url: http://h/x}", 1)


@pytest.mark.parametrize(
    ("hosts", "variables", "found"),
    [
        (ALERTING, "monitoring_heartbeat_url: hc.example", "is no address; write one"),
        (
            DIFFERENT,
            "",
            "_url of a: is not set as on other hosts; set it in group_vars",
        ),
        (ALERTING, "monitoring_mute_timings: nights", "must be a list; write a list"),
        (ALERTING, "monitoring_mute_timings: [nights]", "is no dict; write a dict"),
        (ALERTING, timing("low", "{}"), "low is no severity; use critical, high, med"),
        (ALERTING, timing("high", "{}", ", when: x"), "when is unknown; use name, sev"),
        (ALERTING, timing("high", BACKWARDS), "ends before it begins; write two times"),
        (ALERTING, timing("high", UNQUOTED), "write start_time and end_time as quoted"),
        (ALERTING, timing("high", ""), "time_intervals is missing; list time interv"),
    ],
)
def test_refuses_alerting_that_cannot_work_as_meant(
    check: Check, hosts: str, variables: str, found: str
) -> None:
    message = check(hosts, RECEIVER + variables).get("msg", "")
    assert found in message
    if "timings" in message:
        assert re.match(
            r"hosts.yml:\d+: monitoring_mute_timings of [ab], [ab]: ", message
        )
    assert message.count("\n") == 0


def cluster(groups: str, variables: str = "", of_a: str = "", of_b: str = "") -> str:
    """Return an inventory of two hosts that are both in some groups."""
    named = ", ".join(
        f"{name}: {{hosts: {{a: {{}}, b: {{}}}}}}" for name in groups.split()
    )
    lines = "".join(f"    {line}\n" for line in variables.splitlines())
    return (
        "monitoring:\n"
        "  vars:\n"
        "    monitoring_environment: dev\n"
        f"{lines}"
        "  hosts:\n"
        f"    a: {{monitoring_address: 10.0.0.1, {of_a}}}\n"
        f"    b: {{monitoring_address: 10.0.0.2, {of_b}}}\n"
        f"  children: {{{named}}}\n"
    )


STORES = """\
loki_listen_address: "{{ monitoring_address }}:3100"
tempo_listen_address: "{{ monitoring_address }}:3200"
tempo_otlp_listen_address: "{{ monitoring_address }}:4319"
prometheus_listen_address: "{{ monitoring_address }}:9090"
alertmanager_listen_address: "{{ monitoring_address }}:9093"
grafana_listen_address: "{{ monitoring_address }}:3000"
alertmanager_discord_webhook: https://discord.example/x
grafana_admin_password: longer than twelve
grafana_secret_key: long enough as well
"""
SHARED = """\
grafana_database: {type: postgres, host: db.example}
grafana_database_password: one for all
"""
PEERS = "grafana_config_extra: {unified_alerting: {ha_peers: '10.0.0.1:9098'}}\n"
RINGS = """\
loki_config_extra: {memberlist: {join_members: [10.0.0.1]}}
tempo_config_extra: {memberlist: {join_members: [10.0.0.1]}}
"""


def messages_of(check: Check, *parts: str) -> list[str]:
    return blockers(check, cluster(*parts))


@pytest.mark.parametrize(
    ("groups", "variables"),
    [
        ("alertmanager prometheus", ""),
        ("node_exporter promtail", "promtail_loki_url: http://logs.example/push"),
        ("loki tempo", RINGS),
        ("grafana", SHARED + PEERS),
        ("grafana", SHARED + PEERS.replace("ha_peers", "ha_redis_address")),
        ("grafana", SHARED + PEERS.replace("ha_peers: '10.0.0.1:9098'", "enabled: no")),
        ("grafana", "grafana_config_file: own.yml"),
        (
            "grafana",
            SHARED
            + PEERS
            + "grafana_listen_address: 127.0.0.1:3000\nmonitoring_without_peers: yes",
        ),
    ],
)
def test_accepts_several_hosts_that_work_together(
    check: Check, groups: str, variables: str
) -> None:
    Path("own.yml").write_text("")
    assert messages_of(check, groups, STORES + variables) == []


def test_leaves_a_cluster_in_the_users_own_file_to_the_user(check: Check) -> None:
    Path("own.yml").write_text("{}")
    own_files = "loki_config_file: own.yml\ntempo_config_file: own.yml\n"
    messages = messages_of(check, "loki tempo", STORES + own_files)
    # The file lacks addresses.
    assert messages and not any("group" in message for message in messages)


@pytest.mark.parametrize(
    ("groups", "variables", "found"),
    [
        ("loki", "", "group loki (a, b): each Loki would keep only the logs that"),
        ("tempo", "", "group tempo (a, b): each Tempo would keep only the traces"),
        ("loki", "loki_config_extra: {limits_config: {}}", "keep one host in the grou"),
        ("grafana", PEERS, "grafana_database of a, b: a SQLite file belongs to one"),
        ("grafana", SHARED, "grafana_config_extra of a, b: every Grafana of the grou"),
        (
            "grafana",
            SHARED + PEERS + "grafana_listen_address: 127.0.0.1:3000",
            "grafana on a, grafana_listen_address: 127.0.0.1 cannot be reached from b",
        ),
        (
            "alertmanager",
            "alertmanager_listen_address: 127.0.0.1:9093",
            "127.0.0.1 cannot be reached from",
        ),
        (
            "alertmanager",
            "alertmanager_cluster_listen_address: 127.0.0.1:9094",
            "alertmanager_cluster_listen_address: 127.0.0.1 cannot be reached from",
        ),
        (
            "alertmanager",
            "alertmanager_cluster_listen_address: alerts.example:9094",
            "alerts.example is no IP address; write the address of a network interface",
        ),
        (
            "alertmanager",
            "alertmanager_cluster_listen_address: '{{ monitoring_address }}:9093'",
            "alertmanager and alertmanager on a: both listen on 10.0.0.1:9093;",
        ),
        (
            "alertmanager",
            "monitoring_environment: prod\nmonitoring_heartbeat_url: https://a.example/x",
            "alertmanager at 10.0.0.1:9093, alertmanager at 10.0.0.1:9094 on a: plain",
        ),
    ],
)
def test_refuses_several_hosts_that_would_work_apart(
    check: Check, groups: str, variables: str, found: str
) -> None:
    messages = messages_of(check, groups, STORES + variables)
    assert any(found in message for message in messages), messages
    # Of two hosts of the same kind each may have its own sentence.
    assert len(messages) <= 2


CERTIFICATE = (
    "monitoring_tls_certificate: C, monitoring_tls_key: K, monitoring_tls_ca: A"
)


@pytest.mark.parametrize(
    ("groups", "of_a", "of_b", "found"),
    [
        (
            "grafana",
            "grafana_secret_key: another long one",
            "",
            "grafana_secret_key of a, b: must not differ, since the Grafanas share one",
        ),
        (
            "alertmanager",
            "",
            "alertmanager_routes: [{receiver: high}]",
            "alertmanager_routes of a, b: must not differ, since any of the",
        ),
        (
            "prometheus",
            "",
            "monitoring_environment: test",
            "monitoring_environment of a, b: must not differ, since Alertmanager would",
        ),
        (
            "alertmanager",
            CERTIFICATE,
            "",
            "alertmanager on a, b: TLS on a and plain text on b do not understand each",
        ),
        (
            "grafana",
            CERTIFICATE,
            "",
            "grafana on a, b: TLS on a and plain text on b do not understand each",
        ),
        (
            "alertmanager",
            "",
            "monitoring_address: b.example, alertmanager_listen_address: ':9093'",
            "monitoring_address of b: b.example is no IP address, which alertmanager on",
        ),
    ],
)
def test_refuses_hosts_of_a_group_that_contradict_each_other(
    check: Check, groups: str, of_a: str, of_b: str, found: str
) -> None:
    messages = messages_of(check, groups, STORES + SHARED + PEERS, of_a, of_b)
    assert len([message for message in messages if found in message]) == 1, messages


STORE = """\
monitoring_object_store:
      endpoint: http://10.0.9.9:7070
      access_key: key
      secret_key: never shown
      buckets: {loki: logs}
"""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("", ""), ""),
        (
            ("http:", "ftp:"),
            "monitoring_object_store of a, b: endpoint 'ftp://10.0.9.9",
        ),
        (
            ("loki: logs", "loki: L"),
            "monitoring_object_store of a, b: buckets: 'L' is no",
        ),
        (
            ("never shown", "''"),
            "monitoring_object_store of a, b: secret_key is missing",
        ),
    ],
)
def test_checks_the_object_store(
    check: Check, change: tuple[str, str], found: str
) -> None:
    messages = messages_of(check, "loki", STORES + RINGS + STORE.replace(*change))
    assert [message[: len(found)] for message in messages] == ([found] if found else [])
    assert "shown" not in str(messages)


def test_refuses_an_object_store_without_tls_outside_of_dev(check: Check) -> None:
    variables = STORES + RINGS + STORE + "monitoring_environment: prod\n"
    problem = (
        "monitoring_object_store of a, b: endpoint 'http://10.0.9.9:7070' would get"
    )
    trusted = "monitoring_plaintext_networks: [10.0.0.0/16]\n"
    for network, expected in (("", 1), (trusted, 0)):
        messages = messages_of(check, "loki", variables + network)
        assert sum(problem in message for message in messages) == expected, messages


def three_lokis(variables: str, *of_hosts: str) -> str:
    """Return an inventory of three hosts in the group of Loki."""
    hosts = cluster("loki", STORES + variables, *of_hosts)
    third = "    c: {monitoring_address: 10.0.0.3}\n  children"
    return hosts.replace("  children", third).replace("b: {}}", "b: {}, c: {}}")


def test_accepts_three_lokis_with_a_bucket(check: Check) -> None:
    assert blockers(check, three_lokis(STORE)) == []


DISK = "{from: '2024-01-01', store: tsdb, object_store: filesystem, schema: v13}"


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ("", "group loki (a, b, c): each Loki would keep only the logs"),
        (
            STORE.replace("loki: logs", "tempo: traces"),
            "group loki (a, b, c): each Loki would keep only the logs",
        ),
        (
            STORE + "loki_object_store_from: '2026-12-01'\n",
            "loki_object_store_from of a, b, c: the logs of before are on the disk of",
        ),
        (
            f"{STORE}loki_schema_configs: [{DISK}, {DISK.replace('filesystem', 's3')}]\n",
            "loki_object_store_from of a, b, c: the logs of before are on the disk of",
        ),
        (
            STORE + "loki_grpc_listen_address: 127.0.0.1:9096\n",
            "loki on a, loki_grpc_listen_address: 127.0.0.1 cannot be reached from b",
        ),
        (
            STORE + "loki_memberlist_listen_address: logs.example:7946\n",
            "loki_memberlist_listen_address: logs.example is no IP address",
        ),
        (
            STORE + "loki_memberlist_listen_address: '{{ monitoring_address }}:9096'\n",
            "loki and loki on a: both listen on 10.0.0.1:9096",
        ),
    ],
)
def test_refuses_lokis_that_are_no_ring(
    check: Check, variables: str, found: str
) -> None:
    messages = blockers(check, three_lokis(variables))
    assert any(found in message for message in messages), messages


def test_refuses_two_lokis_with_a_bucket(check: Check) -> None:
    (message,) = messages_of(check, "loki", STORES + STORE)
    assert message.startswith("group loki (a, b): of two Lokis none may be down")


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("127.0.0.1:19095", False),
        ("localhost:9095", False),
        ("0.0.0.0:9095", False),
        (":9095", False),
        ("'[::]:9095'", False),
        ("10.0.0.1:9095", True),
        ("127.0.0.2:9095", True),
        ("'[::1]:9095'", True),
        ("traces.example:9095", True),
    ],
)
def test_refuses_an_address_at_which_a_single_tempo_does_not_find_itself(
    check: Check, address: str, refused: bool
) -> None:
    hosts = (
        "monitoring:\n  vars:\n    monitoring_environment: dev\n"
        f"    tempo_grpc_listen_address: {address}\n"
        "  children: {tempo: {hosts: {a: {}}}}\n"
    )
    found = [message for message in blockers(check, hosts) if "own parts at" in message]
    assert len(found) == refused
    assert not refused or found[0].startswith(
        "tempo_grpc_listen_address of a: a single"
    )


TRACES = STORE.replace("loki: logs", "tempo: traces")


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        (TRACES, ""),
        (STORE, "group tempo (a, b, c): each Tempo would keep only the traces"),
        (
            TRACES + "tempo_version: 3.0.3\nmonitoring_allow_unlocked: true\n",
            "tempo_version of a, b, c: several Tempos of version 3 require Kafka",
        ),
        (
            TRACES + "tempo_grpc_listen_address: 127.0.0.1:9095\n",
            "tempo on a, tempo_grpc_listen_address: 127.0.0.1 cannot be reached from b",
        ),
    ],
)
def test_accepts_three_tempos_that_are_a_ring(
    check: Check, variables: str, found: str
) -> None:
    hosts = three_lokis(variables).replace("children: {loki:", "children: {tempo:")
    messages = blockers(check, hosts)
    assert any(found in message for message in messages) == bool(found), messages
    assert bool(messages) == bool(found)


def test_refuses_two_tempos_with_a_bucket(check: Check) -> None:
    (message,) = messages_of(check, "tempo", STORES + TRACES)
    assert message.startswith("group tempo (a, b): of two Tempos none may be down")


def test_refuses_lokis_of_which_some_have_certificates(check: Check) -> None:
    (message,) = blockers(check, three_lokis(STORE, CERTIFICATE))
    assert message.startswith("loki on a, b, c: TLS on a and plain text on b, c do")


@pytest.mark.parametrize("limit", ["a", "b"])
def test_refuses_a_group_also_when_the_run_is_limited_to_one_of_its_hosts(
    check: Check, limit: str
) -> None:
    refused = check(cluster("loki", STORES), limit=limit)
    assert refused["msg"].startswith("group loki (a, b): ")
    assert "warnings" not in refused


def test_requires_that_prometheus_reaches_every_alertmanager(check: Check) -> None:
    hosts = cluster("alertmanager", STORES).replace(
        "children: {", "children: {prometheus: {hosts: {a: {}}}, "
    )
    assert blockers(check, hosts) == []
    hidden = hosts.replace(
        "10.0.0.2,", "10.0.0.2, alertmanager_listen_address: '127.0.0.1:9',"
    )
    found = (
        "alertmanager on b, alertmanager_listen_address: 127.0.0.1 cannot be reached"
    )
    assert any(message.startswith(found) for message in blockers(check, hidden))
