# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons why a run would do nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.action import run_check
from ansible_collections.hippius.monitoring.plugins.plugin_utils import run_scope

RUN = run_scope.Run(
    sources=["inv.yml"],
    limit="",
    groups={"all": ["a", "b"], "loki": ["a"], "monitoring": ["a", "b"]},
    hosts=["a", "b"],
    tags=["all"],
    skipped_tags=[],
)
SITE = run_scope.Expectation(
    ["loki", "tempo", "monitoring"],
    {"loki": "loki", "tempo": "tempo", "prune": "monitoring"},
)
STATUS = run_scope.Expectation(["monitoring"], {})
EXPORT = run_scope.Expectation(["grafana"], {})
LOCK = run_scope.Expectation([], {}, takes_limit=False)
B_ALONE = RUN._replace(limit="b", hosts=["b"])
NO_BATCH = "is no number of hosts; write one such as 1 or 25%."
TAGS = "choose one of: loki, tempo, prune."


@pytest.mark.parametrize(
    ("run", "expected", "errors"),
    [
        pytest.param(RUN, SITE, [], id="everything"),
        pytest.param(RUN._replace(tags=["loki"]), SITE, [], id="tag"),
        pytest.param(
            RUN._replace(tags=["loki", "tempo"]), SITE, [], id="a tag too many"
        ),
        pytest.param(RUN._replace(tags=["always"]), SITE, [], id="checks alone"),
        pytest.param(B_ALONE, SITE, [], id="host that may have left its groups"),
        pytest.param(RUN._replace(groups={"all": []}, hosts=[]), LOCK, [], id="lock"),
        pytest.param(
            RUN._replace(groups={"all": []}, hosts=[], sources=[]),
            SITE,
            ["inventory (without -i): has no host; pass one with -i, and"],
            id="no inventory",
        ),
        pytest.param(
            RUN._replace(groups={"all": ["a"], "web": ["a"]}),
            SITE,
            [
                "inventory (inv.yml): has no host in the group loki, tempo or monitoring; add"
            ],
            id="other groups",
        ),
        pytest.param(
            RUN,
            EXPORT,
            ["inventory (inv.yml): has no host in the group grafana; add"],
            id="export without Grafana",
        ),
        pytest.param(
            RUN._replace(
                groups={**RUN.groups, "grafana": ["a"]}, limit="b", hosts=["b"]
            ),
            EXPORT,
            [
                "--limit b: none of its hosts (b) is in the group grafana; choose others."
            ],
            id="limit without Grafana",
        ),
        pytest.param(
            B_ALONE,
            LOCK,
            ["--limit b: this playbook runs on the controller; omit it."],
            id="limited lock",
        ),
        pytest.param(
            RUN._replace(tags=["lokki"]),
            SITE,
            [f"--tags lokki: no play has this tag; did you mean loki? {TAGS}"],
            id="misspelled tag",
        ),
        pytest.param(
            RUN._replace(skipped_tags=["molecule-idempotence-notest", "notest"]),
            SITE,
            [],
            id="tags that Molecule skips",
        ),
        pytest.param(
            RUN._replace(skipped_tags=["promtail-x"]),
            SITE,
            [f"--skip-tags promtail-x: no play has this tag; {TAGS}"],
            id="unknown tag to skip",
        ),
        pytest.param(
            RUN._replace(tags=["loki", "tmpo", "x"]),
            SITE,
            [
                f"--tags tmpo: no play has this tag; did you mean tempo? {TAGS}",
                f"--tags x: no play has this tag; {TAGS}",
            ],
            id="several",
        ),
        pytest.param(
            RUN._replace(tags=["tempo"]),
            SITE,
            [
                "--tags tempo: no host of this run (a, b) is in the group tempo; select others."
            ],
            id="tag without a host",
        ),
        pytest.param(
            B_ALONE._replace(tags=["loki"]),
            SITE,
            [
                "--tags loki: no host of this run (b) is in the group loki; select others."
            ],
            id="limit without the tag",
        ),
        pytest.param(
            RUN._replace(tags=["loki"], skipped_tags=["loki"]),
            SITE,
            ["--tags loki --skip-tags loki: no play is left;"],
            id="everything skipped",
        ),
        pytest.param(
            RUN._replace(tags=["untagged"]),
            SITE,
            ["--tags untagged: no play is left;"],
            id="untagged",
        ),
        pytest.param(
            RUN._replace(tags=["loki"]),
            STATUS,
            ["--tags loki: this playbook has no tags; run it without --tags."],
            id="status with a tag",
        ),
    ],
)
def test_refuses_what_would_do_nothing(
    run: run_scope.Run, expected: run_scope.Expectation, errors: list[str]
) -> None:
    found = run_scope.errors_of(run, expected, is_own_playbook=True)
    pairs = zip(found, errors, strict=True)
    assert [text[: len(beginning)] for text, beginning in pairs] == errors


def test_leaves_the_tags_of_a_playbook_of_the_user_alone() -> None:
    run = RUN._replace(tags=["deploy"])
    assert run_scope.errors_of(run, SITE, is_own_playbook=False) == []


@pytest.mark.parametrize(
    ("core", "python", "subjects"),
    [
        ("2.17.0rc1", (3, 11, 2), []),
        ("2.21.5", (3, 14, 0), []),
        ("2.16.19", (3, 12, 1), ["ansible-core 2.16.19"]),
        ("2.17.14", (3, 10, 4), ["Python 3.10.4"]),
        ("2.9", (3, 8, 0), ["ansible-core 2.9", "Python 3.8.0"]),
    ],
)
def test_refuses_a_controller_that_is_too_old(
    core: str, python: tuple[int, ...], subjects: list[str]
) -> None:
    errors = run_scope.unsupported(run_check.version_of(core), python)
    assert [
        error.split(" on the controller: is too old; ")[0] for error in errors
    ] == subjects


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ({}, []),
        ({"purge": "yes", "strict": False, "monitoring_serial": "25%"}, []),
        ({"monitoring_serial": [1, "50%"]}, []),
        ({"purge": "maybe"}, ["purge: 'maybe' is no boolean; write true or false."]),
        (
            {"strict": "x", "verify_notifications": 5},
            [
                "strict: 'x' is no boolean; write true or false.",
                "verify_notifications: 5 is no boolean; write true or false.",
            ],
        ),
        *(
            (
                {"monitoring_serial": serial},
                [f"monitoring_serial: {serial!r} {NO_BATCH}"],
            )
            for serial in ("abc", 0, "0%", "-1", [], [1, "x"])
        ),
    ],
)
def test_refuses_values_that_ansible_would_read_as_others(
    variables: dict[str, Any], errors: list[str]
) -> None:
    assert run_scope.request_errors(variables) == errors


def test_warns_of_extra_variables_that_resemble_those_of_playbooks() -> None:
    names = ["bundel", "secret_file", "my_port", "purge", "loki_version", "formatt"]
    assert run_scope.misspelled_requests(names) == [
        "-e bundel: is no variable of a playbook; did you mean bundle?",
        "-e formatt: is no variable of a playbook; did you mean format?",
        "-e secret_file: is no variable of a playbook; did you mean secrets_file?",
    ]
