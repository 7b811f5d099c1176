# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print the verdicts about the flows of an environment."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..filter.slo_rules import slo_rules
from ..plugin_utils import (
    flow_page,
    flow_plan,
    flow_sources,
    flow_table,
    flow_verdicts,
    terminal,
)
from ..plugin_utils.action_helpers import plain
from ..plugin_utils.catalog import ENVIRONMENT, CatalogError
from ..plugin_utils.inventory import all_components, inventory_of

OPTIONS = {
    "statuses": {"type": "dict", "required": True},
    "sent": {"type": "dict", "required": True},
    "found": {"type": "dict", "required": True},
    "content": {"type": "dict", "default": {}},
    "component": {"type": "str", "default": ""},
    "only": {"type": "raw", "default": ""},
    "notifications": {"type": "bool", "default": False},
    "page": {"type": "str", "default": ""},
    "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
}


class ActionModule(ActionBase):
    """Judge what the hosts have answered, on the controller."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Print the verdicts; fail if anything is broken."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        variables = task_vars or {}
        inventory = inventory_of(self._loader, variables)
        site = flow_plan.Site(inventory, all_components())
        answers = flow_verdicts.Answers(
            plain(options["statuses"]), plain(options["sent"]), plain(options["found"])
        )
        try:
            flows = flow_plan.parse_flows(
                plain(options["only"]), options["notifications"]
            )
            facts = flow_sources.series_facts(site, variables["inventory_hostname"])
            hosts = list(answers.statuses)
            expected = _expected(site, answers, plain(options["content"]))
            checks = flow_verdicts.checks_of(site, answers, facts, hosts, expected)
            if options["component"]:
                checks = flow_verdicts.of_component(checks, options["component"])
        except CatalogError as error:
            raise AnsibleActionFail(str(error)) from error
        verdicts = flow_verdicts.settle(checks, flows)
        report = flow_table.report_of(verdicts)
        if options["format"] == "json":
            terminal.show(json.dumps(report, indent=2, sort_keys=True))
        else:
            terminal.show("\n".join(flow_table.table_of(verdicts, terminal.width())))
        if options["page"]:
            environment = inventory.variable(hosts[0], ENVIRONMENT)
            self._write_page(options["page"], verdicts, f"Environment {environment}")
        errors = flow_table.errors_of(verdicts)
        if not errors:
            return {"changed": False, **report}
        failure = {"changed": False, "failed": True, "msg": "\n".join(errors)}
        # Ansible would print the values of a failure once more, below the table.
        return failure if terminal.is_for_people() else {**report, **failure}

    def _write_page(
        self, name: str, verdicts: list[flow_verdicts.Verdict], subject: str
    ) -> None:
        """Write the page to a file of the controller, relative to the current directory."""
        moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        page = flow_page.page_of(verdicts, subject, moment)
        try:
            Path(name).expanduser().write_text(page, encoding="utf-8")
        except OSError as error:
            raise AnsibleActionFail(
                f"report: {name}: cannot be written: {error.strerror}; name another file."
            ) from None


def _selectors(
    answers: flow_verdicts.Answers, key: str
) -> dict[str, list[flow_plan.Selector]]:
    """Return the selectors that the servers of each host were asked for."""
    return {
        host: [flow_plan.Selector(*selector) for selector in result[key]]
        for host, result in answers.found.items()
        if result.get(key)
    }


def _expected(
    site: flow_plan.Site, answers: flow_verdicts.Answers, content: dict[str, Any]
) -> flow_verdicts.Expected:
    """Return what the checks expect; ``content`` is the result for Grafana's content by host."""
    rules, errors = {}, {}
    for host in site.hosts("prometheus"):
        if host in answers.statuses:
            slos = site.variable("prometheus", host, "prometheus_slos")
            objectives = slo_rules(slos) if slos else {}
            identity = flow_verdicts.rules_id("prometheus", host)
            rules[identity] = flow_sources.rules_of_prometheus(site, host, objectives)
    for host, result in content.items():
        identity = flow_verdicts.rules_id("grafana", host)
        if result.get("failed"):
            errors[identity] = f"its content cannot be read: {result['msg']}"
        rules[identity] = [
            flow_plan.RuleName(rule["group"], rule["rule"])
            for rule in result.get("rules") or ()
        ]
    return flow_verdicts.Expected(
        _selectors(answers, "selectors"), _selectors(answers, "streams"), rules, errors
    )
