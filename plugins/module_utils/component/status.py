# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what runs on a host, since when, and how it differs from its rollout; read only."""

from __future__ import annotations

import glob
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from . import accounts, generation, layout, observe, probe, systemd
from .manifest import RELEASE
from .rollback import rolled_back_from
from .rollout_plan import not_loaded, shown_path, wrong_link

if TYPE_CHECKING:
    from typing import Any

    from .manifest import Manifest
    from .observed_state import ObservedState

PROPERTIES = "DropInPaths,ActiveEnterTimestampMonotonic"
# Directories of manual and `systemctl set-property` drop-ins, besides that of our units.
DROP_IN_DIRECTORIES = (
    "/run/systemd/system",
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
)
HEADER = ("COMPONENT", "VERSION", "GENERATION", "SINCE", "STATE", "DETAILS")
WIDTHS = (26, 12, 17, 20, 10, 0)


@dataclass(frozen=True)
class InstanceStatus:
    """State of an instance that a rollout does not query.

    ``overrides`` are drop-ins by unit, ``stale_units`` units whose file systemd has not loaded,
    ``not_ready`` is the reason why the program is not ready, ``complaints`` are what a ready one
    fails to do.
    """

    overrides: dict[str, list[str]]
    stale_units: tuple[str, ...]
    not_ready: str | None
    complaints: tuple[str, ...] = ()


@dataclass
class Report:
    """Values that the module returns for an instance."""

    component: str
    state: str
    drift: list[str] = field(default_factory=list)
    diagnostics: list[str] = field(default_factory=list)
    release: str = ""
    version: str = ""
    generation: str = ""
    previous: str = ""
    rolled_back_from: str = ""
    since: str = ""
    started: str = ""
    restarts: int = 0
    ready: bool = False


