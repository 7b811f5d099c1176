# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the rollout of one instance from desired and observed state. Pure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import layout
from .manifest import directories, recorded, same
from .spec import STRENGTH, Instance

if TYPE_CHECKING:
    from typing import TypedDict

    from .manifest import FileRecord, Manifest
    from .observed_state import ObservedState

    class DiffEntry(TypedDict):
        """An entry that Ansible shows with --diff."""

        before_header: str
        after_header: str
        before: str
        after: str


# A file's on_change uses the same words.
NONE, SWITCH, REMOVE, RELOAD, RESTART, INSTALL = STRENGTH


@dataclass(frozen=True)
class Plan:
    """Steps that one instance needs; ``stage`` is whether to write a new generation.

    ``stop_units`` are stopped before the switch removes them.
    """

    name: str
    action: str
    reasons: tuple[str, ...] = ()
    stage: bool = False
    reload_manager: bool = False
    restart_units: tuple[str, ...] = ()
    stop_units: tuple[str, ...] = ()
    diff: tuple[DiffEntry, ...] = ()

    @property
    def changed(self) -> bool:
        """Return whether the host changes."""
        return self.action != NONE


def plan(
    desired: Instance,
    manifest: Manifest,
    observed: ObservedState,
) -> Plan:
    """Plan the rollout of ``desired``, which ``manifest`` describes."""
    before = observed.manifest
    edited = bool(observed.drift or observed.untracked)
    # Another account of the same name has another group, which the files must have.
    stage = edited or not observed.account_exists or not same(manifest, before)
    restart_units = _restart_units(desired, manifest, observed)
    reasons = [*_differences(before, manifest), *_repairs(observed)]
    stale_units = _stale_units(before, observed)
    reasons += [not_loaded(unit_name) for unit_name in stale_units]
    action, process_reasons = _process_action(desired, manifest, observed)
    if before is None:
        action, reasons, process_reasons = INSTALL, ["it is not installed"], []
    elif action == NONE:
        process_reasons = _unfinished(observed)
        process_reasons += [f"{unit_name} is restarted" for unit_name in restart_units]
        repairs = observed.links or observed.modes or stale_units
        if stage or repairs or process_reasons:
            action = SWITCH
    units_differ = _units_differ(before, manifest, observed.drift)
    stop_units = set(before["units"] if before else ()) - set(desired.units)
    return Plan(
        name=desired.name,
        action=action,
        reasons=tuple(dict.fromkeys(reasons + process_reasons)),
        stage=stage,
        reload_manager=(
            observed.pending or bool(observed.links or stale_units) or units_differ
        ),
        restart_units=restart_units,
        stop_units=tuple(sorted(stop_units)),
        diff=_diff(desired, manifest, observed) if stage else (),
    )


def strongest(actions: list[str]) -> str:
    """Return the strongest action."""
    return max(actions, key=STRENGTH.index, default=NONE)


def _repairs(observed: ObservedState) -> list[str]:
    reasons = []
    if observed.manifest and not observed.manifest["id"]:
        reasons.append(f"the manifest of generation {observed.current} cannot be read")
    reasons += [f"{path} was changed manually" for path in observed.drift]
    reasons += [f"{path} was added manually" for path in observed.untracked]
    reasons += map(wrong_link, observed.links)
    reasons += [f"{path} has another owner or mode" for path in observed.modes]
    if not observed.release_intact:
        reasons.append("the unpacked release is damaged")
    if not observed.account_exists:
        reasons.append("its user or group is missing")
    return reasons


def wrong_link(path: str) -> str:
    """Return the description of a link or unit file that is not as it should be."""
    if os.path.dirname(path) == layout.UNIT_FILES:
        return f"{path} is missing or of another generation"
    if os.path.dirname(path) == layout.UNITS:
        return f"{path} takes precedence over the unit that was rolled out"
    return f"{path} is missing or points elsewhere"


def not_loaded(unit_name: str) -> str:
    """Return the description of a unit that systemd has not loaded as it is on disk."""
    return f"systemd has not loaded the current {unit_name}"


