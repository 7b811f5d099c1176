# SPDX-License-Identifier: GPL-3.0-or-later
"""Status of a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    accounts,
    generation,
    layout,
    release_store,
    status,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    Unit,
)
from tests.unit.component.factories import RELEASE_DIRECTORY, built, instance, running

TIMER = {
    "loki-sweep.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    }
}
OBSERVED = running(
    instance(
        units={**TIMER, "loki-sweep.service": {"Service": {"ExecStart": "/bin/true"}}}
    )
)
FINE = status.InstanceStatus({}, (), "")
IDLE = Unit(active="inactive")


def units(**changes: Unit) -> dict[str, Unit]:
    services = {
        name.replace("_", "-") + ".service": unit for name, unit in changes.items()
    }
    return {**OBSERVED.units, **services}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"drift": ("etc/loki-config.yml",)},
            ["/etc/loki/loki-config.yml was changed manually"],
            id="file",
        ),
        pytest.param(
            {"drift": ("release",)},
            [f"the link {layout.current('loki')}/release was changed manually"],
            id="release",
        ),
        pytest.param(
            {"untracked": ("etc/x.yml~",)},
            ["/etc/loki/x.yml~ was added manually"],
            id="added",
        ),
        pytest.param(
            {"links": ("/etc/loki",)},
            ["/etc/loki is missing or points elsewhere"],
            id="link",
        ),
        pytest.param(
            {
                "links": ("/etc/systemd/system/loki.service",),
                "unmanaged": ("/etc/systemd/system/loki.service",),
            },
            ["/etc/systemd/system/loki.service is unmanaged and in the way"],
            id="unmanaged unit",
        ),
        pytest.param(
            {"release_intact": False},
            ["the unpacked release is damaged"],
            id="damaged release",
        ),
    ],
)
def test_drift_is_described(changes: dict, expected: list) -> None:
    assert status.drift("loki", replace(OBSERVED, **changes), FINE) == expected


def test_drift_includes_drop_ins_and_units_that_systemd_has_not_loaded() -> None:
    instance_status = status.InstanceStatus(
        {"loki.service": ["/etc/systemd/system/loki.service.d/override.conf"]},
        ("loki.service",),
        "",
    )
    assert status.drift("loki", OBSERVED, instance_status) == [
        "/etc/systemd/system/loki.service.d/override.conf overrides loki.service",
        "systemd has not loaded the current loki.service",
    ]


def test_drop_ins_are_found_before_systemd_has_loaded_them_and_those_for_every_service_are_not(
    places: Path,
) -> None:
    own = Path(layout.UNITS) / "loki.service.d" / "override.conf"
    own.parent.mkdir(parents=True)
    own.touch()
    loaded = (
        "/run/systemd/system/loki.service.d/a.conf"
        " /usr/lib/systemd/system/service.d/10-abort.conf"
    )
    assert status._drop_ins("loki.service", "") == [str(own)]
    assert status._drop_ins("loki.service", loaded) == sorted(
        [str(own), loaded.split()[0]]
    )


@pytest.mark.parametrize(
    ("changes", "instance_status", "expected"),
    [
        pytest.param({}, FINE, [], id="nothing"),
        pytest.param(
            {},
            replace(FINE, not_ready="x answers 503"),
            ["x answers 503"],
            id="not ready",
        ),
        pytest.param(
            {"units": units(loki=IDLE)},
            replace(FINE, not_ready="x"),
            ["loki.service is inactive"],
            id="stopped",
        ),
        pytest.param(
            {"units": units(loki_sweep=IDLE)},
            FINE,
            [],
            id="a service that waits for its timer",
        ),
        pytest.param(
            {"units": {**OBSERVED.units, "loki-sweep.timer": IDLE}},
            FINE,
            ["loki-sweep.timer is inactive"],
            id="timer",
        ),
        pytest.param(
            {"running": "0-a"}, FINE, ["generation 0-a is still running"], id="behind"
        ),
        pytest.param(
            {"running": ""}, FINE, ["the running generation is unknown"], id="unknown"
        ),
        pytest.param(
            {"running_unit": "x"},
            FINE,
            ["it was started from another definition of loki.service"],
            id="unit",
        ),
        pytest.param(
            {"last_known_good": "0-a"},
            FINE,
            ["its generation was never verified"],
            id="not verified",
        ),
        pytest.param(
            {"pending": True}, FINE, ["its last rollout was not finished"], id="killed"
        ),
        pytest.param(
            {"rolled_back_from": "9-z"},
            FINE,
            ["rolled back from 9-z until the next rollout"],
            id="rolled back",
        ),
        pytest.param({"rolled_back_from": "0-z"}, FINE, [], id="rolled forward since"),
    ],
)
def test_diagnostics_are_described(
    changes: dict, instance_status: status.InstanceStatus, expected: list
) -> None:
    observed = replace(OBSERVED, **changes)
    lines = status.diagnostics("loki", observed.manifest, observed, instance_status)
    assert lines == expected


@pytest.fixture
def host(places: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a host with one converged component, without a running systemd."""
    Path(layout.etc("loki")).parent.mkdir(parents=True)
    desired = instance()
    monkeypatch.setattr(accounts, "group_of", lambda _name: 0)
    name = generation.write(desired, built(desired), 0)
    generation.switch("loki", name)
    generation.set_links("loki", built(desired))
    generation.commit("loki", name, set())
    generation.files.replace(
        layout.running("loki"),
        f"i generations/{name} {desired.unit_digest}\n".encode(),
        0o600,
    )
    state = Unit(active="active", main_pid=7, invocation="i", restarts=2)
    monkeypatch.setattr(
        status.systemd, "show", lambda names: dict.fromkeys(names, state)
    )
    monkeypatch.setattr(
        status.systemd, "properties", lambda units, names: {unit: {} for unit in units}
    )
    monkeypatch.setattr(
        release_store, "intact", lambda directory: directory == RELEASE_DIRECTORY
    )
    return places