def status(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the module's values; check mode makes no difference."""
    installed = observe.components()
    reports = {}
    for component, names in sorted(installed.items()):
        for name in names:
            reports[name] = _report(component, name)
    expected = params.get("expected")
    if expected is not None:
        for report in reports.values():
            if report.component not in expected:
                report.diagnostics.append(
                    "the inventory does not list it for this host"
                )
        for component in expected:
            if component not in installed:
                missing = Report(
                    component, "absent", diagnostics=["it is not installed"]
                )
                reports[component] = missing
    return {
        "changed": False,
        "instances": {name: asdict(report) for name, report in reports.items()},
        "header": line(HEADER),
        "lines": table(reports),
    }


def _report(component: str, name: str) -> Report:
    key, group = generation.fingerprint_key(create=False), accounts.group_of(name)
    observed = observe.observe(name, [], key, group)
    manifest = observed.manifest
    if manifest is None or not manifest["id"]:
        reason = "its first rollout was not finished"
        if observed.current:
            reason = f"the manifest of its generation ({observed.current}) is damaged"
        return Report(component, "broken", diagnostics=[reason])
    unit_name = name + ".service"
    unit = observed.unit(unit_name)
    properties = systemd.properties(sorted(observed.units), PROPERTIES)
    overrides = {}
    for further_unit, values in properties.items():
        overrides[further_unit] = _drop_ins(further_unit, values.get("DropInPaths", ""))
    not_ready = probe.not_ready(
        unit_name, unit, manifest["listen_addresses"], manifest["ready"]
    )
    stale_units = tuple(
        name
        for name, state in observed.units.items()
        if not state.loaded and name not in observed.masked
    )
    complaints = complaints_of(unit_name, unit.main_pid, manifest, not_ready)
    instance = InstanceStatus(overrides, stale_units, not_ready, complaints)
    drifted = drift(name, observed, instance)
    release = RELEASE.match(manifest["release"])
    return Report(
        component,
        unit.active,
        drifted,
        diagnostics(name, manifest, observed, instance) + drifted,
        release=release["release"] if release else manifest["release"],
        version=release["version"] if release else "",
        generation=observed.current,
        previous=observed.previous if observed.previous != observed.current else "",
        rolled_back_from=rolled_back_from(observed),
        since=_timestamp(os.lstat(layout.current(name)).st_mtime),
        started=_start_time(properties[unit_name].get("ActiveEnterTimestampMonotonic")),
        restarts=unit.restarts,
        ready=not not_ready,
    )


def complaints_of(
    unit_name: str, pid: int, manifest: Manifest, not_ready: str | None
) -> tuple[str, ...]:
    """Return what a ready program fails to do."""
    if not_ready:
        return ()
    # No rollout needs it.
    from . import complaints

    found = complaints.of_program(unit_name, pid, manifest)
    return (*found, *complaints.in_notes(manifest))


def _drop_ins(unit_name: str, loaded: str) -> list[str]:
    """Return the drop-ins of a unit or of names like its own, except those for every service."""
    for_all = unit_name.rpartition(".")[2] + ".d"
    paths = {path for path in loaded.split() if f"/{for_all}/" not in path}
    # systemd reports only those that it has loaded.
    for directory in (layout.UNITS, *DROP_IN_DIRECTORIES):
        paths.update(glob.glob(os.path.join(directory, unit_name + ".d", "*.conf")))
    return sorted(paths)


def drift(
    name: str,
    observed: ObservedState,
    instance: InstanceStatus,
) -> list[str]:
    """Describe how a host differs from what was rolled out. Pure."""
    lines = [f"{_shown(name, path)} was changed manually" for path in observed.drift]
    lines += [f"{_shown(name, path)} was added manually" for path in observed.untracked]
    links = [path for path in observed.links if path not in observed.unmanaged]
    lines += map(wrong_link, links)
    lines += [f"{unit_name} is masked" for unit_name in observed.masked]
    lines += [f"{path} is unmanaged and in the way" for path in observed.unmanaged]
    lines += [f"{path} has another owner or mode" for path in observed.modes]
    for unit_name, paths in instance.overrides.items():
        lines += [f"{path} overrides {unit_name}" for path in paths]
    lines += map(not_loaded, instance.stale_units)
    if not observed.release_intact:
        lines.append("the unpacked release is damaged")
    if not observed.account_exists:
        lines.append("its user or group is missing")
    return lines


def _shown(name: str, path: str) -> str:
    if path == "release":
        return f"the link {layout.current(name)}/release"
    return shown_path(name, path)


def diagnostics(
    name: str,
    manifest: Manifest,
    observed: ObservedState,
    instance: InstanceStatus,
) -> list[str]:
    """Describe what is wrong with an instance besides its drift, the main unit first. Pure."""
    main_unit = name + ".service"
    lines = []
    started = [
        unit_name for unit_name, role in manifest["units"].items() if role["started"]
    ]
    for unit_name in sorted(started, key=lambda unit_name: unit_name != main_unit):
        state = observed.unit(unit_name).active
        if state != "active":
            lines.append(f"{unit_name} is {state}")
    if observed.unit(main_unit).active == "active":
        lines += _process_diagnostics(main_unit, manifest, observed, instance)
    if rolled_back_from(observed):
        lines.append(
            f"rolled back from {rolled_back_from(observed)} until the next rollout"
        )
    if observed.last_known_good != observed.current:
        lines.append("its generation was never verified")
    elif observed.pending:
        lines.append("its last rollout was not finished")
    return lines


def _process_diagnostics(
    main_unit: str,
    manifest: Manifest,
    observed: ObservedState,
    instance: InstanceStatus,
) -> list[str]:
    lines = [instance.not_ready] if instance.not_ready else []
    lines += instance.complaints
    if not observed.running:
        lines.append("the running generation is unknown")
    elif observed.running != observed.current:
        lines.append(f"generation {observed.running} is still running")
    elif observed.running_unit != manifest["unit"]:
        lines.append(f"it was started from another definition of {main_unit}")
    if observed.running_drop_ins not in ("", observed.drop_ins):
        lines.append(f"it was started with other drop-ins of {main_unit}")
    return lines


def table(reports: dict[str, Report]) -> list[str]:
    """Return one line for each instance. Pure."""
    lines = []
    for name, report in sorted(reports.items()):
        state = report.state
        if state == "active":
            state = "ready" if report.ready else "not ready"
        details = list(report.diagnostics)
        if report.restarts:
            details.append(f"{report.restarts} restarts")
        words = (name, report.version, report.generation, report.since, state)
        lines.append(line((*words, "; ".join(details))))
    return lines


def line(words: tuple[str, ...]) -> str:
    """Return words in columns. Pure."""
    columns = (f"{word or '-':<{width}}" for word, width in zip(words, WIDTHS))
    return " ".join(columns).rstrip(" -")


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _start_time(monotonic: str | None) -> str:
    """Return when a unit became active, from microseconds of the clock that no one can set."""
    if not monotonic or monotonic == "0":
        return ""
    boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    return _timestamp(boot + int(monotonic) / 1_000_000)