def _stale_units(before: Manifest | None, observed: ObservedState) -> list[str]:
    """Return the installed units that systemd has not loaded as they are on disk."""
    if before is None:
        return []
    return [name for name in before["units"] if not observed.unit(name).loaded]


def _process_action(
    desired: Instance,
    manifest: Manifest,
    observed: ObservedState,
) -> tuple[str, list[str]]:
    """Return the action and reasons by what the program runs, not by what this run changes."""
    main_unit = desired.main_unit
    state = observed.unit(main_unit)
    if state.active not in ("active", "reloading"):
        return RESTART, [f"{main_unit} is {state.active}"]
    running = observed.running_manifest
    if running is None:
        return RESTART, ["the running generation is unknown"]
    if not observed.release_intact or not observed.account_exists:
        return RESTART, []
    if running["release"] != manifest["release"]:
        return RESTART, [
            f"{running['release']} is running, {manifest['release']} is desired"
        ]
    if observed.running_unit != manifest["unit"]:
        return RESTART, [f"it was started from another definition of {main_unit}"]
    if observed.running_drop_ins not in ("", observed.drop_ins):
        return RESTART, [f"it was started with other drop-ins of {main_unit}"]
    action = strongest(_effects(running, manifest, observed))
    if action == NONE or observed.running == observed.current:
        return action, []
    return action, [f"generation {observed.running} is still running"]


def _effects(
    running: Manifest,
    manifest: Manifest,
    observed: ObservedState,
) -> list[str]:
    """Return the action of each difference from what the program has read."""
    effects = []
    for path in _paths(running, manifest):
        effects.append(_effect(running, manifest, path))
    # The program may have read an edited file, so it reads the right one again.
    for path in (*observed.drift, *observed.untracked):
        effects.append(_on_change(observed.manifest, manifest, path))
    for path in observed.running_drift:
        effects.append(_on_change(running, manifest, path))
    behind = observed.pending and observed.running != observed.current
    if behind and observed.manifest and observed.manifest["reload"]:
        # The killed run may have reloaded the program without recording it.
        effects.append(RELOAD if manifest["reload"] else RESTART)
    return effects


def _unfinished(observed: ObservedState) -> list[str]:
    """Return what a run that was killed after its switch left undone."""
    if observed.last_known_good != observed.current:
        return [f"generation {observed.current} was never verified"]
    if observed.running != observed.current:
        return [f"generation {observed.running} is recorded as the running one"]
    return []


def _effect(running: Manifest, manifest: Manifest, path: str) -> str:
    before, after = running["files"].get(path), manifest["files"].get(path)
    if before and after and _same_file(before, after):
        return NONE
    return _on_change(running, manifest, path)


def _same_file(before: FileRecord, after: FileRecord) -> bool:
    return recorded(before) == recorded(after) and before["mode"] == after["mode"]


def _on_change(before: Manifest | None, after: Manifest, path: str) -> str:
    record = after["files"].get(path) or _files(before).get(path)
    if record:
        on_change = record["on_change"]
    elif path.startswith("etc/"):
        # The configuration may include an added file by a pattern.
        on_change = RELOAD
    else:
        on_change = RESTART if path == "release" else NONE
    if on_change == RELOAD and not after["reload"]:
        return RESTART
    return on_change


def _files(manifest: Manifest | None) -> dict[str, FileRecord]:
    return manifest["files"] if manifest else {}


def _recorded(manifest: Manifest | None, path: str) -> str:
    return recorded(_files(manifest).get(path, {}))


def _paths(before: Manifest, after: Manifest) -> list[str]:
    return sorted({*before["files"], *after["files"]})


def _differences(before: Manifest | None, after: Manifest) -> list[str]:
    if before is None:
        return []
    if not before["id"]:
        # A recovered manifest says nothing about files.
        return []
    reasons = _file_differences(before, after)
    if before["release"] != after["release"]:
        reasons.insert(0, f"release {before['release']} becomes {after['release']}")
    if before["units"] != after["units"]:
        reasons.append("the set of units changes")
    # A rollback verifies by these, which no file shows.
    if before["listen_addresses"] != after["listen_addresses"]:
        reasons.append("listen_addresses changes")
    if before["ready"] != after["ready"]:
        reasons.append("ready changes")
    if before["reload"] != after["reload"]:
        reasons.append("reload changes")
    return reasons


