# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the Grafana role, the filter grafana_ini and the script that runs before each start."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError, AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from plugins.filter.grafana_ini import grafana_ini
from tests.unit.roles.disk_order import DiskOrder
from tests.unit.roles.rendering import rollout

SCRIPT = Path(__file__).parents[3] / "roles/grafana/files/grafana_prepare.py"
specification = importlib.util.spec_from_file_location("grafana_prepare", SCRIPT)
grafana_prepare = importlib.util.module_from_spec(specification)
specification.loader.exec_module(grafana_prepare)

PASSWORD, KEY = "correct horse battery", "staple of 32 random characters"
OLD, NEW = "12.4.5", "13.2.3"


# The role


def arguments(**variables):
    return rollout(
        "grafana",
        **{"grafana_admin_password": PASSWORD, "grafana_secret_key": KEY, **variables},
    )


def ini(**variables):
    return read_ini(arguments(**variables)["config"][0]["content"])


def test_secrets_are_in_their_files_only():
    result = arguments(
        grafana_secrets={"smtp": "mail secret"},
        grafana_database={"type": "postgres", "host": "db:5432"},
        grafana_database_password="database secret",
    )
    secrets = result.pop("secrets")
    assert secrets == {
        "smtp": "mail secret",
        "admin-password": PASSWORD,
        "secret-key": KEY,
        "database-password": "database secret",
    }
    assert [secret for secret in secrets.values() if secret in str(result)] == []
    references = re.findall(
        r"\$__file{/etc/grafana/([^}]+)}", result["config"][0]["content"]
    )
    assert sorted(references) == ["admin-password", "database-password", "secret-key"]


@pytest.mark.parametrize(
    ("groups", "variables", "page"),
    [
        pytest.param({}, {}, "", id="no metrics"),
        pytest.param({"prometheus": ["here"]}, {}, "/d/hippius-stack", id="metrics"),
        pytest.param(
            {"prometheus": ["here"]},
            {"grafana_content_from_components": False},
            "",
            id="no dashboards of components",
        ),
    ],
)
def test_the_first_page_is_the_overview_if_there_is_one(groups, variables, page):
    everyone = {"all": ["here"], "grafana": ["here"], **groups}
    users = ini(groups=everyone, **variables)["users"]
    assert users.get("home_page", "") == page


@pytest.mark.parametrize("variable", ["grafana_admin_password", "grafana_secret_key"])
def test_a_missing_secret_is_refused_by_name(variable):
    with pytest.raises(AnsibleError, match=f"{variable} is empty; set it"):
        arguments(**{variable: ""})


@pytest.mark.parametrize(
    ("url", "secure", "site"),
    [
        ("", "false", "lax"),
        ("http://g.example/", "false", "lax"),
        ("https://g.example/", "true", "strict"),
    ],
)
def test_cookies_are_marked_for_tls_if_the_url_has_it(url, secure, site):
    security = ini(grafana_url=url)["security"]
    assert (
        security["cookie_secure"],
        security["cookie_samesite"],
        security["strict_transport_security"],
    ) == (
        secure,
        site,
        secure,
    )


def test_extra_sections_are_merged_and_null_selects_grafanas_own_default():
    result = ini(
        grafana_config_extra={
            "security": {"cookie_samesite": None},
            "smtp": {"enabled": True},
        }
    )
    assert result["smtp"] == {"enabled": "true"}
    assert "cookie_samesite" not in result["security"]
    assert result["security"]["disable_gravatar"] == "true"


def test_it_is_ready_when_the_administrator_can_log_in():
    assert arguments()["ready"] == {
        "url": "http://127.0.0.1:3000/api/org",
        "username": "admin",
        "password_file": "admin-password",
        "timeout": 300,
    }


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"grafana_listen_address": "[::1]:3001"}, "http://[::1]:3001/api/org"),
        (
            {"grafana_config_extra": {"server": {"protocol": "https"}}},
            "https://127.0.0.1:3000/api/org",
        ),
        (
            {"grafana_url": "https://g.example/grafana/"},
            "http://127.0.0.1:3000/api/org",
        ),
        (
            {
                "grafana_url": "https://g.example/grafana/",
                "grafana_config_extra": {"server": {"serve_from_sub_path": True}},
            },
            "http://127.0.0.1:3000/grafana/api/org",
        ),
    ],
)
def test_it_is_probed_at_its_url(variables, url):
    assert arguments(**variables)["ready"]["url"] == url


