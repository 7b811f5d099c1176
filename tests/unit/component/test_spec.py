# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired instances from the module's options."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.factories import (
    RELEASE,
    RELOAD,
    instance,
    instances,
    options,
)


def files_of(**changes: Any) -> dict[str, tuple[str, str, bool]]:
    """Return mode, on_change and secrecy of each file."""
    return {
        path: (oct(file.mode), file.on_change, file.secret)
        for path, file in instance(**changes).files.items()
    }


def test_an_instance_has_its_files_with_their_modes() -> None:
    assert files_of(
        secrets={"key": "s"},
        scripts=[{"path": "write-targets", "content": "#!/bin/sh\n"}],
        units={"loki-sweep.timer": {"Timer": {"OnCalendar": "daily"}}},
    ) == {
        "etc/loki-config.yml": ("0o640", "restart", False),
        "etc/key": ("0o640", "restart", True),
        "bin/write-targets": ("0o755", "restart", False),
        "loki.service": ("0o644", "restart", False),
        "loki-sweep.timer": ("0o644", "none", False),
    }


@pytest.mark.parametrize(
    ("on_change", "reload", "expected"),
    [
        pytest.param(
            None, None, "restart", id="a program that cannot reload is restarted"
        ),
        pytest.param(None, RELOAD, "reload", id="reload is the default"),
        pytest.param("reload", None, "restart", id="reload falls back to restart"),
        pytest.param("restart", RELOAD, "restart", id="restart stays"),
        pytest.param(
            "none", None, "none", id="none is for a program that watches its file"
        ),
    ],
)
def test_a_changed_file_has_its_on_change(
    on_change: str | None, reload: dict | None, expected: str
) -> None:
    config = [{"path": "a.yml", "content": "a", "on_change": on_change}]
    assert (
        instance(config=config, reload=reload).files["etc/a.yml"].on_change == expected
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("é\n", "é\n".encode(), id="a string"),
        pytest.param("", b"", id="an empty file"),
        pytest.param(
            b"\xff\n".decode("utf-8", "surrogateescape"),
            b"\xff\n",
            id="bytes that are not UTF-8",
        ),
        pytest.param(
            {"b": 1, "a": [2]}, b'{\n  "a": [\n    2\n  ],\n  "b": 1\n}\n', id="a dict"
        ),
    ],
)
def test_content_is_written_as(content: object, expected: bytes) -> None:
    assert (
        instance(config=[{"path": "x", "content": content}]).files["etc/x"].content
        == expected
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"name": "Loki"}, "use 1 to 31", id="a name in capitals"),
        pytest.param(
            {"name": "-loki"}, "use 1 to 31", id="a name that begins with a dash"
        ),
        pytest.param({"name": "loki\n"}, "use 1 to 31", id="a name with a line break"),
        pytest.param(
            {"name": "l" * 32}, "use 1 to 31", id="a name too long for a user"
        ),
        pytest.param({"command": []}, "command is required", id="no command"),
        pytest.param({"release": None}, "release: is required", id="no release"),
        pytest.param(
            {"release": {**RELEASE, "version": "../../etc"}},
            "release.version",
            id="a path as version",
        ),
        pytest.param(
            {"release": {**RELEASE, "name": ""}},
            "release.name",
            id="a release without a name",
        ),
        pytest.param(
            {"config": [{"path": "../x", "content": ""}]},
            "must be relative",
            id="a path that climbs out",
        ),
        pytest.param(
            {"config": [{"path": "/x", "content": ""}]},
            "must be relative",
            id="an absolute path",
        ),
        pytest.param(
            {"config": [{"path": "a//x", "content": ""}]},
            "must be relative",
            id="a path with a gap",
        ),
        pytest.param(
            {"config": [{"path": "", "content": ""}]}, "must be relative", id="no path"
        ),
        pytest.param(
            {"config": [{"path": "x"}]}, "neither content nor source", id="no content"
        ),
        pytest.param(
            {"secrets": {"loki-config.yml": "s"}},
            "given twice",
            id="a secret in place of a configuration",
        ),
        pytest.param(
            {"secrets": {"loki-config.yml/x": "s"}},
            "which is a file",
            id="a file below a file",
        ),
        pytest.param(
            {"config": [{"path": "x", "content": "", "on_change": "kick"}]},
            "on_change",
            id="an unknown on_change",
        ),
        pytest.param(
            {"units": {"other.timer": {}}},
            "must start with 'loki-'",
            id="a unit of another name",
        ),
        pytest.param(
            {"units": {"loki-x.mount": {}}},
            "service, timer, path or socket",
            id="a unit of another type",
        ),
        pytest.param(
            {"units": {"loki-../x.timer": {}}},
            "must start with 'loki-'",
            id="a unit that is a path",
        ),
        pytest.param(
            {"units": {"loki-x.timer": ["Timer"]}},
            "must be a dict of sections",
            id="a unit that is a list",
        ),
        pytest.param(
            {"unit": {"Service": "x"}},
            "must be a dict of sections",
            id="a section that is a string",
        ),
        pytest.param(
            {"unit": {"Service": {"User": "a\nExecStart=x"}}},
            "must be one line",
            id="a directive in a directive",
        ),
        pytest.param(
            {"listen_addresses": ["9090"]}, "is not host:port", id="a port alone"
        ),
        pytest.param(
            {"listen_addresses": ["127.0.0.1:0"]}, "is not host:port", id="no port"
        ),
        pytest.param(
            {"listen_addresses": ["127.0.0.1:70000"]},
            "is not host:port",
            id="a port that is too big",
        ),
        pytest.param(
            {"listen_addresses": ["127.0.0.1:65536"]},
            "is not host:port",
            id="one more than the last port",
        ),
        pytest.param(
            {"config": [{"content": ""}]},
            "path '': must be relative",
            id="a file without a path",
        ),
        pytest.param(
            {"config": [{"path": "a\0b", "content": ""}]},
            "must be relative",
            id="a path with a NUL byte",
        ),
        pytest.param(
            {"config": [{"path": "a/.", "content": ""}]},
            "must be relative",
            id="a path that is its own directory",
        ),
        pytest.param(
            {"config": [{"path": "a/", "content": ""}]},
            "must be relative",
            id="a path that is a directory",
        ),
        pytest.param(
            {
                "config": [
                    {"path": "a", "content": ""},
                    {"path": "a/b/c", "content": ""},
                ]
            },
            "'etc/a/b/c': is below 'etc/a', which is a file",
            id="a file two levels below a file",
        ),
        pytest.param(
            {"name": "Loki", "instances": []},
            "name: 'Loki' is not a name",
            id="a name in capitals without instances",
        ),
        pytest.param(
            {"command": None, "instances": [{"name": "a"}]},
            "loki-a: command is required",
            id="an instance without a command",
        ),
        pytest.param(
            {"instances": [{"name": "a", "scripts": ["x"]}]},
            "instances[0].scripts: must be a list of dicts",
            id="scripts as strings",
        ),
        pytest.param(
            {"instances": [{"name": "a"}, {"name": "b", "ready": "x"}]},
            "instances[1].ready: must be a dict",
            id="ready as a string",
        ),
        pytest.param(
            {"ready": {"url": "x", "password_file": "p"}},
            "username and password_file go",
            id="no user name",
        ),
        pytest.param(
            {
                "ready": {
                    "url": "x",
                    "certificate_file": "c",
                    "key_file": "loki-config.yml",
                }
            },
            "ready.certificate_file: 'c' is not in config or secrets",
            id="a certificate that the component lacks",
        ),
        pytest.param(
            {
                "ready": {
                    "url": "x",
                    "certificate_file": "loki-config.yml",
                    "key_file": "k",
                }
            },
            "ready.key_file: 'k' is not in config or secrets",
            id="a key that the component lacks",
        ),
        pytest.param(
            {"reload": {"url": "x", "success": "s"}},
            "reload: timestamp is missing",
            id="reload without one of its metrics",
        ),
        pytest.param(
            {"reload": {"success": "s", "timestamp": "t"}},
            "reload: url is missing",
            id="reload without an address",
        ),
        pytest.param(
            {"release": {**RELEASE, "version": None}},
            "release.version: None is not a version",
            id="a release without a version",
        ),
        pytest.param({"listen_addresses": [9090]}, "is not host:port", id="an int"),
        pytest.param(
            {"ready": {"timeout": 3}},
            "ready: url is missing",
            id="ready without an address",
        ),
        pytest.param(
            {"ready": {"url": "x", "timeout": "soon"}},
            "'soon' is not an int",
            id="a timeout that is not an int",
        ),
        pytest.param(
            {"ready": {"url": "x", "username": "u"}},
            "username and password_file go",
            id="no password",
        ),
        pytest.param(
            {"ready": {"url": "x", "key_file": "k"}},
            "certificate_file and key_file go",
            id="only a key",
        ),
        pytest.param(
            {"ready": {"url": "x", "username": "u", "password_file": "p"}},
            "ready.password_file: 'p' is not in config or secrets",
            id="a password file that the component lacks",
        ),
        pytest.param(
            {"reload": {"url": "x"}},
            "success, timestamp is missing",
            id="reload without its metrics",
        ),
        pytest.param(
            {"instances": [{"name": "a"}, {"name": "a"}]},
            "listed twice",
            id="an instance twice",
        ),
        pytest.param(
            {"instances": [{}]}, "instances[0].name", id="an instance without a name"
        ),
        pytest.param(
            {"instances": [{"name": "a", "port": 1}]},
            "unknown option port",
            id="an unknown option",
        ),
        pytest.param(
            {"instances": [{"name": "a", "command": "x -y"}]},
            "command: must be a list",
            id="command as a string",
        ),
        pytest.param(
            {"instances": [{"name": "a", "config": ["x"]}]},
            "config: must be a list of dicts",
            id="config as strings",
        ),
        pytest.param(
            {"listen_addresses": [":9090"]},
            "write 0.0.0.0:9090",
            id="an address without a host",
        ),
        pytest.param(
            {"instances": [{"name": "x" * 30}]}, "use 1 to 31", id="a long instance"
        ),
    ],
)
def test_options_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ComponentError) as caught:
        instances(options(**changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:9090",
        "0.0.0.0:9090",
        "localhost:80",
        "[::1]:4317",
        "[fe80::1%eth0]:65535",
        "127.0.0.1:1",
        "127.0.0.1:65535",
    ],
)
def test_an_address_is_accepted(address: str) -> None:
    assert instance(listen_addresses=[address]).listen_addresses == (address,)


