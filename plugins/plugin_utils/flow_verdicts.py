# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verdicts about the flows of an environment, from what its hosts have answered. Pure.

A check that fails because of another one that it needs is not a second error: it was not checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import flow_plan, rollout_table, series_selectors
from .flow_plan import RuleName, Selector, SeriesFacts, Site, Target

OK, BROKEN, UNCHECKED, SKIPPED = "ok", "broken", "not checked", "skipped"
# Seconds by which the clocks of two hosts may differ.
CLOCK_TOLERANCE = 5.0
Result = Mapping[str, Any]
STATUS = "playbooks/status.yml shows its state, and journalctl -u {unit} its last lines"
ROLL_OUT = "site.yml --tags {tag} rolls it out again"
# Role whose tag rolls out the rules of a server, and how many names a message has.
RULES_OF = {"prometheus": "prometheus", "grafana": "grafana_content"}
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One thing that was checked; it is broken if it has a problem.

    ``needs`` are ids of checks without which this one fails too. ``skipped`` is the reason why
    it was not tried, and ``note`` tells more about a check that is right. ``is_accepted`` is
    whether the first program of a flow has taken the data.
    """

    id: str
    flow: str
    host: str
    subject: str
    problem: str = ""
    remedy: str = ""
    needs: tuple[str, ...] = ()
    seconds: float | None = None
    note: str = ""
    skipped: str = ""
    is_accepted: bool = False


class Verdict(NamedTuple):
    """A check with its state, and the reason of any but a right one."""

    check: Check
    state: str
    reason: str


@dataclass(frozen=True)
class Expected:
    """What the checks expect besides components and marks.

    ``selectors`` and ``streams`` were asked of the Prometheus and the Loki of a host. ``rules`` are
    those of a server by the id of their check, without an entry where they are not known;
    ``errors`` has the reason by the same id, if that is an error.
    """

    selectors: Mapping[str, list[Selector]] = field(default_factory=dict)
    streams: Mapping[str, list[Selector]] = field(default_factory=dict)
    rules: Mapping[str, list[RuleName]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


NOTHING_MORE = Expected()


@dataclass(frozen=True)
class Answers:
    """The results of the modules by host: states, marks that were sent, answers of servers."""

    statuses: Mapping[str, Result] = field(default_factory=dict)
    sent: Mapping[str, Result] = field(default_factory=dict)
    found: Mapping[str, Result] = field(default_factory=dict)

    def answer(self, host: str, identity: str) -> Result | None:
        """Return the answer to a query on a host, None without."""
        for answer in self.found.get(host, {}).get("answers") or ():
            if answer["id"] == identity:
                return dict(answer)
        return None

    def marks(self) -> list[Result]:
        """Return all marks that were sent."""
        return [
            mark for result in self.sent.values() for mark in result.get("marks") or ()
        ]

    def runs(self, host: str, name: str) -> bool:
        """Return whether a component is known to be there and ready."""
        instances = self.statuses.get(host, {}).get("instances") or {}
        is_there = any(report["component"] == name for report in instances.values())
        return is_there and self.is_running(host, name)

    def is_unreachable(self, host: str) -> bool:
        """Return whether a host is known not to answer."""
        return bool(self.statuses.get(host, {}).get("unreachable"))

    def is_running(self, host: str, name: str) -> bool:
        """Return whether a component may answer, unless its state is known to be another."""
        if self.is_unreachable(host):
            return False
        instances = self.statuses.get(host, {}).get("instances") or {}
        own = [report for report in instances.values() if report["component"] == name]
        return all(rollout_table.shown_state(report) == "ready" for report in own)

    def offset(self, host: str) -> float:
        """Return by how many seconds the clock of a host is ahead of the controller's."""
        bounds = clock_bounds(self.sent.get(host, {}))
        return (bounds[0] + bounds[1]) / 2 if bounds else 0.0