def test_it_uses_tls_and_requires_a_password_of_prometheus_on_a_public_address():
    tls = {
        "scheme": "https",
        "config": [{"path": "tls/certificate.pem", "content": "certificate"}],
        "secrets": {"tls/key.pem": "key", "tls/password": "shared secret"},
        "probe_auth": {
            "certificate_file": "tls/certificate.pem",
            "username": "monitoring",
            "password_file": "tls/password",
        },
    }
    result = arguments(__grafana_tls=tls)
    sections = read_ini(result["config"][0]["content"])
    assert (sections["server"]["protocol"], sections["security"]["cookie_secure"]) == (
        "https",
        "true",
    )
    assert sections["metrics"]["basic_auth_username"] == "monitoring"
    written = {
        f"/etc/grafana/{path}"
        for path in [*result["secrets"], *(file["path"] for file in result["config"])]
    }
    paths = [sections["server"][key] for key in ("cert_file", "cert_key")]
    assert (
        sections["metrics"]["basic_auth_password"]
        == "$__file{/etc/grafana/tls/password}"
    )
    paths += re.findall(r"\$__file{([^}]+)}", result["config"][0]["content"])
    assert set(paths) <= written
    assert result["ready"]["url"] == "https://127.0.0.1:3000/api/org"
    assert (result["ready"]["username"], result["ready"]["password_file"]) == (
        "admin",
        "admin-password",
    )


def test_an_own_file_needs_no_secrets_and_listens_where_the_role_says():
    result = arguments(
        grafana_admin_password="", grafana_secret_key="", grafana_config_file="/srv/mine.ini",
        grafana_listen_address="10.0.0.1:3000",
    )  # fmt: skip
    assert result["config"] == [
        {"path": "grafana.ini", "content": "", "source": "/srv/mine.ini"}
    ]
    assert result["secrets"] == {}
    assert result["ready"] == {"url": "http://10.0.0.1:3000/api/health", "timeout": 300}
    assert result["environment"]["GF_SERVER_HTTP_ADDR"] == "10.0.0.1"
    assert result["environment"]["GF_SECURITY_SECRET_KEY"] is None