def test_instances_inherit_the_options_that_they_do_not_set() -> None:
    first, second = instances(
        options(
            ready={"url": "http://a/", "timeout": 5},
            environment={"A": "1"},
            instances=[
                {"name": "main"},
                {
                    "name": "b",
                    "ready": {"url": "http://b/", "timeout": "9"},
                    "environment": {},
                },
            ],
        )
    )
    names = (first.component, first.name, first.main_unit)
    assert names == ("loki", "loki-main", "loki-main.service")
    assert (first.ready, first.environment) == (
        {"url": "http://a/", "timeout": 5},
        {"A": "1"},
    )
    assert (second.ready, second.environment) == (
        {"url": "http://b/", "timeout": 9},
        {},
    )
    assert b"/etc/loki-main/loki-config.yml" in first.files["loki-main.service"].content


def test_an_empty_list_of_instances_desires_none() -> None:
    assert instances(options(instances=[])) == []


def test_environment_variables_are_strings() -> None:
    desired = instance(
        environment={"YES": True, "COUNT": 3, "GONE": None, "TEXT": "50 % No"}
    )
    assert desired.environment == {"YES": "true", "COUNT": "3", "TEXT": "50 % No"}
    lines = desired.files["loki.service"].content.decode().splitlines()
    assert [line for line in lines if line.startswith("Environment=")] == [
        "Environment=COUNT=3",
        'Environment="TEXT=50 %% No"',
        "Environment=YES=true",
    ]


