# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reasons why a run would do nothing, or something else than it was asked for. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.parsing.convert_bool import boolean

# Tags that Ansible itself defines.
ALL_TAGS = {"all", "tagged"}
OWN_TAGS = {*ALL_TAGS, "untagged", "always", "never"}
# Molecule skips them in each run, whether a playbook has them or not.
MOLECULES_TAGS = {"molecule-idempotence-notest", "molecule-notest", "notest"}
SIMILARITY = 0.6
# Variables of playbooks, which a user gives by --extra-vars.
SWITCHES = ("purge", "strict", "verify_notifications")
REQUESTS = (
    *SWITCHES,
    *("bundle", "component", "confirm", "export", "format", "report", "secrets_file"),
    *("verify", "verify_only"),
)
SIMILARITY_OF_REQUESTS = 0.8
SERIAL = "monitoring_serial"
# A number of hosts, or a share of them.
BATCH = re.compile(r"[1-9]\d*%?")
OLDEST_CORE, OLDEST_PYTHON = (2, 17), (3, 11)


class Run(NamedTuple):
    """The inventory, the selected hosts and the tags of one run.

    ``sources`` are the values of ``-i``, and ``limit`` that of ``--limit``, empty without it.
    ``groups`` are those of the inventory with their hosts, and ``hosts`` those of the play.
    """

    sources: list[str]
    limit: str
    groups: Mapping[str, list[str]]
    hosts: list[str]
    tags: list[str]
    skipped_tags: list[str]


class Expectation(NamedTuple):
    """The conditions under which a playbook has something to do.

    It needs a host in one of ``groups``, if it names any. ``tags`` are those of its plays, with the
    group of each. A playbook of the controller alone takes no ``--limit``.
    """

    groups: list[str]
    tags: Mapping[str, str]
    takes_limit: bool = True


def unsupported(core: tuple[int, ...], python: tuple[int, ...]) -> list[str]:
    """Return an error for each program of the controller that is too old."""
    programs = (
        ("ansible-core", core, OLDEST_CORE),
        ("Python", python, OLDEST_PYTHON),
    )
    return [
        f"{program} {_dotted(version)} on the controller: is too old; install {_dotted(oldest)}"
        " or newer."
        for program, version, oldest in programs
        if version[:2] < oldest
    ]


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def errors_of(run: Run, expected: Expectation, is_own_playbook: bool) -> list[str]:
    """Return the reasons why a run would do nothing.

    A playbook of the user's own that imports ours may have tags of its own.
    """
    if run.limit and not expected.takes_limit:
        return [f"--limit {run.limit}: this playbook runs on the controller; omit it."]
    if not expected.groups:
        return []
    host_errors = _host_errors(run, expected.groups)
    return host_errors or _tag_errors(run, expected.tags, is_own_playbook)


def request_errors(variables: Mapping[str, Any]) -> list[str]:
    """Return the errors in the variables of a playbook, which Ansible would read as false."""
    errors = []
    for name in SWITCHES:
        try:
            boolean(variables.get(name, False))
        except TypeError:
            problem = f"{variables[name]!r} is no boolean; write true or false"
            errors.append(f"{name}: {problem}.")
    serial = variables.get(SERIAL, 1)
    batches = serial if isinstance(serial, list) else [serial]
    wrong = [batch for batch in batches if not BATCH.fullmatch(str(batch))]
    if wrong or not batches:
        problem = f"{serial!r} is no number of hosts; write one such as 1 or 25%"
        errors.append(f"{SERIAL}: {problem}.")
    return errors


def misspelled_requests(names: Iterable[str]) -> list[str]:
    """Return a warning for each extra variable that resembles one of a playbook."""
    warnings = []
    for name in sorted(set(names) - set(REQUESTS)):
        closest = difflib.get_close_matches(name, REQUESTS, 1, SIMILARITY_OF_REQUESTS)
        if closest:
            warnings.append(
                f"-e {name}: is no variable of a playbook; did you mean {closest[0]}?"
            )
    return warnings


def _host_errors(run: Run, groups: list[str]) -> list[str]:
    sources = ", ".join(run.sources) or "without -i"
    if not run.groups.get("all"):
        remedy = "pass one with -i, and correct what Ansible could not parse"
        return [f"inventory ({sources}): has no host; {remedy}."]
    members = {host for group in groups for host in run.groups.get(group) or ()}
    names = _alternatives(groups)
    if not members:
        problem = f"has no host in the group {names}"
        return [f"inventory ({sources}): {problem}; add one, or pass another with -i."]
    if not members.intersection(run.hosts):
        hosts = ", ".join(run.hosts)
        problem = f"none of its hosts ({hosts}) is in the group {names}"
        return [f"--limit {run.limit}: {problem}; choose others."]
    return []


def _alternatives(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _tag_errors(
    run: Run, groups_by_tag: Mapping[str, str], is_own_playbook: bool
) -> list[str]:
    if not is_own_playbook:
        return []
    options = (("--tags", run.tags), ("--skip-tags", run.skipped_tags))
    known = {*groups_by_tag, *OWN_TAGS} if groups_by_tag else {"all"}
    errors = [
        _unknown_tag(option, tag, list(groups_by_tag))
        for option, tags in options
        for tag in tags
        if tag not in known and tag not in MOLECULES_TAGS
    ]
    # With the tag always a user asks for the checks alone. A playbook without tags is one play.
    if errors or not groups_by_tag or run.tags == ["always"]:
        return errors
    selected = selected_tags(run, groups_by_tag)
    if not selected:
        return [f"{_tag_options(run)}: no play is left; select at least one tag."]
    groups = [groups_by_tag[tag] for tag in selected]
    if any(
        host in (run.groups.get(group) or ()) for group in groups for host in run.hosts
    ):
        return []
    hosts = ", ".join(run.hosts)
    problem = f"no host of this run ({hosts}) is in the group {_alternatives(groups)}"
    return [f"{_tag_options(run)}: {problem}; select others."]


def selected_tags(run: Run, known_tags: Iterable[str]) -> list[str]:
    """Return the known tags whose plays a run does not skip."""
    if {"all", "tagged"}.intersection(run.skipped_tags):
        return []
    selects_all = bool(ALL_TAGS.intersection(run.tags))
    return [
        tag
        for tag in known_tags
        if (selects_all or tag in run.tags) and tag not in run.skipped_tags
    ]


def _tag_options(run: Run) -> str:
    options = {"--tags": run.tags, "--skip-tags": run.skipped_tags}
    used = {
        option: tags for option, tags in options.items() if tags not in ([], ["all"])
    }
    return " ".join(f"{option} {','.join(tags)}" for option, tags in used.items())


def _unknown_tag(option: str, tag: str, known_tags: list[str]) -> str:
    if not known_tags:
        return f"{option} {tag}: this playbook has no tags; run it without {option}."
    closest = difflib.get_close_matches(tag, known_tags, 1, SIMILARITY)
    remedy = f"did you mean {closest[0]}? " if closest else ""
    tags = ", ".join(known_tags)
    return f"{option} {tag}: no play has this tag; {remedy}choose one of: {tags}."