def test_an_own_file_gets_the_secrets_that_are_set():
    result = arguments(grafana_config_file="/srv/mine.ini")
    assert (
        result["environment"]["GF_SECURITY_SECRET_KEY"]
        == "$__file{/etc/grafana/secret-key}"
    )
    assert (
        result["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
        == "$__file{/etc/grafana/admin-password}"
    )


def test_another_database_is_not_a_file():
    assert (
        "--database="
        in arguments(grafana_database={"type": "postgres", "host": "db:5432"})["check"]
    )
    assert (
        "--database=own.db"
        in arguments(grafana_database={"type": "sqlite3", "path": "own.db"})["check"]
    )


def test_another_secret_key_is_accepted_for_one_run_without_a_trace():
    before, now = arguments(), arguments(grafana_accept_secret_key=True)
    assert now.pop("check") == [*before.pop("check"), "--accept-secret-key"]
    assert now == before


# grafana.ini


def read_ini(text: str) -> dict[str, dict[str, str]]:
    """Parse a file as Grafana's gopkg.in/ini.v1 does; see readValue and readKeyName there."""
    sections: dict[str, dict[str, str]] = {}
    for line in filter(str.strip, text.split("\n")):
        if line.startswith("["):
            current = sections.setdefault(line[1 : line.rindex("]")], {})
            continue
        assert line[0] not in "#;"
        key, _, value = line.partition("=")
        current[key.strip()] = read_value(value)
    return sections


def read_value(text: str) -> str:
    line = text.lstrip()
    for quote in ('"""', "`"):
        if line.startswith(quote):
            assert quote in line[len(quote) :], "a value of many lines"
            return line[len(quote) : line.rindex(quote)]
    line = line.strip()
    assert not line.endswith("\\"), "it goes on in the next line"
    line = re.split("[#;]", line)[0].strip()
    quoted = len(line) > 1 and line[0] == line[-1] and line[0] in "'\""
    return line[1:-1] if quoted else line


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_text_comes_back_as_it_was(text):
    assert read_ini(grafana_ini({"section": {"key": text}})) == {
        "section": {"key": text}
    }


@pytest.mark.parametrize(
    ("value", "line"),
    [
        pytest.param(True, "key = true", id="truth"),
        pytest.param(3000, "key = 3000", id="number"),
        pytest.param(
            "$__file{/etc/grafana/key}", "key = $__file{/etc/grafana/key}", id="a file"
        ),
        pytest.param(
            "%(protocol)s://%(domain)s:3000/",
            "key = %(protocol)s://%(domain)s:3000/",
            id="another key",
        ),
        pytest.param("a#b", "key = `a#b`", id="comment"),
        pytest.param("a;b", "key = `a;b`", id="other comment"),
        pytest.param("`a`b`", "key = ``a`b``", id="backquotes"),
        pytest.param('"a"', 'key = `"a"`', id="quotes"),
        pytest.param("a\\", "key = `a\\`", id="continuation"),
        pytest.param(" a ", "key = ` a `", id="blanks"),
    ],
)
def test_values_are_quoted_where_grafana_would_read_something_else(value, line):
    assert grafana_ini({"section": {"key": value}}) == f"[section]\n{line}\n"


def test_what_is_empty_is_left_out_with_its_section():
    assert (
        grafana_ini(
            {"one": {"a": None, "b": "", "c": 0}, "two": {"d": None}, "three": {}}
        )
        == "[one]\nc = 0\n"
    )


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        pytest.param(
            [],
            "grafana.ini: the input is a list; write a dict of sections",
            id="no sections",
        ),
        pytest.param(
            {"smtp": "on"},
            "grafana.ini, section smtp: the section is a str; write a dict of keys",
            id="no keys",
        ),
        pytest.param(
            {"smtp": {"hosts": ["a"]}},
            "hosts is a list; write a str, int, float or bool",
            id="list",
        ),
        pytest.param({"smtp": {"a=b": "c"}}, "'a=b' is not a name", id="key"),
        pytest.param({"smtp": {7: "c"}}, "7 is not a name", id="number as key"),
        pytest.param({"smtp]\n[x": {"a": "c"}}, "is not a name", id="section"),
        pytest.param(
            {"smtp": {"password": "canary\n[x]"}},
            "password has a line break",
            id="line break",
        ),
        pytest.param(
            {"smtp": {"password": "canary\r"}},
            "password has a line break",
            id="carriage return",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_without_its_value(sections, words):
    with pytest.raises(AnsibleFilterError, match=re.escape(words)) as refused:
        grafana_ini(sections)
    assert "canary" not in str(refused.value)


# The script that runs before each start

# Acts as `grafana cli admin reset-admin-password`; it refuses passwords with the word weak.
COMMAND_LINE = """
import hashlib, os, sqlite3, sys
with open(ROOT + "/calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
password = sys.stdin.readline().rstrip("\\n")
if "weak" in password:
    sys.exit(f"new password {password} is too short")
if os.path.exists(ROOT + "/data/grafana.db"):
    connection = sqlite3.connect(ROOT + "/data/grafana.db")
    hashed = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 10_000, 50).hex()
    connection.execute('UPDATE "user" SET password = ? WHERE id = 1', (hashed,))
    connection.commit()
"""


class Host:
    """Directories in the role's layout, and a Grafana that only counts its password resets."""

    def __init__(self, root: Path) -> None:
        self.root, self.etc, self.data = root, root / "etc", root / "data"
        self.database, self.backups = self.data / "grafana.db", self.data / "backups"
        self.calls = root / "calls"
        for path in (self.etc, self.data):
            path.mkdir()
        self.secrets()
        self.use(OLD)
        self.verify()

    def secrets(self, password: str = PASSWORD, key: str = KEY) -> None:
        for name, value in {"admin-password": password, "secret-key": key}.items():
            (self.etc / name).write_text(value)
        (self.etc / "grafana.ini").write_text(
            f"; $__file{{/nowhere}}\nkey = $__file{{{self.etc}/secret-key}}\n"
        )

    def use(self, version: str) -> None:
        """Install a release, whose command line sets passwords as Grafana's does."""
        self.version, self.release = (
            version,
            self.root / f"releases/grafana-{version}-0123abcd",
        )
        program = self.release / "bin/grafana"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(
            f"#!{sys.executable} -IS\nROOT = {str(self.root)!r}\n{COMMAND_LINE}"
        )
        program.chmod(0o755)

    def verify(self) -> None:
        """Mark the release as last-known-good, as the engine does after a rollout."""
        (self.root / "last-known-good").mkdir(exist_ok=True)
        link = self.root / "last-known-good/release"
        link.unlink(missing_ok=True)
        link.symlink_to(self.release)

    def run(self, *words: str) -> int:
        directories = [
            f"--etc={self.etc}",
            f"--data={self.data}",
            f"--last-known-good={self.root / 'last-known-good/release'}",
        ]
        return grafana_prepare.main(
            [
                f"--version={self.version}",
                f"--release={self.release}",
                *directories,
                *words,
            ]
        )

    def start(self, note: str = "", rows: int = 1, login: str = "admin") -> int:
        """Start Grafana, which creates its database and administrator and saves notes."""
        code = self.run(f"--login={login}")
        if code == 0:
            with closing(sqlite3.connect(self.database)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(
                    'CREATE TABLE IF NOT EXISTS "user" (id INTEGER, login, password, salt)'
                )
                connection.execute("CREATE TABLE IF NOT EXISTS note (text)")
                if not connection.execute('SELECT * FROM "user"').fetchall():
                    connection.execute(
                        'INSERT INTO "user" VALUES (1, ?, ?, ?)',
                        (login, hashed(PASSWORD), "salt"),
                    )
                connection.executemany("INSERT INTO note VALUES (?)", [(note,)] * rows)
                connection.commit()
        return code

    def notes(self, path: Path | None = None) -> list[str]:
        with closing(sqlite3.connect(path or self.database)) as connection:
            return [row[0] for row in connection.execute("SELECT text FROM note")]

    def resets(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def state(self) -> dict[str, str]:
        return json.loads((self.data / "grafana-prepare.json").read_text())

    def kept(self, pattern: str = "*") -> list[str]:
        return sorted(path.name.split("-20")[0] for path in self.backups.glob(pattern))


def hashed(password: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 10_000, 50).hex()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(grafana_prepare, "COST", 2)
    return Host(tmp_path)


@pytest.fixture
def fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only fingerprints to compare, as for a database of another form or host."""
    monkeypatch.setattr(grafana_prepare, "HASH_BYTES", 1)


def output(capsys: pytest.CaptureFixture) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_a_first_start_sets_no_password_and_keeps_secrets_from_others(host):
    assert (host.run("--check"), host.start()) == (0, 0)
    assert host.resets() == []
    assert host.kept() == []
    text = (host.data / "grafana-prepare.json").read_text()
    assert PASSWORD not in text
    assert KEY not in text
    assert oct((host.data / "grafana-prepare.json").stat().st_mode)[-3:] == "600"


def test_a_further_start_does_nothing(host):
    host.start()
    before = host.state()
    assert host.start() == 0
    assert (host.resets(), host.kept(), host.state()) == ([], [], before)


def test_a_changed_password_is_set_once(host, capsys):
    host.start()
    host.secrets(password="another password")
    assert (host.run("--check"), host.start(), host.start()) == (0, 0, 0)
    (command,) = host.resets()
    assert command.split(" ", 3)[::3] == [
        "cli",
        "admin reset-admin-password --password-from-stdin",
    ]
    assert f"--config={host.etc}/grafana.ini" in command
    assert "another password" not in command + output(capsys)
    assert grafana_prepare.read_account(installation(host), "another password") == (
        1,
        True,
    )


def test_a_password_that_was_changed_in_grafana_is_reset(host):
    host.start()
    with closing(sqlite3.connect(host.database)) as connection:
        connection.execute('UPDATE "user" SET password = ?', (hashed("hands off"),))
        connection.commit()
    assert host.start() == 0
    assert grafana_prepare.read_account(installation(host), PASSWORD) == (1, True)


@pytest.mark.usefixtures("fingerprints")
def test_a_password_of_another_form_is_compared_by_its_fingerprint(host):
    host.start()
    assert (host.start(), host.resets()) == (0, [])
    host.secrets(password="another password")
    assert (host.start(), host.start(), len(host.resets())) == (0, 0, 1)


def test_a_database_elsewhere_gets_the_password_at_the_first_start_and_after_a_change(
    host,
):
    assert (host.run("--database="), host.run("--database="), len(host.resets())) == (
        0,
        0,
        1,
    )
    host.secrets(password="another password")
    assert (host.run("--database="), host.run("--database="), len(host.resets())) == (
        0,
        0,
        2,
    )
    assert not host.backups.exists()


def test_a_password_that_grafana_refuses_ends_the_start_and_is_not_printed(
    host, capsys
):
    host.start()
    host.secrets(password="weak canary")
    assert host.start() == 1
    assert "could not be set: new password ... is too short" in output(capsys)
    host.secrets()
    assert host.start() == 0


def test_an_administrator_of_another_name_is_refused(host, capsys):
    host.start()
    assert (host.run("--check", "--login=boss"), host.start(login="boss")) == (1, 1)
    assert (
        output(capsys).count("grafana_admin_user: Grafana's database has no user boss;")
        == 2
    )


def test_a_password_with_blanks_around_it_is_refused(host, capsys):
    host.secrets(password=" " + PASSWORD)
    assert host.run("--check") == 0, "there is no database yet to compare it with"
    assert host.start() == 1
    assert "admin-password: begins or ends with whitespace" in output(capsys)


def test_a_missing_file_is_refused(host, capsys):
    (host.etc / "grafana.ini").write_text("a = $__file{/nowhere/key}\n")
    assert host.run("--check") == 1
    assert "takes a value from /nowhere/key, which is missing" in output(capsys)


def test_another_secret_key_is_refused_and_changes_nothing(host, capsys):
    host.start()
    before = host.state()
    host.secrets(key="another key")
    assert host.run("--check") == 1
    assert "grafana_secret_key was changed" in output(capsys)
    assert host.run("--check", "--accept-secret-key") == 0
    assert host.state() == before
    # Once accepted, the new key is the one that must not change.
    assert (host.start(), host.run("--check")) == (0, 0)
    host.secrets()
    assert host.run("--check") == 1


def test_another_secret_key_is_harmless_without_a_database(host):
    host.start()
    host.database.unlink()
    host.secrets(key="another key")
    assert host.run("--check") == 0
    assert host.run("--check", "--database=") == 1


def test_an_unmanaged_database_is_adopted_when_its_key_is_accepted(host, capsys):
    host.start()
    (host.data / "grafana-prepare.json").unlink()
    assert host.run("--check") == 1
    assert "was not made by this role" in output(capsys)
    assert (host.run("--check", "--accept-secret-key"), host.start()) == (0, 0)
    assert host.kept() == ["grafana-unknown"]


def test_a_newer_version_starts_after_a_copy_of_all_data(host):
    host.start("old")
    # A row in the write-ahead log only, as after a crash.
    with closing(sqlite3.connect(host.database)) as connection:
        connection.execute("INSERT INTO note VALUES ('in the log')")
        connection.commit()
        for name in ("grafana.db", "grafana.db-wal"):
            shutil.copy(host.data / name, host.root / name)
    for name in ("grafana.db", "grafana.db-wal"):
        shutil.copy(host.root / name, host.data / name)
    host.use(NEW)
    assert (host.run("--check"), host.start("new")) == (0, 0)
    (backup,) = host.backups.iterdir()
    assert host.notes(backup) == ["old", "in the log"]
    assert oct(backup.stat().st_mode)[-3:] == "600"
    assert oct(host.backups.stat().st_mode)[-3:] == "700"


def test_a_half_written_transaction_is_not_in_the_copy(host):
    host.start("old")
    with closing(sqlite3.connect(host.database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.executemany("INSERT INTO note VALUES (?)", [("half" * 1000,)] * 50)
        for name in ("grafana.db", "grafana.db-journal"):
            shutil.copy(host.data / name, host.root / name)
    for name in ("grafana.db", "grafana.db-journal"):
        shutil.copy(host.root / name, host.data / name)
    host.use(NEW)
    assert host.start() == 0
    assert host.notes(next(host.backups.iterdir())) == ["old"]


def test_the_last_two_copies_stay(host):
    host.start()
    for version in ("13.0.0", "13.0.1", "13.0.1+security-01", "13.1.0"):
        host.use(version)
        assert host.start() == 0
        # Each copy is an hour newer than the previous one.
        for path in host.backups.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    assert host.kept() == ["grafana-13.0.1", "grafana-13.0.1+security-01"]


def test_a_failed_upgrade_is_undone_with_its_changes_kept_aside(host, capsys):
    host.start("old")
    host.use(NEW)
    assert host.start("new") == 0
    # Its verification failed, and the engine starts the old one again.
    host.use(OLD)
    assert host.start("after") == 0
    assert host.notes() == ["old", "after"]
    assert host.notes(next(host.backups.glob("newer-*"))) == ["old", "new"]
    assert "The database was restored from" in output(capsys)
    # The upgrade can be repeated.
    host.use(NEW)
    assert (host.run("--check"), host.start()) == (0, 0)
    assert host.kept("grafana-*")[-1] == f"grafana-{OLD}"


def test_a_failed_upgrade_with_a_new_password_is_undone_too(host):
    host.start()
    host.use(NEW)
    host.secrets(password="another password")
    host.start()
    host.use(OLD)
    host.secrets()
    assert host.start() == 0
    assert grafana_prepare.read_account(installation(host), PASSWORD) == (1, True)


@pytest.mark.parametrize("killed_at", ["copy", "sync", "remember"])
def test_a_restore_is_repeated_after_a_kill(host, monkeypatch, killed_at):
    host.start("old")
    host.use(NEW)
    host.start("new")
    host.use(OLD)
    with monkeypatch.context() as patched:
        owner = grafana_prepare.State if killed_at == "remember" else grafana_prepare
        patched.setattr(owner, killed_at, lambda *_, **__: sys.exit("killed"))
        with pytest.raises(SystemExit):
            host.start()
    assert host.start() == 0
    assert host.notes()[0] == "old"
    assert "new" not in host.notes()
    assert ["old", "new"] in [host.notes(path) for path in host.backups.glob("newer-*")]


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_a_restore_is_repeated_when_a_log_of_the_newer_version_is_left(
    host, suffix, capsys
):
    host.start("old")
    host.use(NEW)
    host.start("new")
    (backup,) = host.backups.glob("grafana-*")
    # A power cut has taken the removal of the log, but not the new name of the copy.
    shutil.copyfile(backup, host.database)
    log = grafana_prepare.with_suffix(host.database, suffix)
    log.write_bytes(b"newer changes")
    host.use(OLD)
    assert host.run() == 0
    assert "The database was restored from" in output(capsys)
    assert not log.exists()
    assert host.notes() == ["old"]


def test_a_restored_database_is_not_restored_again(host, capsys):
    host.start("old")
    host.use(NEW)
    host.start("new")
    (backup,) = host.backups.glob("grafana-*")
    shutil.copyfile(backup, host.database)
    host.use(OLD)
    assert host.run() == 0
    assert "The database was restored from" not in output(capsys)
    assert host.state()["version"] == OLD


def test_each_step_is_on_disk_before_the_next(host, monkeypatch):
    order = DiskOrder(monkeypatch)
    host.start("old")
    host.use(NEW)
    host.start("new")
    backed_up = [os.path.basename(path) for path in order.renamed()]
    host.use(OLD)
    host.start()
    assert order.faults() == []
    names = [os.path.basename(path) for path in order.renamed()]
    # Grafana migrates the database, or uses the restored one, after these.
    copied = next(name for name in backed_up if name.startswith("grafana-1"))
    assert "grafana-prepare.json" in backed_up[backed_up.index(copied) :]
    assert "grafana-prepare.json" in names[names.index("grafana.db") :]


def test_an_older_version_is_refused_once_the_newer_one_is_verified(host, capsys):
    host.start("old")
    host.use(NEW)
    host.start("new")
    host.verify()
    host.use(OLD)
    assert (host.run("--check"), host.start()) == (1, 1)
    assert (
        output(capsys).count(
            f"Grafana {NEW} has used the database, and the older {OLD} might damage it; keep {NEW}"
        )
        == 2
    )
    assert host.notes() == ["old", "new"]


def test_what_a_return_to_an_older_version_loses_is_announced(host, capsys):
    host.start("old")
    host.use(NEW)
    host.start("new")
    host.use(OLD)
    output(capsys)
    assert host.run("--check") == 0
    assert f"notice: The database becomes that of Grafana {OLD} again, from" in output(
        capsys
    )
    assert host.start("after") == 0
    assert "notice: The database was restored from" in output(capsys)
    # The next check repeats it, since that run may have been killed, and the next start ends it.
    assert host.run("--check") == 0
    assert "notice: The database was restored from" in output(capsys)
    assert (host.start(), host.run("--check")) == (0, 0)
    assert "notice" not in output(capsys)


@pytest.mark.parametrize("changed", ["grafana.db", "grafana.db-wal"])
def test_an_older_version_is_refused_when_an_unverified_newer_one_has_served(
    host, changed, capsys
):
    host.start("old")
    host.use(NEW)
    host.start("new")
    # The run was killed, and people have saved changes in the days after.
    (backup,) = host.backups.glob("grafana-*")
    path = host.data / changed
    if not path.exists():
        path.write_bytes(b"log")
    since = backup.stat().st_mtime + grafana_prepare.ROLLOUT_SECONDS
    os.utime(path, (since + 1, since + 1))
    before = path.read_bytes()
    host.use(OLD)
    assert (host.run("--check"), host.start()) == (1, 1)
    assert output(capsys).count(f"keep {NEW}, or restore the backup") == 2
    assert path.read_bytes() == before
    os.utime(path, (since - 1, since - 1))
    assert host.run("--check") == 0


@pytest.fixture
def fips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what OpenSSL's FIPS provider refuses: scrypt, and salts below 128 bits."""
    pbkdf2 = hashlib.pbkdf2_hmac

    def refuse(*words: Any, **options: Any) -> bytes:
        raise ValueError("[digital envelope routines] unsupported")

    def derive(name: str, password: bytes, salt: bytes, *words: Any) -> bytes:
        return refuse() if len(salt) < 16 else pbkdf2(name, password, salt, *words)

    monkeypatch.setattr(grafana_prepare.hashlib, "scrypt", refuse)
    monkeypatch.setattr(grafana_prepare.hashlib, "pbkdf2_hmac", derive)


def test_grafana_starts_in_fips_mode(host, request, capsys):
    request.getfixturevalue("fips")
    with pytest.MonkeyPatch.context() as patched:
        # The fake Grafana stores its password without that provider.
        patched.setattr(sys.modules[__name__], "hashed", lambda _password: "0" * 100)
        assert (host.start(), host.start(), host.resets()) == (0, 0, [])
    host.secrets(password="another password")
    assert (host.start(), len(host.resets())) == (0, 1)
    host.secrets(password="another password", key="another key")
    assert host.run("--check") == 1
    assert "grafana_secret_key was changed" in output(capsys)


def test_fips_mode_may_be_turned_on_later(host, request):
    host.start()
    request.getfixturevalue("fips")
    assert (host.run("--check"), host.start(), host.start()) == (0, 0, 0)
    assert host.resets() == []
    host.secrets(key="another key")
    assert host.run("--check") == 1


def test_an_older_version_without_a_copy_is_refused(host, capsys):
    host.start("old")
    host.use(NEW)
    host.start("new")
    shutil.rmtree(host.backups)
    host.use(OLD)
    assert (host.run("--check"), host.start()) == (1, 1)
    assert f"there is no backup for the older {OLD}; keep {NEW}." in output(capsys)
    assert host.notes() == ["old", "new"]


@pytest.fixture
def unit_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that sets the state which systemctl reports."""
    (tmp_path / "bin").mkdir()

    def set_state(state: str) -> None:
        program = tmp_path / "bin/systemctl"
        program.write_text(f"#!/bin/sh\necho {state}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    return set_state


def test_a_manual_restore_needs_a_stopped_grafana(host, unit_state, capsys):
    host.start("old")
    host.use(NEW)
    host.start("new")
    host.verify()
    unit_state("active")
    assert host.run("--restore") == 1
    assert "grafana.service: is active; stop it first" in output(capsys)
    unit_state("inactive")
    assert host.run("--restore") == 0
    host.use(OLD)
    assert (host.run("--check"), host.start("after")) == (0, 0)
    assert host.notes() == ["old", "after"]


def test_a_manual_restore_finds_the_database_itself(host, unit_state):
    unit_state("inactive")
    assert host.start("old") == 0
    moved = host.data / "of-ours.db"
    host.database.rename(moved)
    host.use(NEW)
    assert host.run("--database=of-ours.db") == 0
    with closing(sqlite3.connect(moved)) as connection, connection:
        connection.execute("INSERT INTO note VALUES ('new')")
    host.verify()
    assert host.run("--restore") == 0
    assert host.notes(moved) == ["old"]
    assert not host.database.exists()


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        pytest.param(slice(-4096, None), "cannot be copied: .*malformed", id="a page"),
        pytest.param(
            slice(-4088, -4084),
            "(is damaged: .*tree|cannot be copied: .*malformed)",
            id="some bytes of a page",
        ),
    ],
)
def test_a_damaged_database_is_reported_before_an_upgrade_and_unchanged(
    host, capsys, damaged, words
):
    host.start("x" * 2000, rows=50)
    content = bytearray(host.database.read_bytes())
    content[damaged] = b"\xff" * len(content[damaged])
    host.database.write_bytes(content)
    host.use(NEW)
    assert host.start() == 1
    assert re.search(f"grafana.db: {words}", output(capsys), re.IGNORECASE | re.DOTALL)
    assert host.database.read_bytes() == bytes(content)
    assert host.kept() == []


@pytest.mark.usefixtures("fingerprints")
def test_a_restored_database_gets_the_current_password(host, unit_state):
    unit_state("inactive")
    host.start()
    host.use(NEW)
    host.secrets(password="another password")
    assert (host.start(), host.run("--restore")) == (0, 0)
    host.use(OLD)
    assert (host.start(), len(host.resets())) == (0, 2)


def test_a_damaged_newer_database_is_kept_unchanged(host):
    host.start("old")
    host.use(NEW)
    host.start("new")
    log = host.data / "grafana.db-wal"
    host.database.write_bytes(b"garbage" * 1000)
    log.write_bytes(b"more of it")
    host.use(OLD)
    assert host.run() == 0
    assert not log.exists()
    assert host.notes() == ["old"]
    assert next(host.backups.glob("newer-*.db")).read_bytes() == b"garbage" * 1000
    assert next(host.backups.glob("newer-*.db-wal")).read_bytes() == b"more of it"


def installation(host: Host) -> Any:
    words = [f"--etc={host.etc}", f"--data={host.data}"]
    return grafana_prepare.Installation(grafana_prepare.parse_options(words))
