# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before any host is touched, over real inventory files and the real roles, without a run."""

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
from ansible_collections.hippius.monitoring.plugins.plugin_utils import arguments, inventory

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
Judge = Callable[..., dict]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Look at an inventory, with some more variables of all hosts, as the first play does."""
    monkeypatch.chdir(tmp_path)

    def judged(hosts: str = INVENTORY, variables: str = "", limit: str = "all") -> dict:
        lines = "".join(f"    {line}\n" for line in variables.splitlines())
        Path("hosts.yml").write_text(hosts.replace("  children:\n", f"{lines}  children:\n", 1))
        loader = DataLoader()
        manager = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.yml")])
        variables = VariableManager(loader=loader, inventory=manager)
        hostvars = HostVars(inventory=manager, variable_manager=variables, loader=loader)
        found = inventory.Inventory(loader, manager.get_groups_dict(), hostvars)
        return inventory_check.judged(found, [host.name for host in manager.list_hosts(limit)])

    return judged


def test_an_inventory_that_will_do_is_not_spoken_of(judge: Judge) -> None:
    right = "loki_retention: 14d\nprometheus_flags: --one\n"
    right += "prometheus_config_extra: {global: {scrape_interval: 10s}}\nour_loki_thing: 1\n"
    assert judge(variables=right) == {"changed": False}


def test_problems_are_told_for_the_whole_inventory_and_as_one_message(judge: Judge) -> None:
    refused = judge(
        INVENTORY.replace("10.0.0.1:9090", "127.0.0.1:9090").replace(
            "10.0.0.2:9090", "127.0.0.1:9091"
        )
    )
    assert refused["failed"]
    first, second = sorted(refused["msg"].splitlines())
    assert first.startswith(
        "prometheus on a, {{ prometheus_listen_address }}: 127.0.0.1 cannot be reached from b"
    )
    assert "hosts.yml:8" in first
    assert second.startswith(
        "prometheus on b, {{ prometheus_listen_address }}: 127.0.0.1 cannot be reached from a"
    )


def test_plain_text_between_hosts_is_refused_outside_dev(judge: Judge) -> None:
    found = problems(judge, INVENTORY.replace(": dev", ": prod"))
    assert len(found) == 2
    assert all("plain text" in problem for problem in found)


def test_what_is_wrong_with_hosts_outside_of_a_run_is_warned_about(judge: Judge) -> None:
    hosts = INVENTORY.replace(
        "monitoring_address: logs.b", "loki_secrets: {key: ''}\n          loki_version: 0.0.1"
    )
    told = judge(hosts, limit="a")["warnings"]
    assert [warning.partition(": ")[0] for warning in told] == ["Not in the way of this run"] * 2
    assert all(
        words in "".join(told)
        for words in ("key in loki_secrets is empty for b", "Release loki 0.0.1")
    )
    assert judge(hosts, limit="b")["msg"].count("\n") == 1
    # Prometheus on a asks what is on b.
    asked = INVENTORY.replace(
        "loki_listen_address: 0.0.0.0:3100", "loki_listen_address: 127.0.0.1:3100"
    )
    assert "loki on b" in judge(asked, limit="a")["msg"]
    assert "msg" not in judge(asked, limit="b")


def test_a_missing_environment_is_told_once(judge: Judge) -> None:
    (problem,) = problems(judge, INVENTORY.replace("monitoring_environment", "environment_of_ours"))
    assert "monitoring_environment is not set for b, a." in problem


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(
            "loki_secrets: [one]",
            ["loki_secrets of b: it has to be a mapping.", "(loki_secrets: hosts.yml:5)"],
            id="type",
        ),
        pytest.param(
            "\n\nprometheus_config_extra: yes",
            ["prometheus_config_extra of a, b: ", "hosts.yml:7"],
            id="line",
        ),
        pytest.param(
            "loki_version: 0.0.1", ["Release loki 0.0.1", "(loki_version: hosts.yml:5)"], id="lock"
        ),
        pytest.param(
            "loki_config_extra: '{{ nowhere }}'",
            ["loki_config_extra of b: ", "nowhere"],
            id="undefined",
        ),
        pytest.param(
            "prometheus_flags:\n  - --web.console: x",
            [
                "prometheus_flags of a, b: each element of it has to be a text. (prometheus_flags: hosts.yml:5)"
            ],
            id="flag with a colon",
        ),
        pytest.param(
            "loki_config_extra: a=b",
            ["loki_config_extra of b: it has to be a mapping."],
            id="no mapping",
        ),
        pytest.param(
            "loki_retention: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132",
            ["loki_retention of b: ", "decrypt", "(loki_retention: hosts.yml:5)"],
            id="vaulted",
        ),
        pytest.param(
            "loki_retention: [7d]", ["loki_retention of b: it has to be a text."], id="no text"
        ),
        pytest.param(
            "loki_config_extra:",
            ["loki_config_extra of b: it has no value", "hosts.yml:5"],
            id="no value",
        ),
        pytest.param(
            "loki_config_file: away.yml",
            ["loki_config_file of b: there is no file away.yml on the"],
            id="no file",
        ),
        pytest.param(
            "prometheus_rule_files: [away.yml]",
            ["prometheus_rule_files of a, b: there is no"],
            id="no files",
        ),
    ],
)
def test_a_variable_is_named_with_file_and_line(judge: Judge, variables: str, words: list) -> None:
    refused = judge(variables=f"{variables}\n")
    assert [word for word in words if word not in refused["msg"]] == []


def test_no_value_is_as_good_as_an_empty_text_where_that_is_the_default(judge: Judge) -> None:
    assert judge(variables="loki_config_file:\nmonitoring_mirrors:\n") == {"changed": False}


def test_a_file_is_looked_for_where_its_role_finds_it(judge: Judge, tmp_path: Path) -> None:
    for name in ("files/own.yml", "beside.yml", "elsewhere.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rules = f"prometheus_rule_files: [own.yml, beside.yml, {tmp_path}/elsewhere.yml]\n"
    assert judge(variables=rules + "loki_config_file: own.yml\n") == {"changed": False}


def test_the_definition_that_counts_is_the_one_that_is_named(judge: Judge, tmp_path: Path) -> None:
    for name, line in (
        ("group_vars/all.yml", "loki_retention: 7d"),
        ("host_vars/b.yml", "---\nloki_retention: [9d]"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"{line}\n")
    assert judge()["msg"].startswith(
        "loki_retention of b: it has to be a text. (loki_retention: host_vars/b.yml:2"
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            "loki_listen_address: 3100",
            "loki on b, {{ loki_listen_address }}: 3100 is not host:port.",
        ),
        (
            "loki_listen_address: '{{ nowhere }}'",
            "loki_listen_address of b: 'nowhere' is undefined",
        ),
    ],
)
def test_the_same_is_told_once(judge: Judge, variables: str, words: str) -> None:
    hosts = INVENTORY + "    promtail: {hosts: {b: {promtail_listen_address: '0.0.0.0:9080'}}}\n"
    told = problems(judge, hosts.replace("loki_listen_address: 0.0.0.0:3100", variables))
    assert [problem[: len(words)] for problem in told] == [words]


def test_a_role_without_a_component_is_that_of_the_hosts_it_is_named_after(judge: Judge) -> None:
    hosts = INVENTORY + "    grafana: {hosts: {c: {}}}\n"
    secrets = "grafana_admin_password: one of ours\ngrafana_secret_key: another one of ours\n"
    refused = judge(hosts, secrets + "grafana_content_environment: nothing\n")
    assert "grafana_content_environment of c: it has to be a mapping. (" in refused["msg"]


@pytest.mark.parametrize(
    "value",
    ["[canary]", "[{name: [canary]}]", "canary", "{name: canary}", "[{name: x, passwort: canary}]"],
)
def test_what_may_hold_a_secret_is_not_quoted(value: str) -> None:
    option = arguments.options()["redis_exporter"]["redis_exporter_instances"]
    refusals = arguments.refusals("redis_exporter_instances", option, yaml.safe_load(value))
    assert refusals
    assert not any("canary" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("flags: --is-cluster", ["flags in each element of it has to be a list"]),
        (
            "flags: [--is-cluster: true]",
            ["each element of flags in each element of it has to be a text"],
        ),
        ("flags: [--is-cluster]", []),
        ("password:", []),
    ],
)
def test_parts_of_a_value_are_looked_at(part: str, words: list) -> None:
    option = arguments.options()["redis_exporter"]["redis_exporter_instances"]
    instance = yaml.safe_load(
        f"name: main\nlisten_address: 127.0.0.1:1\nredis_address: 127.0.0.1:2\n{part}\n"
    )
    assert arguments.refusals("redis_exporter_instances", option, [instance]) == words


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("loki_retentoin", "loki_retention"),
        ("loki_retention", ""),
        ("loki_of_our_own", ""),
        ("our_loki_retention", ""),
        ("grafana_content_folder_", "grafana_content_folder"),
    ],
)
def test_a_slip_of_the_pen_is_known(name: str, meant: str) -> None:
    known = {"loki": {"loki_retention": {}, "loki_version": {}}, "grafana": {"grafana_version": {}}}
    assert (
        arguments.nearest(name, {**known, "grafana_content": {"grafana_content_folder": {}}})
        == meant
    )


def test_a_slip_of_the_pen_is_warned_about_with_its_place(judge: Judge) -> None:
    slip = judge(variables="loki_retentoin: 14d\n")
    assert "failed" not in slip
    (warning,) = slip["warnings"]
    assert (
        warning
        == "loki_retentoin of a is no variable of a role; loki_retention is. (loki_retentoin: hosts.yml:5)"
    )


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (
            "node-exporter",
            ["b in the group node-exporter: no role is called so; node_exporter is."],
        ),
        (
            "redis_exporters",
            ["b in the group redis_exporters: no role is called so; redis_exporter is."],
        ),
        ("prometheus_eu", []),
        ("webservers", []),
    ],
)
def test_a_group_that_is_nearly_a_roles_is_warned_about(
    judge: Judge, group: str, words: list
) -> None:
    hosts = INVENTORY.replace(
        "    prometheus:\n", "    prometheus:\n      children: {prometheus_eu: {}}\n"
    )
    assert judge(f"{hosts}    {group}: {{hosts: {{b: {{}}}}}}\n").get("warnings", []) == words


def test_a_host_that_nobody_asks_for_its_status_is_warned_about(judge: Judge) -> None:
    (warning,) = judge(
        INVENTORY.replace("monitoring: {hosts: {a: {}", "monitoring: {hosts: {c: {}")
    )["warnings"]
    assert warning.startswith("a should be in the group monitoring")


def test_the_variables_that_all_roles_share_are_those_of_the_documentation() -> None:
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("playbooks/*.yml"), ROOT / "README.md"]
    named = {name for page in pages for name in re.findall(r"\bmonitoring_\w+", page.read_text())}
    assert named == set(arguments.SHARED)


def test_variables_that_all_roles_share_are_judged_too(judge: Judge) -> None:
    found = judge(
        variables="monitoring_mirror: [http://mirror.example]\nmonitoring_prune_max: many\n"
    )
    assert found["warnings"] == [
        "monitoring_mirror of a is no variable of a role; monitoring_mirrors is. (monitoring_mirror: hosts.yml:5)"
    ]
    assert (
        found["msg"]
        == "monitoring_prune_max of b, a: it has to be a number. (monitoring_prune_max: hosts.yml:6)"
    )


def problems(judge: Judge, hosts: str) -> list:
    return judge(hosts).get("msg", "").splitlines()


ALONE = "loki: {hosts: {a: {monitoring_environment: test}}}"


def test_problems_tell_a_version_that_no_lock_file_has(judge: Judge, tmp_path: Path) -> None:
    assert problems(judge, ALONE) == []
    (problem,) = problems(judge, ALONE.replace("test}", "test, loki_version: 9.9.9}"))
    assert problem.startswith(
        "loki_version of a is 9.9.9. Release loki 9.9.9 is not in the collection's"
    )
    own = tmp_path / "own.yml"
    own.write_text(
        f"loki: {{9.9.9: {{amd64: {{url: https://releases.example/loki, sha256: {'a' * 64}}}}}}}"
    )
    where = f"monitoring_releases_lock: {own}, loki_version: '{{{{ wanted }}}}', wanted: 9.9.9"
    assert problems(judge, ALONE.replace("test}", f"test, {where}}}")) == []


OWN_FILE = (
    "grafana: {hosts: {a: {monitoring_environment: prod, grafana_config_file: own.ini, grafana_secret_key: '',"
    " grafana_admin_password: WORD, grafana_content_discord_webhook: 'https://discord.com/api/webhooks/HOOK'}}}"
)


@pytest.mark.parametrize(
    ("word", "hook", "told"),
    [
        pytest.param("correct horse battery", "1/x", [], id="good ones"),
        pytest.param(
            "admin",
            "1/x",
            ["grafana_admin_password of a is the example"],
            id="everybody's password",
        ),
        pytest.param("''", "1/x", ["grafana_admin_password is not set for a"], id="no password"),
        pytest.param(
            "correct horse battery",
            "dummy",
            ["grafana_content_discord_webhook of a is the example"],
            id="a dummy",
        ),
    ],
)
def test_a_configuration_file_of_ones_own_lets_no_example_pass(
    judge: Judge, word: str, hook: str, told: list
) -> None:
    Path("own.ini").touch()
    found = problems(judge, OWN_FILE.replace("WORD", word).replace("HOOK", hook))
    assert [problem[: len(words)] for problem, words in zip(found, told, strict=True)] == told


def test_a_password_that_everybody_knows_is_refused_outside_of_dev(judge: Judge) -> None:
    instance = "{name: main, listen_address: '127.0.0.1:1', postgres_address: '127.0.0.1:2', password: postgres}"
    variables = f"monitoring_environment: dev, postgres_exporter_instances: [{instance}]"
    groups = f"postgres_exporter: {{hosts: {{a: {{{variables}}}}}}}"
    assert problems(judge, groups) == []
    (problem,) = problems(judge, groups.replace("dev", "prod"))
    assert problem.startswith(
        "password in postgres_exporter_instances of a, instance main is the example of dev"
    )