def settle(checks: Iterable[Check], flows: Collection[str]) -> list[Verdict]:
    """Return the verdicts about the checks of some flows.

    A failed check that needs another failed one has not been checked. A need of another flow is
    not shown, so that the check itself is broken then, for the reason of its need.
    """
    by_id = {check.id: check for check in checks}
    verdicts = []
    for check in by_id.values():
        if check.flow not in flows:
            continue
        cause = _cause(check, by_id)
        if check.skipped:
            verdicts.append(Verdict(check, SKIPPED, check.skipped))
        elif not check.problem:
            verdicts.append(Verdict(check, OK, check.note))
        elif cause is None:
            verdicts.append(Verdict(check, BROKEN, check.problem))
        elif cause.flow in flows:
            verdicts.append(Verdict(check, UNCHECKED, f"because of {cause.subject}"))
        else:
            reason = f"{cause.subject}: {cause.problem}"
            shown = Check(**{**vars(check), "remedy": cause.remedy})
            verdicts.append(Verdict(shown, BROKEN, reason))
    return verdicts


def _cause(check: Check, by_id: Mapping[str, Check]) -> Check | None:
    """Return the failed check at the root of another one, None if it needs no failed one."""
    seen = {check.id}
    cause = None
    pending = list(check.needs)
    while pending:
        identity = pending.pop(0)
        need = by_id.get(identity)
        if need is None or identity in seen or not need.problem:
            continue
        seen.add(identity)
        cause = need
        pending = list(need.needs)
    return cause


def clock_bounds(result: Result) -> tuple[float, float] | None:
    """Return the least and the greatest number of seconds by which a host's clock is ahead.

    The controller read its own clock before and after the host's.
    """
    if "started" not in result or "asked" not in result:
        return None
    least = result["ended"] - result["answered"]
    return least, result["started"] - result["asked"]


def clock_problem(result: Result, tolerance: float = CLOCK_TOLERANCE) -> str:
    """Return by how much a clock is off, an empty string if it may be right."""
    bounds = clock_bounds(result)
    if bounds is None:
        return ""
    least, greatest = bounds
    if least > tolerance:
        return f"its clock is at least {least:.0f} s ahead of the controller's"
    if greatest < -tolerance:
        return f"its clock is at least {-greatest:.0f} s behind the controller's"
    return ""


def checks_of(
    site: Site,
    answers: Answers,
    facts: SeriesFacts,
    hosts: Collection[str],
    expected: Expected = NOTHING_MORE,
) -> list[Check]:
    """Return all checks; ``hosts`` are those of the run."""
    checks = []
    for host in hosts:
        checks += _host_checks(site, answers, host)
    for host in hosts:
        checks += _mark_checks(site, answers, host, set(answers.found))
    for host in hosts:
        checks += _message_checks(answers, host)
    for host in _those_of(site, "prometheus", hosts):
        checks += _target_checks(site, answers, host)
        checks += _rule_checks(answers, "prometheus", host, expected)
        selectors = expected.selectors.get(host, [])
        checks += _selector_checks(site, answers, host, selectors, facts)
    for host in _those_of(site, "loki", hosts):
        streams = expected.streams.get(host, [])
        checks += _stream_checks(site, answers, host, streams, facts)
    for host in _those_of(site, "grafana", hosts):
        checks += _datasource_checks(site, answers, host)
        checks += _rule_checks(answers, "grafana", host, expected)
    return checks


def _those_of(site: Site, name: str, hosts: Collection[str]) -> list[str]:
    """Return the hosts of a component that are in the run."""
    return [host for host in site.hosts(name) if host in hosts]


def of_component(checks: Iterable[Check], component: str) -> list[Check]:
    """Return the checks of a component's rollout: its own, and those of marks through it."""
    return [
        check
        for check in checks
        if check.flow in ("metrics", "traces", "logs")
        or check.id.split("/")[-1] == component
    ]


def component_id(host: str, name: str) -> str:
    """Return the id of the check that a component runs."""
    return f"component/{host}/{name}"


def host_id(host: str) -> str:
    """Return the id of the check that a host answers."""
    return f"host/{host}"