def _file_differences(before: Manifest, after: Manifest) -> list[str]:
    reasons = []
    for path in _paths(before, after):
        old, new = before["files"].get(path), after["files"].get(path)
        if old is None:
            reasons.append(f"{path} is added")
        elif new is None:
            reasons.append(f"{path} is removed")
        elif not _same_file(old, new):
            reasons.append(f"{path} changes")
        elif old["on_change"] != new["on_change"]:
            reasons.append(f"on_change of {path} becomes {new['on_change']}")
    return reasons


def _units_differ(
    before: Manifest | None,
    after: Manifest,
    drift: tuple[str, ...],
) -> bool:
    if before is None or before["units"] != after["units"]:
        return True
    return any(
        unit_name in drift
        or _recorded(before, unit_name) != _recorded(after, unit_name)
        for unit_name in after["units"]
    )


def _restart_units(
    desired: Instance,
    manifest: Manifest,
    observed: ObservedState,
) -> tuple[str, ...]:
    """Return the timers, paths and sockets that are new, changed or inactive."""
    result = []
    for unit_name, role in desired.units.items():
        if unit_name == desired.main_unit or not role.started:
            continue
        changed = _recorded(observed.manifest, unit_name) != _recorded(
            manifest, unit_name
        )
        inactive = observed.unit(unit_name).active != "active"
        if changed or inactive or observed.pending or unit_name in observed.drift:
            result.append(unit_name)
    return tuple(result)


def _diff(
    desired: Instance,
    manifest: Manifest,
    observed: ObservedState,
) -> tuple[DiffEntry, ...]:
    """Return the diff, in which a secret is named but never shown."""
    entries = []
    old_release = observed.manifest["release"] if observed.manifest else ""
    if old_release != manifest["release"]:
        header = f"release of {desired.name}"
        entries.append(_entry(header, old_release, manifest["release"]))
    paths = {*desired.files, *_files(observed.manifest), *observed.untracked}
    paths.update(path for path in observed.drift if path.endswith("/"))
    for path in sorted(paths):
        change = _shown_change(path, desired, manifest, observed)
        if change:
            entries.append(_entry(shown_path(desired.name, path), *change))
    return tuple(entries)


def _shown_change(
    path: str,
    desired: Instance,
    manifest: Manifest,
    observed: ObservedState,
) -> tuple[str, str] | None:
    """Return a file before and after as the diff shows it, or None when it is unchanged."""
    file = desired.files.get(path)
    old = _files(observed.manifest).get(path)
    drift = path in observed.drift
    if (file and file.secret) or (old and "fingerprint" in old):
        unchanged = _recorded(observed.manifest, path) == _recorded(manifest, path)
        if unchanged and not drift:
            return None
        return "a secret" if old else "", "another secret" if file else ""
    if path in observed.untracked:
        # Its content may be anything, such as an editor's copy of a secret.
        return "a file added manually", ""
    before = observed.contents.get(path)
    after = file.content if file else None
    if before != after:
        return _decoded(before), _decoded(after)
    mode = file.mode if file else directories(manifest).get(path)
    if drift and mode:
        return "owner or mode changed manually", f"root-owned, mode {mode:04o}"
    return None


def shown_path(name: str, path: str) -> str:
    """Return the path at which the host uses a file of a generation."""
    if path.startswith("etc/"):
        return layout.etc(name) + path[3:]
    if "/" in path or path == "manifest.json":
        return os.path.normpath(os.path.join(layout.current(name), path))
    return layout.unit(path)


def _entry(header: str, before: str, after: str) -> DiffEntry:
    return {
        "before_header": header,
        "after_header": header,
        "before": _lines(before),
        "after": _lines(after),
    }


def _lines(content: str) -> str:
    if not content or content.endswith("\n"):
        return content
    return content + "\n"


def _decoded(content: bytes | None) -> str:
    return "" if content is None else content.decode("utf-8", "replace")
