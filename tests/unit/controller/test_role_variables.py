# SPDX-License-Identifier: GPL-3.0-or-later
"""Test how the variables of a role are evaluated, and how many templates that compiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
    Role,
)
from tests.unit.roles.rendering import rollout, trust_as_template
from tests.unit.roles.test_tls import ALL, HERE, REACHABLE, TLS

SECRETS = {
    "grafana_admin_password": "a long password",
    "grafana_secret_key": "a long secret key",
}
# A default that is a template itself, and the version in the task. The vars of Loki and Tempo have
# expressions, each of which is evaluated once.
MOST_TEMPLATES = {"loki": 50, "tempo": 50}
MOST_TEMPLATES_OF_OTHERS = 3
PLAIN = (str, int, float, bool, type(None))


def variables_of(**values: Any) -> Role:
    known = {"inventory_hostname": "here", "groups": {"all": ["here"]}, **values}
    loader = DataLoader()
    return Role("loki", known, loader, Templar(loader=loader, variables=known))


def template(text: str) -> Any:
    return trust_as_template(text)


class Compiled:
    """The number of templates that Jinja has compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        compiler = jinja2.Environment.compile

        def compile_one(*args: Any, **options: Any) -> Any:
            self.count += 1
            return compiler(*args, **options)

        monkeypatch.setattr(jinja2.Environment, "compile", compile_one)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    return Compiled(monkeypatch)


@pytest.mark.parametrize("role", [*REACHABLE, "grafana"])
def test_a_rollout_compiles_hardly_any_template(role: str, compiled: Compiled) -> None:
    rollout(role, **{**HERE, **ALL, **TLS, **SECRETS})
    assert compiled.count <= MOST_TEMPLATES.get(role, MOST_TEMPLATES_OF_OTHERS)


@pytest.mark.parametrize("role", [*REACHABLE, "grafana"])
def test_options_are_plain_python_which_yaml_can_write(role: str) -> None:
    options = rollout(role, **{**HERE, **ALL, **TLS, **SECRETS})
    assert [value for value in values_in(options) if type(value) not in PLAIN] == []


def values_in(value: Any) -> Iterator[Any]:
    """Yield all keys and values of a structure, without the containers."""
    if type(value) is dict:
        for pair in value.items():
            yield from values_in(list(pair))
    elif type(value) is list:
        for element in value:
            yield from values_in(element)
    else:
        yield value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("{{ number }}", 7, id="a number stays one"),
        pytest.param("{{ nothing }}", None, id="none"),
        pytest.param("{{ flag }}", True, id="a boolean stays one"),
        pytest.param("{{ things }}", {"a": ["x"]}, id="a structure"),
        pytest.param("{{ things.a }}", ["x"], id="part of a structure"),
        pytest.param("{{ word }}:{{ number }}/", "x:7/", id="text around values"),
        pytest.param("no template {word}", "no template {word}", id="plain text"),
        pytest.param("{{ braces }}", "{{ word }}", id="what only looks like one"),
        pytest.param("{{ indirect }}", "x!", id="a variable that is a template"),
    ],
)
def test_a_reference_needs_no_compilation(
    text: str, value: Any, compiled: Compiled
) -> None:
    variables = variables_of(
        number=7,
        nothing=None,
        flag=True,
        things={"a": ["x"]},
        word="x",
        braces="{{ word }}",
        __loki_word=template("{{ word }}!"),
        indirect="x!",
    )
    assert variables.fill(template(text)) == value
    assert compiled.count == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("{{ word | upper }}", "X", id="a filter"),
        pytest.param("{{ __loki_word ~ 1 }}", "x!1", id="an expression"),
        pytest.param("{% if word %}{{ word }}{% endif %}", "x", id="a statement"),
        pytest.param("{{ flag }} {{ word }}", "True x", id="text with a boolean"),
        pytest.param("{{word}}", "x", id="without spaces"),
        pytest.param("{{ '{{' }}", "{{", id="braces as text"),
        pytest.param("{{ lookup('pipe', 'echo x') }}", "x", id="a lookup"),
        pytest.param("{{ __loki_http.port }}{{ '' }}", 3100, id="a derived variable"),
        pytest.param(
            "{{ word if word else __loki_fails }}", "x", id="what is not used"
        ),
    ],
)
def test_any_other_template_is_left_to_ansible(text: str, value: Any) -> None:
    variables = variables_of(
        word="x",
        flag=True,
        __loki_word=template("{{ word }}!"),
        __loki_fails=template("{{ nowhere }}"),
        loki_listen_address="127.0.0.1:3100",
    )
    assert str(variables.fill(template(text))) == str(value)


@pytest.mark.parametrize(
    "text", ["{{ nowhere }}", "{{ word.nowhere }}", "a {{ nowhere }}"]
)
def test_an_undefined_variable_is_an_error_of_ansible(text: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        variables_of(word={}).fill(template(text))
    assert "nowhere" in str(caught.value)


def test_a_variable_is_evaluated_once(compiled: Compiled) -> None:
    variables = variables_of(address=template("{{ 'x' | upper }}"))
    texts = [template("{{ address }}"), template("{{ address }}:1")]
    assert variables.fill(texts) == ["X", "X:1"]
    assert compiled.count == 1


def test_a_variable_takes_precedence_over_what_the_role_derives() -> None:
    variables = variables_of(__loki_http={"port": 1}, loki_listen_address="x:2")
    assert variables["__loki_http"] == {"port": 1}


def test_the_value_of_a_user_may_be_a_template_in_parts() -> None:
    variables = variables_of(
        disk="/srv", loki_flags=["-a", template("-d={{ disk }}")], __loki_x=["{{ y }}"]
    )
    assert variables["__loki_flags"] == ["-a", "-d=/srv"]
    assert issubclass(AnsibleUndefinedVariable, AnsibleError)
