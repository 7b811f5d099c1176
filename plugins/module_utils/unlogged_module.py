# SPDX-License-Identifier: GPL-3.0-or-later
"""Base of the collection's modules that run on hosts."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class QuietModule(AnsibleModule):
    """A module that does not log its parameters, which include whole files, to the journal."""

    def _log_invocation(self) -> None:
        """Log nothing: not every reader of the journal may read every configuration."""
