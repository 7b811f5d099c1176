# SPDX-License-Identifier: GPL-3.0-or-later
"""Move unmanaged paths aside for an instance; give them back unless it was ever verified.

A record on disk precedes the first move, so that any later run can give back what a killed one
moved. It survives the instance's own directory.
"""

from __future__ import annotations

import errno
import glob
import json
import os
from typing import TYPE_CHECKING

from . import files, layout, observe, systemd
from .component_errors import ComponentError

if TYPE_CHECKING:
    from typing import TypedDict

    from .observed_state import ObservedState

    class Record(TypedDict):
        """Adopted paths with their copies, replaced links with their targets, active units."""

        paths: dict[str, str]
        links: dict[str, str]
        active: list[str]


# Of a copy that is not complete yet, and of an original that is being removed.
REST = ".adopting"


def adopt(name: str, observed: ObservedState) -> None:
    """Move the unmanaged paths of an instance aside; a vendor's unit below /usr stays."""
    if not observed.unmanaged:
        return
    ours = [layout.etc(name)]
    ours += [path(unit) for unit in observed.units for path in observe.UNIT_PATHS]
    record = _read(name)
    for path in observed.unmanaged:
        # Ours takes precedence over a vendor's unit.
        if path in ours:
            record["paths"][path] = _unused_copy(name, path)
    for path, target in _unit_links(name, observed).items():
        record["links"].setdefault(path, target)
    active = [
        unit for unit, state in observed.units.items() if state.active == "active"
    ]
    record["active"] = sorted({*record["active"], *active})
    files.make_directory(layout.edited(name), 0o700)
    content = json.dumps(record, indent=1, sort_keys=True) + "\n"
    files.replace(layout.adoption(name), content.encode(), 0o600)
    for path in observed.unmanaged:
        if path in ours:
            _move(path, record["paths"][path])


def copies(name: str) -> dict[str, str]:
    """Return the copy of each adopted path that was moved."""
    moved = _read(name)["paths"].items()
    return {path: copy for path, copy in moved if os.path.lexists(copy)}


def interrupted(name: str) -> tuple[str, ...]:
    """Return the adopted paths of a run that was killed before its switch."""
    if observe.linked_generation(layout.current(name)):
        return ()
    return tuple(_read(name)["paths"])


def undo(name: str) -> None:
    """Give back what was adopted for an instance that is not there any more, and start it."""
    if not os.path.lexists(layout.adoption(name)):
        return
    record = _read(name)
    for path, copy in record["paths"].items():
        # Whatever stands there now has come since, except a checker's empty mount point.
        files.remove_empty(path)
        if os.path.lexists(copy) and not os.path.lexists(path):
            _move(copy, path)
        _remove_rests(path, copy)
    for path, target in record["links"].items():
        if not os.path.lexists(path):
            files.link(target, path)
    systemd.systemctl("daemon-reload")
    active = record["active"]
    started = (
        systemd.run(["systemctl", "start", "--", *active], None) if active else None
    )
    forget(name)
    if started and started.returncode != 0:
        raise ComponentError(
            f"{', '.join(active)}: given back, but systemctl start failed:"
            f" {started.stdout.strip()}"
        )


def forget(name: str) -> None:
    """Make an adoption final: its copies stay."""
    for path, copy in _read(name)["paths"].items():
        _remove_rests(path, copy)
        directory = os.path.dirname(copy)
        while directory.startswith(layout.edited(name) + "/"):
            files.remove_empty(directory)
            directory = os.path.dirname(directory)
    files.remove(layout.adoption(name))
    files.remove_empty(layout.edited(name))


def _read(name: str) -> Record:
    try:
        record: Record = json.loads(files.read(layout.adoption(name)) or b"{}")
    except ValueError:
        raise ComponentError(
            f"{layout.adoption(name)}: is damaged; move what it names back from"
            f" {layout.edited(name)} and remove it."
        ) from None
    return record or {"paths": {}, "links": {}, "active": []}


def _unused_copy(name: str, path: str) -> str:
    """Return where to keep a path, without replacing an earlier copy."""
    first = os.path.join(layout.edited(name), "adopted", path.lstrip("/"))
    copy, number = first, 1
    while os.path.lexists(copy):
        number += 1
        copy = f"{first}.{number}"
    return copy


def _unit_links(name: str, observed: ObservedState) -> dict[str, str]:
    """Return the links that enable or rename the units that ours replace."""
    units = {layout.override(unit) for unit in observed.units}
    links = {}
    for pattern in ("*", "*.wants/*", "*.requires/*"):
        for path in glob.glob(os.path.join(layout.UNITS, pattern)):
            target = files.link_target(path)
            named = "/" in pattern and layout.override(os.path.basename(path)) in units
            renamed = path not in units and target in units
            if target and (named or renamed):
                links[path] = target
    return links


def _move(path: str, target: str) -> None:
    """Move a file, link or tree with owner, ACL and labels, by renames only.

    Neither name ever stands for a part: on another file system a copy is completed, and the
    original is renamed before it is removed.
    """
    files.make_directory(os.path.dirname(target))
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _remove_rests(path, target)
        copied = systemd.run(["cp", "-a", "--", path, target + REST], None)
        if copied.returncode != 0:
            files.remove(target + REST)
            raise ComponentError(
                f"{path}: cp failed: {copied.stdout.strip()}"
            ) from None
        files.sync_filesystem(os.path.dirname(target))
        os.rename(target + REST, target)
        files.sync_directory(os.path.dirname(target))
        os.rename(path, path + REST)
        files.remove(path + REST)
    for directory in sorted({os.path.dirname(path), os.path.dirname(target)}):
        files.sync_directory(directory)


def _remove_rests(path: str, copy: str) -> None:
    files.remove(path + REST)
    files.remove(copy + REST)
