# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules converge as Ansible runs them."""

from __future__ import annotations

import importlib
import json
import re
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hippius.monitoring.plugins.doc_fragments.grafana import (
    ModuleDocFragment,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana import (
    grafana_module,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_module import (
    CONNECTION,
    PROVENANCE,
    STATE,
    unready,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.payload import (
    encode_content,
)
from tests.unit.grafana.conftest import Apply, writes
from tests.unit.grafana.factories import BODIES, desired
from tests.unit.grafana.test_reconcile import SURROUNDINGS

MODULES = "ansible_collections.hippius.monitoring.plugins.modules."
RECEIVER = {
    "uid": "chat-1",
    "type": "discord",
    "settings": {"title": "T"},
    "secure_settings": {"url": "https://discord.example/first"},
}
PANELS = BODIES["dashboard"]["dashboard"]
# Module -> options that identify the object, the other options, and options that differ.
CASES: dict[str, tuple[dict, dict, dict]] = {
    "grafana_folder": (
        {"uid": "below"},
        {"title": "A", "parent_uid": "ops"},
        {"title": "B", "parent_uid": "place"},
    ),
    "grafana_datasource": (
        {"uid": "prometheus"},
        {
            "name": "P",
            "type": "prometheus",
            "url": "http://x",
            "secure_json_data": {"a": "planted-one"},
        },
        {
            "url": "http://y",
            "secure_json_data": {"a": "planted-two"},
            "fingerprint_key": "planted-key",
        },
    ),
    "grafana_dashboard": (
        {"uid": "app"},
        {"dashboard": PANELS, "folder_uid": "ops"},
        {"dashboard": {**PANELS, "title": "B"}, "folder_uid": "place"},
    ),
    "grafana_library_panel": (
        {"uid": "rate"},
        {"name": "Rate", "model": BODIES["library_panel"]["model"]},
        {"name": "Ratio"},
    ),
    "grafana_rule_group": (
        {"folder_uid": "ops", "title": "targets"},
        {"rules": BODIES["rule_group"]["rules"]},
        {"interval": 120},
    ),
    "grafana_contact_point": (
        {"name": "chat"},
        {"receivers": [RECEIVER]},
        {
            "receivers": [
                {
                    **RECEIVER,
                    "secure_settings": {"url": "https://discord.example/planted-two"},
                }
            ]
        },
    ),
    "grafana_notification_policy": (
        {},
        {"policy": BODIES["policy"]},
        {"policy": {**BODIES["policy"], "group_wait": "10s"}},
    ),
    "grafana_mute_timing": (
        {"name": "weekend"},
        {"time_intervals": [{"weekdays": ["sunday"]}]},
        {"time_intervals": [{"weekdays": ["monday"]}]},
    ),
    "grafana_message_template": (
        {"name": "discord"},
        {"template": "a"},
        {"template": "b"},
    ),
}


@pytest.fixture
def call(grafana: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a module, and return its result."""

    def run(name: str, /, check: bool = False, **options: Any) -> dict:
        login = {
            "grafana_url": grafana.url,
            "username": grafana.username,
            "password": grafana.password,
        }
        internal = {
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": "/tmp",
        }
        given = {
            key: value
            for key, value in {**login, **options}.items()
            if value is not None
        }
        if not getattr(grafana, "faults", ()):
            grafana.clear()
        with patch_module_args({**given, **internal}), pytest.raises(SystemExit):
            importlib.import_module(MODULES + name).main()
        result = capsys.readouterr().out
        # Ansible masks what it knows to be secret.
        for secret in ("planted", "https://discord.example", '"password": "admin"'):
            assert secret not in result
        return json.loads(result)

    return run


@pytest.mark.parametrize("name", CASES)
def test_a_module_converges(name: str, call: Any, grafana: Any, apply: Apply) -> None:
    apply(*SURROUNDINGS)
    own, first, other = CASES[name]
    for options, change in (
        (first, True),
        (first, False),
        ({**first, **other}, True),
        ({**first, **other}, False),
    ):
        planned = call(name, check=True, **own, **options)
        assert planned["changed"] is change and not writes(grafana)
        done = call(name, **own, **options)
        assert (done["changed"], done["changes"], bool(done["diff"])) == (
            change,
            planned["changes"],
            change,
        ), done
    assert call(name, check=True, state="absent", **own)["changed"]
    assert call(name, state="absent", **own)["changed"]
    assert not call(name, state="absent", **own)["changed"] and not writes(grafana)


def test_a_module_fails_with_one_clear_message(
    call: Any, grafana: Any, apply: Apply
) -> None:
    result = call("grafana_notification_policy", policy={"receiver": "gone"})
    assert result["failed"] and not result["changed"]
    assert result["msg"] == (
        "Nothing was changed. policy tree (inline): it needs contact point gone, which is not there"
    )
    result = call("grafana_folder", uid="ops", title="A", password="planted")
    assert result["failed"] and "GET /api/org answered 401" in result["msg"]
    result = call("grafana_folder", uid="ops")
    assert "missing" in result["msg"] and "title" in result["msg"]


def test_a_manual_object_is_replaced_with_adopt(call: Any, apply: Apply) -> None:
    apply(desired("template"), editable=True)
    assert (
        "adopt: true"
        in call("grafana_message_template", name="discord", template="other")["msg"]
    )
    assert call(
        "grafana_message_template", name="discord", template="other", adopt=True
    )["changed"]
    assert not call("grafana_message_template", name="discord", template="other")[
        "changed"
    ]


def test_shared_options_are_documented() -> None:
    fragment = ModuleDocFragment
    for text, spec in (
        (fragment.DOCUMENTATION, CONNECTION),
        (fragment.STATE, STATE),
        (fragment.PROVENANCE, PROVENANCE),
    ):
        documented = {
            name: {key: value for key, value in option.items() if key != "description"}
            for name, option in yaml.safe_load(text)["options"].items()
        }
        assert documented == {
            name: {key: value for key, value in option.items() if key != "no_log"}
            for name, option in spec.items()
        }


# The service account


def test_a_service_account_has_one_token(
    call: Any, grafana: Any, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    options = {"name": "automation", "role": "Admin", "token_path": str(file)}
    planned = call("grafana_service_account", check=True, **options)
    assert (
        planned["changed"]
        and planned["token_changed"]
        and not file.exists()
        and not writes(grafana)
    )
    assert call("grafana_service_account", **options)["changed"]
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    kept = call("grafana_service_account", **options)
    assert (
        not kept["changed"]
        and not writes(grafana)
        and file.read_text().strip() == token
    )
    # The token is good for the other modules.
    assert call("grafana_folder", uid="below", title="A", token=token, password=None)[
        "changed"
    ]
    call("grafana_folder", uid="below", state="absent")
    changed = call("grafana_service_account", **{**options, "role": "Editor"})
    assert changed["changed"] and not changed["token_changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    assert (
        call("grafana_service_account", state="absent", **options)["changed"]
        and not file.exists()
    )
    assert not call("grafana_service_account", state="absent", **options)["changed"]


@pytest.mark.parametrize("harm", ["lost", "read by others", "void", "broken", "binary"])
def test_an_unusable_token_is_replaced(harm: str, call: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    options = {"name": "automation", "token_path": str(file)}
    call("grafana_service_account", **options)
    token = file.read_text()
    if harm == "lost":
        file.unlink()
    elif harm == "read by others":
        file.chmod(0o444)
    else:
        file.unlink()
        file.write_bytes(
            {
                "void": b"glsa_planted-void",
                "broken": b"planted\nplanted",
                "binary": b"\xff",
            }[harm]
        )
        file.chmod(0o400)
    done = call("grafana_service_account", **options)
    assert done["changed"] and done["token_changed"] and file.read_text() != token
    assert not call("grafana_service_account", **options)["changed"]
    call("grafana_service_account", state="absent", **options)


def test_an_invalid_token_is_not_shown(call: Any, tmp_path: Path) -> None:
    result = call(
        "grafana_folder",
        uid="below",
        title="A",
        token="planted\nplanted",
        password=None,
    )
    assert (
        result["msg"] == "The token holds spaces or other characters that no token has."
    )
    result = call(
        "grafana_service_account", name="automation", token_path=str(tmp_path)
    )
    assert result["failed"] and "Is a directory" in result["msg"]
    call("grafana_service_account", name="automation", state="absent")


def test_content_is_planned_without_a_grafana(call: Any) -> None:
    """Neither token nor certificates exist yet, and it does not wait for them."""
    content = {
        "payload": encode_content([desired("folder")], []),
        "token_path": "/none/token",
        "ca_path": "/none/ca.pem",
    }
    result = call(
        "grafana_content", check=True, grafana_url="https://127.0.0.1:9", **content
    )
    assert result["changed"] and result["changes"] == [] and "failed" not in result
    for address in ("http://127.0.0.1:none", "127.0.0.1:9"):
        assert (
            address
            in call("grafana_content", check=True, grafana_url=address, **content)[
                "msg"
            ]
        )


@pytest.mark.parametrize("name", [*CASES, "grafana_service_account"])
def test_no_plan_waits_for_a_missing_grafana(
    name: str, call: Any, fake_grafana: Any
) -> None:
    own, first, _other = CASES.get(
        name, ({"name": "automation", "token_path": "/none/token"}, {}, {})
    )
    # Nothing listens; it is starting, or a proxy stands before one that is not rolled out.
    for url, message in (
        ("http://127.0.0.1:9", "Nothing answers at {} yet"),
        (fake_grafana.url, "{} answers 503"),
    ):
        fake_grafana.fail("500", status=503, body={}, times=0)
        assert unready(url) == message.format(url)
        began = time.monotonic()
        result = call(name, check=True, grafana_url=url, **own, **first)
        assert result["changed"] and result["changes"] == [] and "failed" not in result
        assert not call(name, check=True, grafana_url=url, state="absent", **own)[
            "changed"
        ]
        assert time.monotonic() - began < 2


def test_a_plan_soon_gives_up_a_busy_grafana(
    call: Any, fake_grafana: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grafana_module, "PATIENCE_OF_PLANS", 1)
    fake_grafana.fail(
        "500", status=503, body={"message": "busy"}, path="/api/org", times=0
    )
    began = time.monotonic()
    result = call("grafana_folder", check=True, uid="ops", title="A")
    assert result["failed"] and re.search(
        r"GET /api/org answered 503: busy; given up after \d attempts", result["msg"]
    )
    assert time.monotonic() - began < 3


def test_a_missing_token_directory_is_reported(call: Any, tmp_path: Path) -> None:
    result = call(
        "grafana_service_account",
        name="automation",
        token_path=str(tmp_path / "none" / "token"),
    )
    assert result["failed"] and "No such file or directory" in result["msg"]
    call("grafana_service_account", name="automation", state="absent")