def test_units_have_the_role_that_their_sections_and_types_give_them() -> None:
    desired = instance(
        units={
            "loki-sweep.service": {"Service": {"ExecStart": "x"}},
            "loki-sweep.timer": {
                "Timer": {"OnCalendar": "daily"},
                "Install": {"WantedBy": "timers.target"},
            },
            "loki-sweep.path": {"Path": {"PathChanged": "/x"}, "Install": None},
        }
    )
    assert {
        name: (role.started, role.wanted_by) for name, role in desired.units.items()
    } == {
        "loki.service": (True, ("multi-user.target",)),
        "loki-sweep.service": (False, ()),
        "loki-sweep.timer": (True, ("timers.target",)),
        "loki-sweep.path": (True, ()),
    }


def test_a_release_without_a_checksum_is_refused_in_one_line_that_names_the_lock_playbook() -> (
    None
):
    release = instance().release
    assert release.directory("amd64") == "loki-3.7.8-01234567"
    with pytest.raises(ComponentError) as caught:
        release.directory("arm64")
    assert "loki 3.7.8 on arm64" in str(caught.value)
    assert "lock playbook" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "own"),
    [
        ("description", "Another"),
        ("command", ["{release}/other"]),
        ("config", [{"path": "own.yml", "content": "own\n"}]),
        ("secrets", {"own": "s"}),
        ("scripts", [{"path": "own", "content": "#!/bin/sh\n"}]),
        ("environment", {"OWN": "1"}),
        ("unit", {"Service": {"LimitNOFILE": "7"}}),
        ("units", {"loki-a-tidy.timer": {"Timer": {"OnCalendar": "daily"}}}),
        ("check", ["{release}/loki", "-own"]),
        ("check_ignore_pattern", "own"),
        ("listen_addresses", ["127.0.0.1:1"]),
        ("ready", {"url": "http://own/"}),
        ("reload", {**RELOAD, "url": "http://own/"}),
    ],
)
def test_an_instance_has_an_option_of_its_own_like_a_component(
    option: str, own: Any
) -> None:
    given, own_given = (
        instances(options(**common, instances=[{"name": "a", **instance_options}]))
        for common, instance_options in (({option: own}, {}), ({}, {option: own}))
    )
    assert given == own_given
    assert given != instances(options(instances=[{"name": "a"}]))


