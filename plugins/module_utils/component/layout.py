# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of a component on a host."""

from __future__ import annotations

import os
import re
import sys

BASE = "/opt/monitoring"
RELEASES = BASE + "/releases"
COMPONENTS = BASE + "/components"
EDITED = BASE + "/edited"
ORDERS = BASE + "/unfinished"
FINGERPRINT_KEY = BASE + "/fingerprint.key"
RUN = "/run/monitoring"
# Enabling links, drop-ins, masks: what systemctl and people write.
UNITS = "/etc/systemd/system"
# Unit files. PID 1 reads units before it mounts /opt, and has /etc. In UNITS `systemctl mask`
# would refuse them, since its link takes their place.
UNIT_FILES = "/etc/systemd/system.attached"
SYSTEM_PYTHON = "/usr/bin/python3"
MINIMUM_PYTHON = 9
# Placeholder of the interpreter of scripts.
PYTHON = "{python}"
# The first line of a unit file, which tells whose it is.
UNIT_HEADER = (
    "# Written by hippius.monitoring for {name}; the next rollout replaces changes made"
    " here."
)


def component(name: str) -> str:
    """Return the directory of everything that the engine keeps about ``name``."""
    return os.path.join(COMPONENTS, name)


def owner(name: str) -> str:
    """Return the file that names the component of ``name``, for when no manifest is readable."""
    return os.path.join(component(name), "component")


def generations(name: str) -> str:
    """Return the directory of all generations of ``name``."""
    return os.path.join(component(name), "generations")


def generation(name: str, generation_name: str) -> str:
    """Return the directory of one generation, named ``<n>-<id>``."""
    return os.path.join(generations(name), generation_name)


def current(name: str) -> str:
    """Return the link to the current generation; renaming it is the switch."""
    return os.path.join(component(name), "current")


def last_known_good(name: str) -> str:
    """Return the link to the last verified generation, to which a failed rollout returns."""
    return os.path.join(component(name), "last-known-good")


def proven(name: str) -> str:
    """Return the link that an older release had in place of last-known-good."""
    return os.path.join(component(name), "proven")


def previous(name: str) -> str:
    """Return the link to the generation verified before the last rollout; rollback's target."""
    return os.path.join(component(name), "previous")


def rolled_back_from(name: str) -> str:
    """Return the link to the generation rolled back from; the next rollout removes it."""
    return os.path.join(component(name), "rolled-back-from")


def shared() -> tuple[str, ...]:
    """Return the directories that all components share, inner ones first."""
    return COMPONENTS, RELEASES, EDITED, ORDERS, BASE, UNIT_FILES


def modes(name: str) -> dict[str, int]:
    """Return the mode of each path outside of generations and releases that guards them."""
    shared_modes = dict.fromkeys((RUN, *shared()), 0o755)
    return {
        **shared_modes,
        component(name): 0o755,
        generations(name): 0o755,
        owner(name): 0o644,
        edited(name): 0o700,
        FINGERPRINT_KEY: 0o400,
    }


def orders(component_name: str) -> str:
    """Return the file that says how to undo a run that dies before its commit."""
    return os.path.join(ORDERS, component_name + ".json")


def fallback_script(component_name: str) -> str:
    """Return the program that follows these orders."""
    return os.path.join(ORDERS, component_name + ".py")


def fallback_unit(component_name: str) -> str:
    """Return the transient unit that waits for the end of a run."""
    return f"monitoring-fallback-{component_name}.service"


def boot_unit(component_name: str) -> str:
    """Return the unit that follows a dead run's orders at boot."""
    return f"monitoring-boot-{component_name}.service"


def edited(name: str) -> str:
    """Return the directory of saved manual changes; it outlives the component."""
    return os.path.join(EDITED, name)


def adoption(name: str) -> str:
    """Return the record of an adoption that is not final yet."""
    return os.path.join(edited(name), "adoption.json")


def pending_removals(name: str) -> str:
    """Return the path to which a removed component is renamed before it is deleted."""
    return os.path.join(COMPONENTS, ".removing-" + name)


def downloads(name: str) -> str:
    """Return the directory of unfinished downloads, kept so that the next run resumes them."""
    return os.path.join(component(name), "downloads")


def staged_release(name: str) -> str:
    """Return the file with the name of a release that is staged for the next rollout."""
    return os.path.join(downloads(name), "release")


def etc(name: str) -> str:
    """Return the usual path of the configuration: a link into the current generation."""
    return os.path.join("/etc", name)


def data(name: str) -> str:
    """Return the directory of the component's own data, which no rollout touches."""
    return os.path.join("/var/lib", name)


def unit(unit_name: str) -> str:
    """Return the file in which systemd finds a unit, a copy of the current generation's."""
    return os.path.join(UNIT_FILES, unit_name)


def override(unit_name: str) -> str:
    """Return the path that takes precedence over a unit file: a mask, or a full edit."""
    return os.path.join(UNITS, unit_name)


def wants(target: str, unit_name: str) -> str:
    """Return the link that enables a unit."""
    return os.path.join(UNITS, target + ".wants", unit_name)


def running(name: str) -> str:
    """Return the record of the generation that the process was started from or has reloaded."""
    return os.path.join(RUN, name + ".running")


def pending(name: str) -> str:
    """Return the marker of an unfinished switch; a boot removes it and finishes the switch."""
    return os.path.join(RUN, name + ".pending")


def private_check(name: str, pid: str) -> str:
    """Return the directory in which process ``pid`` checks a configuration in check mode."""
    return os.path.join(RUN, f"check-{name}-{pid}")


def lock(component_name: str) -> str:
    """Return the lock file of a component with all its instances."""
    return os.path.join(RUN, component_name + ".lock")


def placeholders(name: str, interpreter: str | None = None) -> dict[str, str]:
    """Return the placeholders of commands and units with paths that no rollout changes.

    ``interpreter`` is that of the host, by default this one's.
    """
    return {
        "{etc}": etc(name),
        "{release}": os.path.join(current(name), "release"),
        "{bin}": os.path.join(current(name), "bin"),
        "{data}": data(name),
        "{name}": name,
        PYTHON: interpreter or python(),
    }


def python() -> str:
    """Return the interpreter of scripts: the system's, unless it is too old for them.

    SLES and Leap 15 have 3.6 under this name, and the module runs with a newer one.
    """
    version = re.search(r"python3\.(\d+)\Z", os.path.realpath(SYSTEM_PYTHON))
    is_old = version and int(version[1]) < MINIMUM_PYTHON
    return os.path.realpath(sys.executable) if is_old else SYSTEM_PYTHON


def fill(template: str, values: dict[str, str]) -> str:
    """Replace the placeholders in ``template`` and leave every other brace alone."""
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template
