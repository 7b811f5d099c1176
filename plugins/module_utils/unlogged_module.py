# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules of the collection are."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class QuietModule(AnsibleModule):
    """A module that does not write its parameters, whole files among them, into the host's journal."""

    def _log_invocation(self) -> None:
        """Write nothing; who may read the journal may not read every configuration."""