def test_a_host_is_reported_as_data_and_as_a_table_and_nothing_is_written(
    host: Path,
) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in host.rglob("*"))
    result = status.status({"expected": ["loki", "tempo"]}, False)
    assert (
        sorted((str(path), path.lstat().st_mtime_ns) for path in host.rglob("*"))
        == before
    )
    assert result["changed"] is False
    loki = result["instances"]["loki"]
    fields = (
        "release",
        "version",
        "state",
        "ready",
        "drift",
        "diagnostics",
        "restarts",
    )
    assert [loki[field] for field in fields] == [
        "loki-3.7.8",
        "3.7.8",
        "active",
        True,
        [],
        [],
        2,
    ]
    lines = [result["header"], *result["lines"]]
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


def test_a_component_that_the_inventory_does_not_list_is_reported(host: Path) -> None:
    listed_nowhere = status.status({"expected": []}, False)["instances"]["loki"]
    unchecked = status.status({"expected": None}, False)["instances"]["loki"]
    assert listed_nowhere["diagnostics"] == [
        "the inventory does not list it for this host"
    ]
    assert unchecked["diagnostics"] == []


def test_a_component_of_which_only_a_release_is_staged_is_told_as_unfinished(
    host: Path,
) -> None:
    release_store.claim("tempo-a", "tempo")
    report = status.status({"expected": None}, False)["instances"]["tempo-a"]
    assert (report["component"], report["state"]) == ("tempo", "broken")
    assert report["diagnostics"] == ["its first rollout was not finished"]


def test_a_component_with_a_damaged_manifest_is_reported_and_is_no_error(
    host: Path,
) -> None:
    Path(layout.current("loki"), "manifest.json").write_text("{}")
    loki = status.status({"expected": None}, False)["instances"]["loki"]
    assert loki["state"] == "broken"
    assert "is damaged" in loki["diagnostics"][0]


@pytest.mark.parametrize(
    ("directory", "version"),
    [
        ("loki-3.7.8-01234567", "3.7.8"),
        ("otel_collector-0.155.0-01234567", "0.155.0"),
        ("grafana-13.0.1+security-01-01234567", "13.0.1+security-01"),
        ("my-own-tool-1.0-rc1-01234567", "1.0-rc1"),
    ],
)
def test_a_version_is_found_in_the_name_of_a_release(
    directory: str, version: str
) -> None:
    assert status.RELEASE.match(directory)["version"] == version