def _host_checks(site: Site, answers: Answers, host: str) -> list[Check]:
    status = answers.statuses.get(host, {})
    if "instances" not in status or status.get("failed"):
        lines = str(status.get("msg") or "no answer").strip().splitlines()
        problem = lines[-1].removeprefix("Task failed: ")
        remedy = "correct the connection, or leave the host out by --limit"
        return [
            Check(host_id(host), "components", host, f"host {host}", problem, remedy),
            *(
                Check(
                    component_id(host, name),
                    "components",
                    host,
                    f"{name} on {host}",
                    "its host does not answer",
                    needs=(host_id(host),),
                )
                for name in site.names(host)
            ),
        ]
    clock = clock_problem(answers.sent.get(host, {}))
    checks = [
        Check(
            f"clock/{host}",
            "clocks",
            host,
            f"clock of {host}",
            clock,
            "let a time service such as chrony or systemd-timesyncd set it",
        )
    ]
    reports: dict[str, dict[str, Result]] = {}
    for instance, report in status["instances"].items():
        reports.setdefault(report["component"], {})[instance] = report
    for name in dict.fromkeys([*site.names(host), *reports]):
        checks += _component_checks(site, host, name, reports.get(name, {}))
    return checks


def _component_checks(
    site: Site, host: str, name: str, reports: Mapping[str, Result]
) -> list[Check]:
    """Return that a component runs, that it does its work, and that it is as rolled out."""
    down, complaints, drift, remedies = [], [], [], []
    for instance, report in sorted(reports.items()):
        prefix = "" if instance == name else f"{instance}: "
        others = [line for line in report["diagnostics"] if line not in report["drift"]]
        if rollout_table.shown_state(report) != "ready":
            state = f"is {rollout_table.shown_state(report)}"
            down.append(prefix + "; ".join(others or [state]))
            remedies.append(STATUS.format(unit=instance))
        else:
            complaints += [prefix + line for line in others]
        drift += [prefix + line for line in report["drift"]]
    if not reports:
        down, remedies = ["it is not installed"], []
    tag = site.components[name].role if name in site.components else name
    roll_out = ROLL_OUT.format(tag=tag)
    subject = f"{name} on {host}"
    running = component_id(host, name)
    sends_to = {
        **dict(site.components[name].consumes if name in site.components else {}),
        **dict.fromkeys(flow_plan.SENDS_TO.get(name, ()), "http"),
    }
    servers = tuple(
        component_id(site.server(server, host), server) for server in sends_to
    )
    return [
        Check(
            running,
            "components",
            host,
            subject,
            "; ".join(down),
            (remedies or [roll_out])[0],
        ),
        Check(
            f"work/{host}/{name}",
            "components",
            host,
            f"work of {subject}",
            "; ".join(complaints),
            STATUS.format(unit=name),
            (running, *servers),
        ),
        Check(
            f"rollout/{host}/{name}",
            "components",
            host,
            f"rollout of {subject}",
            "; ".join(drift),
            roll_out,
        ),
    ]


KINDS = {
    "metric": ("metrics", "metric", "otel-collector", "prometheus"),
    "span": ("traces", "span", "otel-collector", "tempo"),
    "direct": ("traces", "span sent to Tempo directly", "tempo", "tempo"),
    "line": ("logs", "log line", "promtail", "loki"),
}


def _mark_checks(
    site: Site, answers: Answers, host: str, hosts: Collection[str]
) -> list[Check]:
    checks = []
    for mark in answers.sent.get(host, {}).get("marks") or ():
        servers = [mark["server"]]
        if mark["kind"] == "metric":
            servers = site.hosts("prometheus")
        checks += [
            _mark_check(site, answers, mark, server, server in hosts)
            for server in servers
        ]
    if host in site.hosts("promtail"):
        reason = flow_plan.skipped_line(site, host)
        if reason:
            check = Check(
                f"line/{host}", "logs", host, f"log line of {host}", skipped=reason
            )
            checks.append(check)
    return checks


