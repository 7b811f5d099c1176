# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a component's parts live on a host."""

from __future__ import annotations

import os

BASE = "/opt/monitoring"
RELEASES = BASE + "/releases"
COMPONENTS = BASE + "/components"
EDITED = BASE + "/edited"
FINGERPRINT_KEY = BASE + "/fingerprint.key"
RUN = "/run/monitoring"
UNITS = "/etc/systemd/system"


def component(name: str) -> str:
    """Directory of everything that the engine keeps about ``name``."""
    return os.path.join(COMPONENTS, name)


def generations(name: str) -> str:
    """Directory of all generations of ``name``."""
    return os.path.join(component(name), "generations")


def generation(name: str, generation_name: str) -> str:
    """Directory of one generation, named ``<n>-<id>``."""
    return os.path.join(generations(name), generation_name)


def current(name: str) -> str:
    """Link to the generation in force; renaming it is the switch."""
    return os.path.join(component(name), "current")


def last_known_good(name: str) -> str:
    """Link to the last generation that was proven to run; a rollout that fails returns to it."""
    return os.path.join(component(name), "last-known-good")


def previous(name: str) -> str:
    """Link to the generation that was proven before the last rollout; what people roll back to."""
    return os.path.join(component(name), "previous")


def rolled_back_from(name: str) -> str:
    """Link to the generation that people rolled back from; the next rollout takes it away."""
    return os.path.join(component(name), "rolled-back-from")


def shared() -> tuple:
    """Directories of all components, what is inside another one first."""
    return COMPONENTS, RELEASES, EDITED, BASE


def edited(name: str) -> str:
    """Directory where files that somebody changed by hand are kept; it outlives the component."""
    return os.path.join(EDITED, name)


def pending_removals(name: str) -> str:
    """Where what is kept about a removed component goes in one rename, to be deleted."""
    return os.path.join(COMPONENTS, ".removing-" + name)


def downloads(name: str) -> str:
    """Directory of unfinished downloads, kept so that the next run resumes them."""
    return os.path.join(component(name), "downloads")


def etc(name: str) -> str:
    """Where people look for the configuration: a link into the current generation."""
    return os.path.join("/etc", name)


def data(name: str) -> str:
    """The component's own data, which no rollout touches."""
    return os.path.join("/var/lib", name)


def unit(unit_name: str) -> str:
    """Link that makes systemd see a unit of the current generation."""
    return os.path.join(UNITS, unit_name)


def wants(target: str, unit_name: str) -> str:
    """Link that enables a unit."""
    return os.path.join(UNITS, target + ".wants", unit_name)


def running(name: str) -> str:
    """Record of which generation the running process was started from or has reloaded."""
    return os.path.join(RUN, name + ".running")


def pending(name: str) -> str:
    """Mark of a switch whose consequences are not complete; gone after a boot, as they are then."""
    return os.path.join(RUN, name + ".pending")


def private_check(name: str, pid: str) -> str:
    """Directory in which check mode, as process ``pid``, has a configuration judged."""
    return os.path.join(RUN, f"check-{name}-{pid}")


def lock(component_name: str) -> str:
    """Lock file of a component with all its instances."""
    return os.path.join(RUN, component_name + ".lock")


def placeholders(name: str) -> dict:
    """What the placeholders of commands and units mean: paths that stay the same over generations."""
    return {
        "{etc}": etc(name),
        "{release}": os.path.join(current(name), "release"),
        "{bin}": os.path.join(current(name), "bin"),
        "{data}": data(name),
        "{name}": name,
    }


def fill(text: str, values: dict) -> str:
    """Replace placeholders in ``text`` and leave every other brace alone."""
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