def test_an_option_that_an_instance_sets_to_none_is_inherited() -> None:
    own = {"name": "a", "environment": None, "description": None}
    (inherited,) = instances(options(environment={"A": "1"}, instances=[own]))
    assert inherited.environment == {"A": "1"}


def test_an_instance_is_described_by_its_name_unless_it_is_described() -> None:
    def lines(**changes: Any) -> list[str]:
        return instance(**changes).files["loki.service"].content.decode().splitlines()

    assert "Description=loki" in lines()
    assert "Description=Logs" in lines(description="Logs")


def test_a_checker_has_its_words_and_its_pattern() -> None:
    desired = instance(check=["{release}/loki", 5], check_ignore_pattern="deprecated")
    assert desired.check == ("{release}/loki", "5")
    assert desired.check_ignore_pattern == "deprecated"
    assert (instance().check, instance().check_ignore_pattern) == ((), "")


def test_what_a_program_may_open_is_the_same_for_every_instance() -> None:
    exposure = {"networks": ["10.0.0.0/8"], "addresses": []}
    both = options(exposure=exposure, instances=[{"name": "a"}, {"name": "b"}])
    assert [one.exposure for one in instances(both)] == [exposure, exposure]
    assert instance().exposure is None


def test_a_probe_has_what_its_program_requires() -> None:
    required = {
        "url": "https://a/",
        "username": "u",
        "password_file": "password",
        "certificate_file": "tls.crt",
        "key_file": "tls.key",
    }
    files = {"password": "p", "tls.crt": "c", "tls.key": "k"}
    desired = instance(ready={**required, "timeout": 0}, secrets=files)
    assert desired.ready == {**required, "timeout": 0}
    assert instance(ready={"url": "http://a/"}).ready == {"url": "http://a/"}
    reload = instance(reload={**RELOAD, **required}, secrets=files).reload
    assert reload == {**RELOAD, **required}


def test_a_release_has_what_its_option_says() -> None:
    given = {**RELEASE, "pushable": ["amd64"]}
    assert instance(release=given).release.pushable == ("amd64",)
    release = instance().release
    assert (release.pushed, release.pushable) == ("", ())
    assert release.archive("amd64") == RELEASE["archives"]["amd64"]


def test_options_that_are_not_given_are_none() -> None:
    desired = instance(config=None, secrets=None, scripts=None, units=None)
    assert list(desired.files) == ["loki.service"]
    release = instance(release={**RELEASE, "archives": None}).release
    assert release.archives == {}


def test_a_binary_file_keeps_its_bytes() -> None:
    config = [{"path": "x", "content": b"\xff\0"}]
    assert instance(config=config).files["etc/x"].content == b"\xff\0"


def test_a_unit_is_wanted_by_its_targets_in_one_order() -> None:
    sections = {"Install": {"WantedBy": ["b.target a.target", "c.target"]}}
    timer = {**sections, "Timer": {"OnCalendar": "daily"}}
    role = instance(units={"loki-x.timer": timer}).units["loki-x.timer"]
    assert role.wanted_by == ("a.target", "b.target", "c.target")
