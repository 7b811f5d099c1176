# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told of a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    generation,
    layout,
    release_store,
    status,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import Unit
from tests.unit.component.factories import RELEASE_DIRECTORY, built, instance, running

TIMER = {
    "loki-sweep.timer": {"Timer": {"OnCalendar": "daily"}, "Install": {"WantedBy": "timers.target"}}
}
SEEN = running(
    instance(units={**TIMER, "loki-sweep.service": {"Service": {"ExecStart": "/bin/true"}}})
)
FINE = status.Told({}, (), "")
IDLE = Unit(active="inactive")


def units(**changes: Unit) -> dict:
    return {
        **SEEN.units,
        **{name.replace("_", "-") + ".service": unit for name, unit in changes.items()},
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"drift": ("etc/loki-config.yml",)},
            ["/etc/loki/loki-config.yml was changed by hand"],
            id="file",
        ),
        pytest.param(
            {"drift": ("release",)},
            [f"the link {layout.current('loki')}/release was changed by hand"],
            id="release",
        ),
        pytest.param(
            {"untracked": ("etc/x.yml~",)}, ["/etc/loki/x.yml~ was added by hand"], id="added"
        ),
        pytest.param(
            {"links": ("/etc/loki",)}, ["/etc/loki is missing or points elsewhere"], id="link"
        ),
        pytest.param(
            {
                "links": ("/etc/systemd/system/loki.service",),
                "unmanaged": ("/etc/systemd/system/loki.service",),
            },
            ["/etc/systemd/system/loki.service is in the way of ours"],
            id="unit of their own",
        ),
        pytest.param(
            {"release_intact": False}, ["the unpacked release is damaged"], id="damaged release"
        ),
    ],
)
def test_drift_is_told_in_words(changes: dict, expected: list) -> None:
    assert status.drift("loki", replace(SEEN, **changes), FINE) == expected


def test_what_systemd_was_told_by_others_is_drift() -> None:
    told = status.Told(
        {"loki.service": ["/etc/systemd/system/loki.service.d/override.conf"]},
        ("loki.service",),
        "",
    )
    assert status.drift("loki", SEEN, told) == [
        "/etc/systemd/system/loki.service.d/override.conf overrides loki.service",
        "systemd has not read the present loki.service",
    ]


def test_drop_ins_are_seen_before_systemd_has_read_them_and_those_for_every_service_are_not(
    places: Path,
) -> None:
    own = Path(layout.UNITS) / "loki.service.d" / "override.conf"
    own.parent.mkdir(parents=True)
    own.touch()
    loaded = (
        "/run/systemd/system/loki.service.d/a.conf /usr/lib/systemd/system/service.d/10-abort.conf"
    )
    assert status._drop_ins("loki.service", "") == [str(own)]
    assert status._drop_ins("loki.service", loaded) == sorted([str(own), loaded.split()[0]])


@pytest.mark.parametrize(
    ("changes", "told", "expected"),
    [
        pytest.param({}, FINE, [], id="nothing"),
        pytest.param({}, replace(FINE, lacking="x answers 503"), ["x answers 503"], id="not ready"),
        pytest.param(
            {"units": units(loki=IDLE)},
            replace(FINE, lacking="x"),
            ["loki.service is inactive"],
            id="stopped",
        ),
        pytest.param(
            {"units": units(loki_sweep=IDLE)}, FINE, [], id="a service that waits for its timer"
        ),
        pytest.param(
            {"units": {**SEEN.units, "loki-sweep.timer": IDLE}},
            FINE,
            ["loki-sweep.timer is inactive"],
            id="timer",
        ),
        pytest.param({"running": "0-a"}, FINE, ["generation 0-a still runs"], id="behind"),
        pytest.param(
            {"running": ""}, FINE, ["it is not known which generation runs"], id="not known"
        ),
        pytest.param(
            {"running_unit": "x"},
            FINE,
            ["it was started from another definition of loki.service"],
            id="unit",
        ),
        pytest.param(
            {"last_known_good": "0-a"}, FINE, ["its generation was never proven"], id="not proven"
        ),
        pytest.param({"pending": True}, FINE, ["its last rollout was not finished"], id="killed"),
        pytest.param(
            {"rolled_back_from": "9-z"},
            FINE,
            ["rolled back from 9-z until the next rollout"],
            id="rolled back",
        ),
        pytest.param({"rolled_back_from": "0-z"}, FINE, [], id="rolled forward since"),
    ],
)
def test_problems_are_told_in_words(changes: dict, told: status.Told, expected: list) -> None:
    assert status.problems("loki", replace(SEEN, **changes), told) == expected


@pytest.fixture
def host(places: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with one component, which runs as it was rolled out, without a running systemd."""
    Path(layout.etc("loki")).parent.mkdir(parents=True)
    desired = instance()
    name = generation.write(desired, built(desired), 0)
    generation.switch("loki", name)
    generation.set_links("loki", built(desired))
    generation.commit("loki", name, set())
    generation.files.replace(
        layout.running("loki"), f"i generations/{name} {desired.unit}\n".encode(), 0o600
    )
    state = Unit(active="active", main_pid=7, invocation="i", restarts=2)
    monkeypatch.setattr(status.systemd, "show", lambda names: dict.fromkeys(names, state))
    monkeypatch.setattr(
        status.systemd, "properties", lambda names, desired: {unit: {} for unit in names}
    )
    monkeypatch.setattr(release_store, "intact", lambda directory: directory == RELEASE_DIRECTORY)
    return places


def test_a_host_is_told_as_data_and_as_a_table_and_nothing_is_written(host: Path) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in host.rglob("*"))
    told = status.status({"expected": ["loki", "tempo"]}, False)
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in host.rglob("*")) == before
    assert told["changed"] is False
    loki = told["instances"]["loki"]
    facts = ("release", "version", "state", "ready", "drift", "problems", "restarts")
    assert [loki[fact] for fact in facts] == ["loki-3.7.8", "3.7.8", "active", True, [], [], 2]
    lines = [told["header"], *told["lines"]]
    assert [line.split()[0] for line in lines] == ["COMPONENT", "loki", "tempo"]
    assert lines[1].split()[1:] == [
        "3.7.8",
        loki["generation"],
        loki["since"],
        "ready",
        "2",
        "restarts",
    ]
    assert lines[2].split()[-4:] == ["it", "is", "not", "installed"]
    column = lines[0].index("STATE")
    assert [line[column:].split()[0] for line in lines] == ["STATE", "ready", "absent"]


def test_a_component_that_the_inventory_does_not_have_is_told(host: Path) -> None:
    told = status.status({"expected": []}, False)["instances"]["loki"]
    assert told["problems"] == ["the inventory does not have it on this host"]
    assert status.status({"expected": None}, False)["instances"]["loki"]["problems"] == []


def test_a_component_whose_manifest_is_damaged_is_told_and_is_no_error(host: Path) -> None:
    Path(layout.current("loki"), "manifest.json").write_text("{}")
    told = status.status({"expected": None}, False)["instances"]["loki"]
    assert told["state"] == "broken" and "is damaged" in told["problems"][0]


@pytest.mark.parametrize(
    ("directory", "version"),
    [
        ("loki-3.7.8-01234567", "3.7.8"),
        ("otel_collector-0.155.0-01234567", "0.155.0"),
        ("grafana-13.0.1+security-01-01234567", "13.0.1+security-01"),
        ("my-own-tool-1.0-rc1-01234567", "1.0-rc1"),
    ],
)
def test_a_version_is_found_in_the_name_of_a_release(directory: str, version: str) -> None:
    assert status.RELEASE.match(directory)["version"] == version
