# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what runs on a host, since when, and what is not as it was rolled out; nothing is changed."""

from __future__ import annotations

import glob
import os
import re
import time
from dataclasses import dataclass

from . import generation, layout, observe, probe, systemd
from .rollback import rolled_back_from
from .rollout_plan import ObservedState, Unit, shown_path

# Release, without the beginning of its checksum: its name, and its version from the first digit after a dash.
RELEASE = re.compile(r"(?P<release>.+?-(?P<version>\d.*))-[0-9a-f]{8}\Z")
OVERRIDES = "DropInPaths,NeedDaemonReload,ActiveEnterTimestampMonotonic"
# Where people and `systemctl set-property` put drop-ins, besides the directory of our units.
DROP_IN_PLACES = (
    "/run/systemd/system",
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
)
HEADER = ("COMPONENT", "VERSION", "GENERATION", "SINCE", "STATE", "REMARKS")
WIDTHS = (26, 12, 17, 20, 10, 0)


@dataclass(frozen=True)
class Told:
    """What systemd and the program say of an instance, beyond what a rollout asks.

    ``overrides`` are drop-ins by their unit, ``stale`` units whose file systemd has not read yet, ``lacking`` what the
    program lacks to be ready, in words.
    """

    overrides: dict
    stale: tuple
    lacking: str


def status(params: dict, check_mode: bool) -> dict:
    """The module's values; they are the same in check mode, since nothing is ever changed."""
    installed = observe.components()
    instances = {}
    for component, names in sorted(installed.items()):
        for name in names:
            instances[name] = {"component": component, **_instance(name)}
    expected = params.get("expected")
    if expected is not None:
        for component in expected:
            if component not in installed:
                instances[component] = {
                    **_absent(),
                    "component": component,
                    "problems": ["it is not installed"],
                }
        for item in instances.values():
            if item["component"] not in expected:
                item["problems"].append("the inventory does not have it on this host")
    return {
        "changed": False,
        "instances": instances,
        "header": line(HEADER),
        "lines": table(instances),
    }


def _absent() -> dict:
    empty = dict.fromkeys(
        ("release", "version", "generation", "previous", "rolled_back_from", "since"), ""
    )
    return {
        **empty,
        "state": "absent",
        "started": "",
        "restarts": 0,
        "ready": False,
        "drift": [],
        "problems": [],
    }


def _instance(name: str) -> dict:
    observed = observe.observe(
        name, [], generation.fingerprint_key(create=False), generation.group_of(name)
    )
    known = observed.manifest
    if known is None:
        current = observed.current or "none"
        return {
            **_absent(),
            "state": "broken",
            "problems": [f"the manifest of its generation ({current}) is damaged"],
        }
    unit_name = name + ".service"
    state = observed.units.get(unit_name, Unit())
    properties = systemd.properties(sorted(observed.units), OVERRIDES)
    told = Told(
        overrides={
            unit: _drop_ins(unit, values.get("DropInPaths", ""))
            for unit, values in properties.items()
        },
        stale=tuple(
            unit for unit, values in properties.items() if values.get("NeedDaemonReload") == "yes"
        ),
        lacking=probe.not_ready(unit_name, state, known["listen_addresses"], known["ready"]),
    )
    changed = drift(name, observed, told)
    names = RELEASE.match(known["release"])
    return {
        "release": names["release"] if names else known["release"],
        "version": names["version"] if names else "",
        "generation": observed.current,
        "previous": observed.previous if observed.previous != observed.current else "",
        "rolled_back_from": rolled_back_from(observed),
        "since": _written(os.lstat(layout.current(name)).st_mtime),
        "state": state.active,
        "started": _started(properties[unit_name].get("ActiveEnterTimestampMonotonic")),
        "restarts": state.restarts,
        "ready": not told.lacking,
        "drift": changed,
        "problems": problems(name, observed, told) + changed,
    }


def _drop_ins(unit_name: str, loaded: str) -> list:
    """Drop-ins of a unit itself or of names like its own; those for every service are the distribution's.

    systemd tells only those that it has read.
    """
    kind = unit_name.rpartition(".")[2] + ".d"
    found = {path for path in loaded.split() if os.path.basename(os.path.dirname(path)) != kind}
    for directory in (layout.UNITS, *DROP_IN_PLACES):
        found |= set(glob.glob(os.path.join(directory, unit_name + ".d", "*.conf")))
    return sorted(found)


def drift(name: str, observed: ObservedState, told: Told) -> list:
    """What is not as it was rolled out, in words. Pure."""
    found = [f"{_shown(name, path)} was changed by hand" for path in observed.drift]
    found += [f"{_shown(name, path)} was added by hand" for path in observed.untracked]
    found += [
        f"{path} is missing or points elsewhere"
        for path in observed.links
        if path not in observed.unmanaged
    ]
    found += [f"{path} is in the way of ours" for path in observed.unmanaged]
    found += [
        f"{path} overrides {unit}" for unit, paths in told.overrides.items() for path in paths
    ]
    found += [f"systemd has not read the present {unit}" for unit in told.stale]
    if not observed.release_intact:
        found.append("the unpacked release is damaged")
    return found


def _shown(name: str, path: str) -> str:
    return (
        f"the link {layout.current(name)}/release" if path == "release" else shown_path(name, path)
    )


def problems(name: str, observed: ObservedState, told: Told) -> list:
    """What a person should know beyond the drift, in words. Pure."""
    main, roles = name + ".service", observed.manifest["units"]
    found = []
    for unit, role in sorted(roles.items(), key=lambda item: item[0] != main):
        if role["started"] and observed.units.get(unit, Unit()).active != "active":
            found.append(f"{unit} is {observed.units.get(unit, Unit()).active}")
    state = observed.units.get(main, Unit())
    if state.active == "active":
        found += [told.lacking] if told.lacking else []
        if not observed.running:
            found.append("it is not known which generation runs")
        elif observed.running != observed.current:
            found.append(f"generation {observed.running} still runs")
        elif observed.running_unit != observed.manifest["unit"]:
            found.append(f"it was started from another definition of {main}")
    if rolled_back_from(observed):
        found.append(f"rolled back from {rolled_back_from(observed)} until the next rollout")
    if observed.last_known_good != observed.current:
        found.append("its generation was never proven")
    elif observed.pending:
        found.append("its last rollout was not finished")
    return found


def table(instances: dict) -> list:
    """One line an instance, for people. Pure."""
    lines = []
    for name, item in sorted(instances.items()):
        state = item["state"] if item["state"] != "active" or item["ready"] else "not ready"
        remarks = [f"{item['restarts']} restarts"] if item["restarts"] else []
        words = (
            name,
            item["version"],
            item["generation"],
            item["since"],
            "ready" if state == "active" else state,
        )
        lines.append(line((*words, "; ".join([*item["problems"], *remarks]))))
    return lines


def line(words: tuple) -> str:
    """Words in columns. Pure."""
    return " ".join(f"{word or '-':<{width}}" for word, width in zip(words, WIDTHS)).rstrip(" -")


def _written(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _started(monotonic: str | None) -> str:
    """When a unit became active, which systemd tells in microseconds of the clock that no one can set."""
    if not monotonic or monotonic == "0":
        return ""
    return _written(
        time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + int(monotonic) / 1_000_000
    )
