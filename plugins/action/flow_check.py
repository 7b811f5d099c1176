# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Send marked data from a host, find it in the servers of a host, and remove what is left."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils import flow_plan, flow_sources, flow_verdicts
from ..plugin_utils.action_helpers import plain
from ..plugin_utils.catalog import CatalogError
from ..plugin_utils.inventory import all_components, inventory_of

if TYPE_CHECKING:
    from ..plugin_utils.content import DesiredRule

STEPS = ["plan", "send", "find", "remove"]
OPTIONS = {
    "step": {"type": "str", "choices": STEPS, "required": True},
    "only": {"type": "raw", "default": ""},
    "notifications": {"type": "bool", "default": False},
    "component": {"type": "str", "default": ""},
    "server": {"type": "str", "default": ""},
    "sent": {"type": "dict", "default": {}},
    "statuses": {"type": "dict", "default": {}},
    "content": {"type": "dict", "default": {}},
}
MARKS = 4
MODULE = "hippius.monitoring.flow_queries"


class ActionModule(ActionBase):
    """Plan on the controller what the module does on the host."""

    TRANSFERS_FILES = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the answers of the host, and the controller's time before and after."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        self._variables = task_vars or {}
        own: str = self._variables["inventory_hostname"]
        self._host: str = options["server"] or own
        try:
            flows = flow_plan.parse_flows(
                plain(options["only"]), options["notifications"]
            )
            if options["step"] == "plan":
                return {"changed": False, "flows": sorted(flows)}
            self._site = flow_plan.Site(
                inventory_of(self._loader, self._variables), all_components()
            )
            return self._run_step(options, flows)
        except CatalogError as error:
            raise AnsibleActionFail(str(error)) from error

    def _run_step(
        self, options: Mapping[str, Any], flows: frozenset[str]
    ) -> dict[str, Any]:
        answers = flow_verdicts.Answers(
            plain(options["statuses"]), plain(options["sent"])
        )
        if answers.is_unreachable(self._host):
            # Each attempt would take as long as the first one.
            return {"changed": False, "marks": [], "answers": []}
        if options["step"] == "send":
            return self._send(options["component"], flows, answers)
        if options["step"] == "remove":
            return self._remove(answers)
        flows = frozenset() if options["component"] else flows
        return self._find(flows, answers, plain(options["content"]))

    def _find(
        self,
        flows: frozenset[str],
        answers: flow_verdicts.Answers,
        contents: Mapping[str, Any],
    ) -> dict[str, Any]:
        site, host = self._site, self._host
        queries = flow_plan.queries_of(
            site, host, flows, answers.marks(), answers.is_running
        )
        for query in queries:
            if not answers.is_running(host, query["server"]):
                query["seconds"] = 0
        receivers = [
            server
            for server in flow_plan.receivers_of(site, host, flows)
            if answers.is_running(host, server["server"])
        ]
        result: dict[str, Any] = {"changed": False, "answers": []}
        if queries or receivers:
            result = self._query(queries=queries, receivers=receivers)
        if "selectors" in flows and "answers" in result:
            rules = [
                rule
                for content in contents.values()
                for rule in content.get("rules") or ()
            ]
            if host in site.hosts("prometheus"):
                self._add_selectors(result, answers, rules)
            if host in site.hosts("loki"):
                self._add_streams(result, answers, rules)
        return result

    def _send(
        self, component: str, flows: frozenset[str], answers: flow_verdicts.Answers
    ) -> dict[str, Any]:
        site, host = self._site, self._host
        tokens = [secrets.token_hex(16) for _mark in range(MARKS)]
        marks = flow_plan.marks_of(site, host, flows, tokens)
        if component:
            marks = flow_plan.marks_through(marks, component, answers.runs)
            if not marks:
                return {"changed": False, "marks": [], "servers": []}
        servers = flow_plan.servers_of(site, marks)
        return {**self._query(marks=marks), "servers": servers}

    def _remove(self, answers: flow_verdicts.Answers) -> dict[str, Any]:
        lines = [
            {"url": mark["url"], "token": mark["token"]}
            for mark in answers.sent.get(self._host, {}).get("marks") or ()
            if mark["kind"] == "line"
        ]
        return self._query(remove=lines) if lines else {"changed": False}

    def _add_selectors(
        self,
        result: dict[str, Any],
        answers: flow_verdicts.Answers,
        content: list[DesiredRule],
    ) -> None:
        """Ask a second time: the rules that Prometheus has are part of the question."""
        site, host = self._site, self._host
        answers = replace(answers, found={host: result})
        rules = answers.answer(host, f"rules/prometheus/{host}")
        if not rules or not rules["at"]:
            return
        sources = flow_sources.expressions(site, "prometheus", content)
        sources += [
            (f"rule {rule['name']}", rule["query"])
            for rule in flow_verdicts.rules_in(rules)
        ]
        facts = flow_sources.series_facts(site, host)
        selectors = flow_plan.selectors_of(sources)
        optional = flow_verdicts.selectors_without_source(
            site, answers, host, selectors, facts
        )
        optional |= {
            selector.text
            for selector in selectors
            if flow_plan.allowed_reason(selector.text, facts)
            or flow_verdicts.absent_component(site, selector.text, facts)
        }
        queries = flow_plan.selector_queries(site, host, selectors, optional)
        asked = self._query(queries=queries)
        result["selectors"] = [list(selector) for selector in selectors]
        result["answers"] += asked.get("answers") or ()

    def _add_streams(
        self,
        result: dict[str, Any],
        answers: flow_verdicts.Answers,
        content: list[DesiredRule],
    ) -> None:
        """Ask Loki for the streams of rules and panels; the marked lines have arrived by now."""
        site, host = self._site, self._host
        streams = flow_plan.streams_of(flow_sources.expressions(site, "loki", content))
        facts = flow_sources.series_facts(site, host)
        is_running = answers.is_running(host, "loki")
        optional = {
            text
            for text, _source in streams
            if not is_running or flow_plan.allowed_reason(text, facts)
        }
        queries = flow_plan.stream_queries(site, host, streams, optional)
        asked = self._query(queries=queries) if queries else {}
        result["streams"] = [list(selector) for selector in streams]
        result["answers"] += asked.get("answers") or ()

    def _query(self, **args: Any) -> dict[str, Any]:
        """Run the module; add the controller's time before and after."""
        queries, receivers = args.get("queries") or (), args.get("receivers") or ()
        if receivers or any(query["is_grafana"] for query in queries):
            args |= self._grafana_login()
        asked = time.time()
        result: dict[str, Any] = self._execute_module(
            module_name=MODULE, module_args=args, task_vars=self._variables
        )
        result.pop("invocation", None)
        return {**result, "asked": asked, "answered": time.time()}

    def _grafana_login(self) -> dict[str, Any]:
        site, host = self._site, self._host
        token = site.inventory.variable(host, "grafana_content_token_path")
        return {
            "grafana_username": str(
                site.variable("grafana", host, "grafana_admin_user")
            ),
            "grafana_password": str(
                site.variable("grafana", host, "grafana_admin_password")
            ),
            "grafana_token_path": str(token or flow_plan.TOKEN_PATH),
        }