def _mark_check(
    site: Site, answers: Answers, mark: Result, server: str, is_in_run: bool
) -> Check:
    kind, host = mark["kind"], mark["host"]
    flow, noun, sender, store = KINDS[kind]
    answer = answers.answer(server, f"{kind}/{host}/{server}")
    needs = [component_id(host, sender), component_id(server, store)]
    if kind == "metric":
        needs += [
            target.id
            for target in site.targets(server)
            if target.host == host and target.job == "otel-collector"
        ]
    if kind == "span":
        needs.append(f"direct/{server}/{server}")
    problem = remedy = skipped = ""
    seconds = None
    if mark["error"]:
        problem = f"{sender} on {host} did not take it: {mark['error']}"
        remedy = STATUS.format(unit=sender)
        if kind == "line":
            problem, skipped = "", f"the line cannot be written: {mark['error']}"
    elif not is_in_run:
        skipped = f"{server} is not in this run"
    elif answer is None:
        problem = f"{store} on {server} was not asked"
    elif not answer["at"]:
        problem, skipped = _not_found(site, mark, answer, server)
        remedy = REMEDIES[kind]
    else:
        behind = answer["at"] - answers.offset(server)
        seconds = max(0.0, behind - (mark["at"] - answers.offset(host)))
        if host == server:
            seconds = answer["at"] - mark["at"]
    return Check(
        f"{kind}/{host}/{server}",
        flow,
        host,
        f"{noun} from {host} to {store} on {server}",
        problem,
        remedy,
        tuple(needs),
        seconds,
        "arrived" if seconds is not None else "",
        skipped,
        not mark["error"],
    )


REMEDIES = {
    "metric": "see the log of the collector, and whether its page of metrics has the series"
    f" {flow_plan.METRIC}",
    "span": "see the log of the collector for the reason why Tempo does not take it",
    "direct": "see the log of Tempo",
    "line": "see the log of Promtail, and its page /targets for the container"
    f" {flow_plan.CONTAINER}",
}


def _not_found(
    site: Site, mark: Result, answer: Result, server: str
) -> tuple[str, str]:
    """Return the problem of a mark that was not found, or why it may have been dropped."""
    kind, host = mark["kind"], mark["host"]
    name, variables = {
        "span": ("otel-collector", flow_plan.SPAN_RULES),
        "line": ("promtail", flow_plan.LINE_RULES),
    }.get(kind, ("", ()))
    rules = flow_plan.rules_that_drop(site, name, host, variables) if name else ""
    if rules:
        return "", f"it did not arrive, and {rules} may have dropped it"
    store = KINDS[kind][3]
    seconds = flow_plan.PATIENCE[kind]
    detail = ""
    if answer["error"] and answer["status"] != 404:
        detail = f" ({answer['status'] or 'no answer'}: {answer['error']})"
    return f"{store} on {server} does not have it after {seconds} s{detail}", ""


def _target_checks(site: Site, answers: Answers, host: str) -> list[Check]:
    answer = answers.answer(host, f"targets/{host}")
    if answer is None:
        return []
    live = _active_targets(answer)
    subject = f"Prometheus on {host}"
    needs = (component_id(host, "prometheus"),)
    checks = []
    expected = (
        {}
        if site.own_file("prometheus", host)
        else {(target.job, target.address): target for target in site.targets(host)}
    )
    for (job, address), target in expected.items():
        problem = live.get((job, address), "it is not among the targets")
        component = component_id(target.host, target.component)
        remedy = f"see the page /targets of Prometheus on {host}"
        if (job, address) not in live:
            remedy = ROLL_OUT.format(tag="prometheus")
        checks.append(
            Check(
                target.id,
                "targets",
                target.host,
                f"scrape target {job} {address}",
                problem,
                remedy,
                (*needs, component),
            )
        )
    for (job, address), problem in live.items():
        if (job, address) not in expected:
            checks.append(
                Check(
                    f"target/{host}/{job}/{address}",
                    "targets",
                    host,
                    f"scrape target {job} {address}",
                    problem,
                    f"see the page /targets of {subject}",
                    needs,
                )
            )
    return checks


