# SPDX-License-Identifier: GPL-3.0-or-later
"""A regular expression is refused exactly when Go 1.26 refuses it."""

from __future__ import annotations

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    go_regex,
)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("a[b", "a bracket is not closed"),
        ("[z-a]", "the range z-a is empty"),
        (r"[\x41-\t]", r"the range \x41-\t is empty"),
        ("[[:foo:]]", "[:foo:] is no class"),
        (r"[a-\d]", r"\d is missing there"),
        (r"[\b]", r"\b is missing there"),
        (r"[\Q]", r"\Q is missing there"),
        (r"\p{Greeek}", r"\p{Greeek} is no class"),
        (r"\pX", r"\pX is no class"),
        (r"\p{", r"\p{ is no class"),
        ("a{1001}", "{1001} cannot be counted"),
        ("a{3,1}", "{3,1} cannot be counted"),
        ("(a{100}){11}", "{11} repeats more than 1000 times"),
        ("((a{10}){10}b){11}", "{11} repeats more than 1000 times"),
        ("a**", "* has nothing to repeat"),
        ("*a", "* has nothing to repeat"),
        ("a|+", "+ has nothing to repeat"),
        ("(*)", "* has nothing to repeat"),
        ("(?i)*", "* has nothing to repeat"),
        ("a{2}{3}", "{3} has nothing to repeat"),
        ("a???", "? has nothing to repeat"),
        ("a++", "+ has nothing to repeat"),
        (r"a\Z", r"\Z is missing there"),
        (r"\C", r"\C is missing there"),
        (r"\é", r"\é is missing there"),
        (r"\x4", r"\x is missing there"),
        (r"\x{110000}", r"\x is missing there"),
        (r"(a)\1", r"\1 is missing there"),
        ("a\\", "it ends with a backslash"),
        ("(?=a)", "(?= is missing there"),
        ("(?<!a)", "(?<! is missing there"),
        ("(?>a)", "(?> is missing there"),
        ("(?z)", "(?z is missing there"),
        ("(?i-)", "(?i is missing there"),
        ("(?P<a b>c)", "(?P<a b> is no name of a group"),
        ("(?P<a", "(?P<a is no name of a group"),
        ("(?P<a>b)(?<a>c)", "two groups have the name a"),
        ("(a", "a parenthesis is not closed"),
        ("a)", "a parenthesis is closed twice"),
        (r"a*?b{2,}?(?:c)?(?P<d>e)+(?i)[[:alpha:]*+]\Q**(\E\pL\123{a}{,5}", None),
        (r"[]a][^]a-][a-][-a][\]\-][[:^space:][]", None),
        (r"\p{^Lu}\P{Old_Italic}\pN\x{1F600}\_\-\/", None),
        (r"(?i-s:a)(?-m)b(?U)|(?<x1>)|()|", None),
        ("a{02}b{2,1000}(c{0}){900}(a{10}){100}", None),
        (r"\Qa(\E*\Q", None),
    ],
)
def test_a_pattern_is_judged_as_by_go(pattern: str, problem: str | None) -> None:
    assert go_regex.problem(pattern) == problem


def test_a_group_that_closes_the_anchor_s_is_valid_as_in_alertmanager() -> None:
    assert go_regex.problem("a)(b") and not go_regex.problem("^(?:a)(b)$")
