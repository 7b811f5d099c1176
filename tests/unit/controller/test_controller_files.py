# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the controller that variables name."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleError

from ansible_collections.hippius.monitoring.plugins.action import grafana_content
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
    RequiredObject,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import controller_files


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a working directory, beside that of an inventory and that of a role."""
    for name in ("inventory", "work", "role", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def find(places: Path, name: str, ansible_first: bool = False) -> str:
    """Return where a file is found, relative to the places."""

    def find_in_role(path: str) -> str:
        if (places / "role" / path).exists():
            return str(places / "role" / path)
        raise AnsibleError(f"Could not find {path}; see the remote_src option")

    variables = {"inventory_dir": str(places / "inventory")}
    found = controller_files.find(name, variables, find_in_role, ansible_first)
    return str(Path(found).relative_to(places))


@pytest.mark.parametrize(
    ("files", "name", "ansible_first", "expected"),
    [
        (["inventory/a", "work/a", "role/a"], "a", False, "inventory/a"),
        (["work/a", "role/a"], "a", False, "work/a"),
        (["role/a"], "a", False, "role/a"),
        (["inventory/a", "role/a"], "a", True, "role/a"),
        (["inventory/a"], "a", True, "inventory/a"),
        (["inventory/b/a"], "b/a", False, "inventory/b/a"),
        (["home/a", "inventory/a"], "~/a", False, "home/a"),
    ],
)
def test_relative_path_is_found_beside_the_inventory_first(
    places: Path, files: list[str], name: str, ansible_first: bool, expected: str
) -> None:
    for file in files:
        (places / file).parent.mkdir(exist_ok=True)
        (places / file).touch()
    assert find(places, name, ansible_first) == expected


def test_missing_file_is_an_error_with_the_places_of_the_user(places: Path) -> None:
    with pytest.raises(controller_files.MissingFile) as error:
        find(places, "away.yml")
    assert str(error.value) == (
        f"'away.yml' is not on the controller, in {places}/inventory and {places}/work;"
        " correct the path, which is relative to the inventory"
    )
    with pytest.raises(controller_files.MissingFile) as error:
        find(places, "/away.yml")
    assert str(error.value) == "'/away.yml' is not on the controller; correct the path"


@pytest.mark.parametrize(
    ("name", "known", "closest"),
    [
        ("ops-slak", ["ops-slack", "ops-email"], "ops-slack"),
        ("promethues", ["prometheus", "loki"], "prometheus"),
        ("prometheus-eu", ["prometheus"], ""),
        ("prometheus", ["prometheus-eu"], ""),
        ("team-blue-2", ["team-blue-1"], ""),
        ("pager", ["ops-slack"], ""),
    ],
)
def test_misspelled_reference_is_told_from_another_object(
    name: str, known: list[str], closest: str
) -> None:
    desired = [
        DesiredObject("contact_point", identity, {}, "c.yml:1") for identity in known
    ]
    required = [RequiredObject("contact_point", name, "p.yml:3: policy, receiver")]
    errors = grafana_content.misspelled_references(desired, required)
    problem = f"p.yml:3: policy, receiver is {name}, which this content does not have"
    assert errors == ([f"{problem}; did you mean {closest}?"] if closest else [])


@pytest.mark.parametrize("source", ["inventory", "inventory/hosts.yml"])
def test_encrypted_files_of_variables_are_found_beside_the_inventory(
    places: Path, source: str
) -> None:
    folder = places / "inventory/group_vars/monitoring"
    folder.mkdir(parents=True)
    (places / "inventory/hosts.yml").write_text("a:")
    (folder / "plain.yml").write_text("a: 1")
    (folder / "secrets.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3132")
    found = controller_files.encrypted_variables([str(places / source), "a,b"])
    assert found == ["../inventory/group_vars/monitoring/secrets.yml"]


def test_export_to_a_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = "/file/a/x.json: cannot be written: .*; export to another directory"
    with pytest.raises(AnsibleError, match=message):
        grafana_content._write(tmp_path / "file/a/x.json", "{}")
