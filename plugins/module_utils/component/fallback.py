# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders for the case that a run dies between switch and commit, by SIGKILL or a power cut.

A transient unit waits for the end of the run, and another unit looks at boot whether it has left
orders. Both run fallback_script, which returns to the last-known-good generation.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, cast

from . import fallback_script, files, layout, observe, systemd
from .component_errors import ComponentError

if TYPE_CHECKING:
    from importlib.abc import ResourceLoader
    from typing import TypedDict

    from .manifest import Manifest

    class Order(TypedDict):
        """Steps that return an instance to a generation; ``files`` are copied from its own.

        ``stop`` and ``remove`` are units, files and links that only the new generation has.
        """

        current: str
        target: str
        running: str
        pending: str
        stop: list[str]
        start: list[str]
        files: dict[str, str]
        links: dict[str, str]
        remove: list[str]


BOOT_UNIT = """\
# Written by hippius.monitoring for a rollout of {component}, which removes it when it ends.

[Unit]
Description=Return {component} to its last-known-good generation after a killed rollout
RequiresMountsFor={base} {program}
ConditionPathExists={orders}
Before={services}

[Service]
Type=oneshot
ExecStart={program} -I {script} {orders} {lock}
# A later run may hold the lock and wait for a service that is ordered after this unit.
TimeoutStartSec=60

[Install]
WantedBy=multi-user.target
"""


def order(name: str, target: str, before: Manifest, after: Manifest) -> Order:
    """Return the steps from the generation of ``after`` back to the one of ``before``."""
    generation = layout.generation(name, target)
    units = {
        layout.unit(unit_name): os.path.join(generation, unit_name)
        for unit_name in before["units"]
    }
    links = observe.expected_links(name, before)
    new_units = set(after["units"]) - set(before["units"])
    new_paths = {*map(layout.unit, new_units), *observe.expected_links(name, after)}
    etc = layout.etc(name)
    return {
        "current": layout.current(name),
        "target": os.path.join("generations", target),
        "running": layout.running(name),
        "pending": layout.pending(name),
        "stop": sorted(new_units),
        "start": [unit for unit, role in before["units"].items() if role["started"]],
        "files": units,
        "links": {path: link for path, link in links.items() if path != etc},
        "remove": sorted(new_paths - set(links)),
    }


def arm(component: str, instances: list[Order]) -> None:
    """Give orders and start the unit that follows them if this run dies."""
    if not instances:
        return
    script, orders = layout.fallback_script(component), layout.orders(component)
    of_dead_run = os.path.exists(orders)
    lock, program = layout.lock(component), sys.executable
    services = [
        unit_name
        for instance in instances
        for unit_name in (*map(os.path.basename, instance["files"]), *instance["stop"])
        if unit_name.endswith(".service")
    ]
    boot_unit = BOOT_UNIT.format(
        component=component,
        base=layout.COMPONENTS,
        program=program,
        script=script,
        orders=orders,
        lock=lock,
        services=" ".join(services),
    )
    files.replace(script, _source(), 0o600)
    boot_unit_name = layout.boot_unit(component)
    files.replace(layout.unit(boot_unit_name), boot_unit.encode(), 0o644)
    enabling = layout.wants("multi-user.target", boot_unit_name)
    files.link(layout.unit(boot_unit_name), enabling)
    finally_removed = [enabling, layout.unit(boot_unit_name), script]
    content = {"instances": instances, "finally": finally_removed}
    files.replace(orders, json.dumps(content, indent=1).encode(), 0o600)
    unit_name = layout.fallback_unit(component)
    if of_dead_run:
        # It may have failed, and be loaded until its next try.
        systemd.run(["systemctl", "stop", unit_name])
    words = ["systemd-run", "--quiet", "--collect", f"--unit={unit_name}"]
    # What stops it, such as a full disk, may pass.
    words += ["--property=Restart=on-failure", "--property=RestartSec=10"]
    started = systemd.run([*words, program, "-I", script, orders, lock])
    if started.returncode != 0 and not systemd.show([unit_name])[unit_name].main_pid:
        if not of_dead_run:
            disarm(component)
        raise ComponentError(f"{unit_name}: cannot start: {started.stdout.strip()}")


def _source() -> bytes:
    # From the archive in which Ansible sends the engine.
    loader = cast("ResourceLoader", fallback_script.__loader__)
    return loader.get_data(str(fallback_script.__file__))


def disarm(component: str) -> None:
    """Take the orders back, after which the run can no longer be undone."""
    script, orders = layout.fallback_script(component), layout.orders(component)
    if not (os.path.exists(script) or os.path.exists(orders)):
        return
    files.remove(orders)
    files.sync_directory(layout.ORDERS)
    systemd.run(["systemctl", "stop", layout.fallback_unit(component)])
    boot_unit_name = layout.boot_unit(component)
    files.remove(layout.wants("multi-user.target", boot_unit_name))
    files.remove(layout.unit(boot_unit_name))
    files.remove(script)
    files.remove_empty(layout.ORDERS)