def _active_targets(answer: Result) -> dict[tuple[str, str], str]:
    """Return the problem of each live target by job and address, empty if it is up."""
    values = answer["values"] or {}
    live = {}
    for target in (values.get("data") or {}).get("activeTargets") or ():
        labels = target["labels"]
        problem = ""
        if target["health"] != "up":
            problem = f"it is {target['health']}: {target.get('lastError') or 'no scrape yet'}"
        live[labels.get("job", ""), labels.get("instance", "")] = problem
    return live


def _message_checks(answers: Answers, host: str) -> list[Check]:
    return [
        Check(
            f"message/{message['server']}/{host}/{message['receiver']}",
            "notifications",
            host,
            f"message from {message['server']} on {host} to {message['receiver']}",
            message["error"],
            "correct its address, such as an expired webhook, and roll it out again",
            (component_id(host, message["server"]),),
            note="it was taken",
        )
        for message in answers.found.get(host, {}).get("messages") or ()
    ]


def rules_id(name: str, host: str) -> str:
    """Return the id of the check of a server's rules."""
    return f"rules/{name}/{host}"


def _rule_checks(
    answers: Answers, name: str, host: str, expected: Expected
) -> list[Check]:
    identity = rules_id(name, host)
    answer = answers.answer(host, identity)
    if answer is None:
        return []
    needs = [component_id(host, name)]
    subject = f"rules of {name} on {host}"
    if not answer["at"] and not rules_in(answer):
        problem = (
            f"{name} does not tell them: {answer['status'] or ''} {answer['error']}"
        )
        return [Check(identity, "rules", host, subject, problem, needs=tuple(needs))]
    missing = missing_rules(expected.rules.get(identity, []), answer)
    missing = expected.errors.get(identity, missing)
    remedy = ROLL_OUT.format(tag=RULES_OF[name])
    lost = Check(identity, "rules", host, subject, missing, remedy, tuple(needs))
    if name == "grafana":
        # Rules of a data source that does not answer fail, too.
        needs.append(f"datasource/{host}/prometheus")
    rules = rules_in(answer)
    broken = [rule for rule in rules if rule.get("health") in ("err", "error")]
    checks = [
        Check(
            f"rule/{name}/{host}/{rule['name']}",
            "rules",
            host,
            f"rule {rule['name']}",
            f"{name} cannot evaluate it: {rule.get('lastError') or 'no reason is given'}",
            "correct its expression",
            tuple(needs),
        )
        for rule in broken
    ]
    if missing:
        checks.append(lost)
    elif not broken:
        note = f"{len(rules)} rules are evaluated"
        checks.append(Check(identity, "rules", host, subject, note=note))
    return checks


def missing_rules(expected: Iterable[RuleName], answer: Result) -> str:
    """Return how many rules a server lacks, with some names; empty if it has all."""
    values = answer["values"] or {}
    live = Counter(
        RuleName(str(group.get("name")), str(rule.get("name")))
        for group in (values.get("data") or {}).get("groups") or ()
        for rule in group.get("rules") or ()
        if not rule.get("isPaused")
    )
    lost = sorted((Counter(expected) - live).elements())
    if not lost:
        return ""
    names = ", ".join(one.rule for one in lost[:NAMES_SHOWN])
    more = f" and {len(lost) - NAMES_SHOWN} more" if len(lost) > NAMES_SHOWN else ""
    verb = "is" if len(lost) == 1 else "are"
    return f"{len(lost)} of its rules {verb} missing or paused: {names}{more}"


def rules_in(answer: Result | None) -> list[Result]:
    """Return the rules in an answer of Prometheus, or of Grafana in the same form."""
    values = (answer or {}).get("values") or {}
    groups = (values.get("data") or {}).get("groups") or ()
    return [rule for group in groups for rule in group.get("rules") or ()]


