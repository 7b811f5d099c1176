# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide what one instance needs, from what is wanted and what was seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import layout
from .manifest import recorded, same
from .spec import STRENGTH, Instance

# A file's on_change speaks the same words.
NONE, SWITCH, REMOVE, RELOAD, RESTART, INSTALL = STRENGTH


@dataclass(frozen=True)
class Unit:
    """State of a unit as systemd reports it."""

    active: str = "inactive"
    sub: str = "dead"
    main_pid: int = 0
    invocation: str = ""
    restarts: int = 0
    fragment: str = ""


@dataclass(frozen=True)
class ObservedState:
    """What was observed of one instance.

    ``drift`` are files of the current generation that are not as they were written, ``untracked`` files that were
    added to it, ``links`` links that are missing or point elsewhere, ``unmanaged`` things in the way that are not
    ours, ``leftovers`` what a killed run left behind, ``pending`` whether a switch was not completed.
    ``previous`` is the generation that was proven before the last rollout, ``rolled_back_from`` one that people rolled back
    from.
    ``running_unit`` is the digest of the unit that the process was started from, ``running_drift`` are drift and
    strays of the generation that runs, where that is not the current one.
    """

    current: str = ""
    manifest: dict | None = None
    last_known_good: str = ""
    last_known_good_manifest: dict | None = None
    previous: str = ""
    rolled_back_from: str = ""
    running: str = ""
    running_unit: str = ""
    running_manifest: dict | None = None
    running_drift: tuple = ()
    contents: dict = field(default_factory=dict)
    drift: tuple = ()
    untracked: tuple = ()
    links: tuple = ()
    unmanaged: tuple = ()
    leftovers: tuple = ()
    pending: bool = False
    release_intact: bool = True
    units: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What one instance needs; ``stage`` asks for a new generation.

    ``restart_units`` are further units to restart, ``stop_units`` those to stop before the switch takes them away.
    """

    name: str
    action: str
    reasons: tuple = ()
    stage: bool = False
    reload_manager: bool = False
    restart_units: tuple = ()
    stop_units: tuple = ()
    diff: tuple = ()

    @property
    def changed(self) -> bool:
        """Whether the host changes."""
        return self.action != NONE


def plan(desired: Instance, manifest: dict, observed: ObservedState) -> Plan:
    """Plan for an instance that should be present; ``manifest`` describes it, see manifest.build."""
    stage = not same(manifest, observed.manifest) or bool(observed.drift or observed.untracked)
    reasons = _differences(observed.manifest, manifest)
    reasons += [f"{path} was changed by hand" for path in observed.drift]
    reasons += [f"{path} was added by hand" for path in observed.untracked]
    reasons += [f"{path} is missing or points elsewhere" for path in observed.links]
    if not observed.release_intact:
        reasons.append("the unpacked release is damaged")
    action, more = _process_action(desired, manifest, observed)
    units = _restart_units(desired, manifest, observed)
    if observed.manifest is None:
        action, reasons, more = INSTALL, ["it is not installed"], []
    elif action == NONE:
        more = _unfinished(observed) + [f"{unit} is restarted" for unit in units]
        action = SWITCH if stage or observed.links or units or more else NONE
    return Plan(
        name=desired.name,
        action=action,
        reasons=tuple(dict.fromkeys(reasons + more)),
        stage=stage,
        reload_manager=observed.pending
        or bool(observed.links)
        or _units_differ(observed.manifest, manifest, observed.drift),
        restart_units=units,
        stop_units=tuple(
            unit
            for unit in (observed.manifest or {"units": ()})["units"]
            if unit not in desired.units
        ),
        diff=tuple(_diff(desired, manifest, observed)) if stage else (),
    )


def strongest(actions: object) -> str:
    """The action that a person wants to read first."""
    return max(actions, key=STRENGTH.index, default=NONE)


def _process_action(desired: Instance, manifest: dict, observed: ObservedState) -> tuple:
    """What the program needs, judged by what it runs now and not by what this run changes."""
    state = observed.units.get(desired.main_unit, Unit())
    if state.active not in ("active", "reloading"):
        return RESTART, [f"{desired.main_unit} is {state.active}"]
    if observed.running_manifest is None:
        return RESTART, ["it is not known which generation runs"]
    if not observed.release_intact:
        return RESTART, []
    if observed.running_manifest["release"] != manifest["release"]:
        return RESTART, [
            f"{observed.running_manifest['release']} runs, {manifest['release']} is wanted"
        ]
    if observed.running_unit != manifest["unit"]:
        return RESTART, [f"it was started from another definition of {desired.main_unit}"]
    effects = [
        _effect(observed.running_manifest, manifest, path)
        for path in _paths(observed.running_manifest, manifest)
    ]
    # Nobody knows whether the program has read an edited file, so it reads the right one again.
    effects += [
        _on_change(observed.manifest, manifest, path)
        for path in (*observed.drift, *observed.untracked)
    ]
    effects += [
        _on_change(observed.running_manifest, manifest, path) for path in observed.running_drift
    ]
    if (
        observed.pending
        and observed.running != observed.current
        and observed.manifest
        and observed.manifest["reload"]
    ):
        # The run that was killed may have reloaded the program and not come to note it.
        effects.append(RELOAD if manifest["reload"] else RESTART)
    action = strongest(effects)
    behind = action != NONE and observed.running != observed.current
    return action, [f"generation {observed.running} still runs"] if behind else []


def _unfinished(observed: ObservedState) -> list:
    """What a run that was killed after its switch did not come to, where the program needs nothing."""
    if observed.last_known_good != observed.current:
        return [f"generation {observed.current} was never proven"]
    if observed.running != observed.current:
        return [f"generation {observed.running} is noted as the running one"]
    return []


def _effect(running: dict, manifest: dict, path: str) -> str:
    before, after = running["files"].get(path), manifest["files"].get(path)
    if before and after and (recorded(before), before["mode"]) == (recorded(after), after["mode"]):
        return "none"
    return _on_change(running, manifest, path)


def _on_change(before: dict | None, after: dict, path: str) -> str:
    record = after["files"].get(path) or (before or {"files": {}})["files"].get(path)
    if record:
        desired = record["on_change"]
    elif path.startswith("etc/"):
        # An added file may be one that the configuration includes by a pattern, or an editor's copy.
        desired = RELOAD
    else:
        desired = RESTART if path == "release" else NONE
    return RESTART if desired == RELOAD and not after["reload"] else desired


def _paths(*manifests: dict) -> list:
    return sorted({path for manifest in manifests for path in manifest["files"]})


def _differences(before: dict | None, after: dict) -> list:
    if before is None:
        return []
    reasons = []
    if before["release"] != after["release"]:
        reasons.append(f"release {before['release']} becomes {after['release']}")
    for path in _paths(before, after):
        old, new = before["files"].get(path), after["files"].get(path)
        if old is None or new is None:
            reasons.append(f"{path} is {'added' if old is None else 'removed'}")
        elif recorded(old) != recorded(new) or old["mode"] != new["mode"]:
            reasons.append(f"{path} changes")
        elif old["on_change"] != new["on_change"]:
            reasons.append(f"a change of {path} needs a {new['on_change']} from now on")
    if before["units"] != after["units"]:
        reasons.append("the set of units changes")
    # They show in no file, and a rollback proves by what the manifest says of them.
    reasons += [
        f"{fact} changes"
        for fact in ("listen_addresses", "ready", "reload")
        if before[fact] != after[fact]
    ]
    return reasons


def _units_differ(before: dict | None, after: dict, drift: tuple) -> bool:
    if before is None or before["units"] != after["units"]:
        return True
    return any(
        path in drift
        or recorded(before["files"].get(path, {})) != recorded(after["files"].get(path, {}))
        for path in after["units"]
    )


def _restart_units(desired: Instance, manifest: dict, observed: ObservedState) -> tuple:
    """Timers, paths and sockets that are new, changed, or not active."""
    result = []
    for unit_name, role in desired.units.items():
        if unit_name == desired.main_unit or not role.started:
            continue
        before = (observed.manifest or {"files": {}})["files"].get(unit_name, {})
        changed = (
            recorded(before) != recorded(manifest["files"][unit_name])
            or unit_name in observed.drift
        )
        if changed or observed.pending or observed.units.get(unit_name, Unit()).active != "active":
            result.append(unit_name)
    return tuple(result)


def _diff(desired: Instance, manifest: dict, observed: ObservedState) -> list:
    """Entries as Ansible shows them with --diff; a secret is named but never shown."""
    entries = []
    before_release = (observed.manifest or {}).get("release", "")
    if before_release != manifest["release"]:
        entries.append(_entry(f"release of {desired.name}", before_release, manifest["release"]))
    old_files = (observed.manifest or {"files": {}})["files"]
    for path in sorted(set(desired.files) | set(old_files) | set(observed.untracked)):
        header = shown_path(desired.name, path)
        entry = desired.files.get(path)
        if (entry and entry.secret) or "fingerprint" in old_files.get(path, {}):
            if (
                recorded(old_files.get(path, {})) != recorded(manifest["files"].get(path, {}))
                or path in observed.drift
            ):
                before, after = (
                    "a secret" if path in old_files else "",
                    "another secret" if entry else "",
                )
                entries.append(_entry(header, before, after))
            continue
        if path in observed.untracked:
            # Its content may be anything, such as an editor's copy of a secret.
            entries.append(_entry(header, "a file added by hand", ""))
            continue
        before = observed.contents.get(path)
        after = entry.content if entry else None
        if before != after:
            entries.append(_entry(header, _text(before), _text(after)))
        elif path in observed.drift:
            mode = manifest["files"][path]["mode"]
            entries.append(
                _entry(header, "owner or mode changed by hand", f"root-owned, mode {mode}")
            )
    return entries


def shown_path(name: str, path: str) -> str:
    """Where people find a file of a generation."""
    if path.startswith("etc/"):
        return layout.etc(name) + path[3:]
    return layout.current(name) + "/" + path if path.startswith("bin/") else layout.unit(path)


def _entry(header: str, before: str, after: str) -> dict:
    return {
        "before_header": header,
        "after_header": header,
        "before": before if not before or before.endswith("\n") else before + "\n",
        "after": after if not after or after.endswith("\n") else after + "\n",
    }


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "replace")
