# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role postgres_exporter that depend on several variables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.hippius.monitoring.plugins.filter.postgres_exporters import (
    postgres_exporters,
)

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )


def rollouts(role: Role) -> list[dict[str, Any]]:
    """Return the exporters as instances of the component, each with TLS of its own listener."""
    exporters = role.own("instances")
    tls = [role.tls(exporter["listen_address"]) for exporter in exporters]
    return postgres_exporters(exporters, tls)


VALUES = {"rollouts": rollouts}