def _datasource_checks(site: Site, answers: Answers, host: str) -> list[Check]:
    listed = answers.answer(host, f"datasources/{host}")
    if listed is None:
        return []
    needs = (component_id(host, "grafana"),)
    subject = f"Grafana on {host}"
    if not listed["at"]:
        problem = (
            f"it does not list its data sources: {listed['status'] or 'no answer'}"
        )
        return [
            Check(
                f"datasources/{host}",
                "datasources",
                host,
                subject,
                f"{problem} {listed['error']}",
                "see its log; the user needs grafana_admin_password, or the token of its content",
                needs,
            )
        ]
    uids = {str(source["uid"]): source for source in listed["values"] or ()}
    checks = []
    for name in flow_plan.expected_datasources(site):
        identity = f"datasource/{host}/{name}"
        answer = answers.answer(host, identity)
        problem = remedy = ""
        more: tuple[str, ...] = ()
        if name not in uids:
            others = ", ".join(
                uid for uid, source in uids.items() if source["type"] == name
            )
            problem = f"no data source has the uid {name}, which rules and panels use"
            if others:
                problem += f"; that of its type has {others}"
            remedy = ROLL_OUT.format(tag="grafana_content")
        elif answer is not None and not answer["at"]:
            problem = f"Grafana does not reach it: {answer['status']} {answer['error']}"
            remedy = "see the address and the login of the data source in Grafana"
            more = (component_id(site.server(name, host), name),)
        checks.append(
            Check(
                identity,
                "datasources",
                host,
                f"data source {name} of {subject}",
                problem,
                remedy,
                (*needs, *more),
            )
        )
    return checks


def _selector_checks(
    site: Site,
    answers: Answers,
    host: str,
    selectors: list[Selector],
    facts: SeriesFacts,
) -> list[Check]:
    if not selectors:
        return []
    present, failed = _present_selectors(answers, host, selectors)
    targets = site.targets(host)
    checks = []
    counts = {"with a series": 0, "may be empty": 0}
    for selector in selectors:
        if selector.text in present:
            counts["with a series"] += 1
            continue
        reason = flow_plan.allowed_reason(selector.text, facts)
        reason = reason or absent_component(site, selector.text, facts)
        if reason:
            counts["may be empty"] += 1
            continue
        problem = failed.get(selector.text, "it selects no series")
        checks.append(
            Check(
                f"selector/{host}/{selector.text}",
                "selectors",
                host,
                f"selector {selector.text}",
                f"{problem} ({selector.source})",
                "correct the name, or list it with a reason in verify_allowed_empty",
                selector_needs(host, selector.text, targets, site, facts),
            )
        )
    note = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    summary = Check(
        f"selectors/{host}",
        "selectors",
        host,
        f"{len(selectors)} selectors in Prometheus on {host}",
        note=note,
    )
    return [summary, *checks] if counts["with a series"] else checks


def _stream_checks(
    site: Site,
    answers: Answers,
    host: str,
    streams: list[Selector],
    facts: SeriesFacts,
) -> list[Check]:
    """Return that each selector of LogQL has a stream, or a reason for having none."""
    # The marked lines are streams, too.
    senders = [
        name for name in site.hosts("promtail") if site.server("loki", name) == host
    ]
    needs = (
        component_id(host, "loki"),
        *(component_id(name, "promtail") for name in senders),
        *(f"line/{name}/{host}" for name in senders),
    )
    checks = []
    counts = Counter[str]()
    for text, source in streams:
        identity = flow_plan.stream_id(host, text)
        answer = answers.answer(host, identity) or {
            "at": 0,
            "error": "it was not asked",
        }
        allowed = flow_plan.allowed_reason(text, facts)
        if answer["at"] or (allowed and not answer["error"]):
            counts["with a stream" if answer["at"] else "may be empty"] += 1
            continue
        checks.append(
            Check(
                identity,
                "selectors",
                host,
                f"selector {text}",
                f"{answer['error'] or 'it selects no stream'} ({source})",
                "correct the label, or list it with a reason in verify_allowed_empty",
                needs,
            )
        )
    note = ", ".join(f"{count} {what}" for what, count in counts.items())
    subject = f"{len(streams)} selectors in Loki on {host}"
    summary = Check(f"streams/{host}", "selectors", host, subject, note=note)
    return [summary, *checks] if note else checks


def _present_selectors(
    answers: Answers, host: str, selectors: list[Selector]
) -> tuple[set[str], dict[str, str]]:
    """Return the selectors with a series, and the error of each that could not be asked."""
    present: set[str] = set()
    failed: dict[str, str] = {}
    size = flow_plan.SELECTORS_IN_QUERY
    for start in range(0, len(selectors), size):
        part = selectors[start : start + size]
        answer = answers.answer(host, f"selectors/{host}/{start}")
        series = ((answer or {}).get("values") or {}).get("data") or {}
        for result in series.get("result") or ():
            present.add(part[int(result["metric"]["selector"])].text)
        if answer is None or answer["error"]:
            error = (answer or {}).get("error") or "it was not asked"
            failed.update(dict.fromkeys((one.text for one in part), str(error)))
    return present, failed


def absent_component(site: Site, selector: str, facts: SeriesFacts) -> str:
    """Return that the inventory lacks the component of a selector, else an empty string."""
    job = series_selectors.required_value(selector, "job")
    for name, component in site.components.items():
        if site.hosts(name):
            continue
        is_own = owner_of(selector, facts) == name
        if is_own or job in [str(facts["name"]) for facts in component.scrape_jobs]:
            return f"no host of the inventory has {name}"
    return ""


def owner_of(selector: str, facts: SeriesFacts) -> str:
    """Return the component that has the metric of a selector, an empty string if unknown."""
    metric = series_selectors.metric(selector)
    for beginning, name in facts.owners.items():
        if metric.startswith(beginning):
            return name
    return ""


def selector_needs(
    host: str, selector: str, targets: list[Target], site: Site, facts: SeriesFacts
) -> tuple[str, ...]:
    """Return the checks without which a selector has no series: targets and their programs."""
    needs = [component_id(host, "prometheus")]
    jobs = {target.job for target in targets}
    selected = series_selectors.selected_values(selector, "job", jobs)
    owner = owner_of(selector, facts)
    job = series_selectors.required_value(selector, "job")
    is_unknown_job = job is not None and job not in jobs
    for target in targets:
        is_owned = target.component == owner and (selected is None or is_unknown_job)
        if is_owned or target.job in (selected or ()):
            needs += [target.id, component_id(target.host, target.component)]
            needs += mark_ids(site, target.component, target.host, host)
    if owner == "tempo":
        # Tempo itself sends the metrics of spans.
        needs += [component_id(name, "tempo") for name in site.hosts("tempo")]
    return tuple(needs)


def mark_ids(site: Site, name: str, host: str, prometheus: str) -> list[str]:
    """Return the checks of the marks that pass a component of a host.

    Many of its counters begin with the first data. Metrics are looked for in one Prometheus.
    """
    ids = []
    for kind in flow_plan.MARKS_THROUGH.get(name, ()):
        _flow, _noun, sender, store = KINDS[kind]
        for source in [host] if name == sender else site.hosts(sender):
            server = prometheus if kind == "metric" else site.server(store, source)
            if name == sender or server == host:
                ids.append(f"{kind}/{source}/{server}")
    return ids


def selectors_without_source(
    site: Site,
    answers: Answers,
    host: str,
    selectors: Iterable[Selector],
    facts: SeriesFacts,
) -> set[str]:
    """Return the selectors whose series cannot exist: a target or its program is down."""
    checks = checks_of(site, answers, facts, list(answers.statuses))
    failed = {check.id for check in checks if check.problem}
    targets = site.targets(host)
    return {
        selector.text
        for selector in selectors
        if failed.intersection(
            selector_needs(host, selector.text, targets, site, facts)
        )
    }
