# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake host: a private root, a fake systemd and fake accounts, on which real rollouts run.

Each run is a process of its own, so that a signal ends it as it would end the module. The fake
systemd keeps its state in a file, since it outlives such a process as the real one does. A fake
program is nothing but the files that it has read: it refuses to start, to reload or to become
ready where its configuration says so.
"""

from __future__ import annotations

import grp
import gzip
import hashlib
import io
import json
import os
import pwd
import re
import signal
import subprocess
import sys
import tarfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    component_errors,
    failpoints,
    layout,
    observation,
    probe,
    release_staging,
    release_store,
    spec,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.modules import (
    component_removal,
    component_rollback,
    component_rollout,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    component_calls,
    desired_instances,
    unchanged,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.component_options import (
    OPTIONS,
    RELEASE,
)

GROUP = 4242
NOGROUP = 65534
# Beyond the kernel's largest process id, so that no real process is meant.
FIRST_PID = 5_000_000
METRICS = {
    "url": "http://127.0.0.1/metrics",
    "success": "reload_ok",
    "timestamp": "reload_at",
}
LISTENS = re.compile(r"^listen: (\S+)$", re.MULTILINE)
RECORDER = re.compile(r"readlink (\S+)\) (\w+) .*\" >(\S+)'")
# Of one run of the controller.
NONCE = bytes(range(32))
MODULES = {
    "component_removal": component_removal,
    "component_rollback": component_rollback,
    "component_rollout": component_rollout,
}
DEFAULTS = {
    "state": "present",
    "instances": None,
    "adopt": False,
    "purge": False,
    "lock_owner": "anna@control",
    "lock_timeout": 0,
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its values, or its error, or the signal that ended it."""

    values: dict[str, Any]
    error: str = ""
    rolled_back: tuple[str, ...] = ()
    killed_by: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.values["changed"])

    @property
    def action(self) -> str:
        return str(self.values["action"])


class FakeHost:
    """A host with a root directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._state_file = root / "systemd.json"
        self._save(
            {
                "units": {},
                "loaded": {},
                "damaged": [],
                "accounts": {},
                "groups": {},
                "count": 0,
                "commands": [],
            }
        )

    # What tests do

    def run(self, params: dict[str, Any], **changes: Any) -> Outcome:
        """Run the module's work in its own process; ``check`` and ``die_at`` are no options.

        The decision of the controller that nothing is to do has to agree with each run.
        """
        check, die_at = changes.pop("check", False), changes.pop("die_at", "")
        with_signal = changes.pop("with_signal", signal.SIGKILL)
        options = {**DEFAULTS, **params, **changes}
        report = self.root / "outcome.json"
        report.unlink(missing_ok=True)
        decision, to_clean = self.decision(options)
        before = (self.tree(), self.marks()) if decision is not None else ()
        child = os.fork()
        if child == 0:
            self._child(options, check, die_at, with_signal, report)
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return Outcome({}, killed_by=os.WTERMSIG(status))
        outcome = Outcome(**json.loads(report.read_text(encoding="utf-8")))
        if decision is not None:
            assert (decision, outcome.error) == (outcome.values, "")
            assert (self.tree(), self.marks()) == before
        elif options["state"] == "present" and outcome.values.get("action") == "none":
            assert to_clean, "the controller has not seen that nothing is to do"
        return outcome

    def decision(self, options: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
        """Return the result by which the controller would spare the module's run, if any.

        The second value is whether killed runs have left anything to clean up.
        """
        if options["state"] != "present":
            return None, False
        try:
            _params, desired = described(options)
        except component_errors.ComponentError:
            return None, False
        try:
            observed = observation.collect({"nonce": NONCE.hex()}, True)
        except (component_errors.ComponentError, OSError):
            return None, False
        state = json.loads(json.dumps(observed))["observation"]
        decision = unchanged.result_of(options["name"], desired, state, NONCE)
        left = ("leftovers", "pending", "rolled_back_from")
        to_clean = state["leftovers"] or any(
            instance["blocked"] or any(instance["state"][name] for name in left)
            for instance in state["instances"].values()
        )
        return decision and json.loads(json.dumps(decision)), to_clean

    def good(self, params: dict[str, Any], **changes: Any) -> Outcome:
        """Run what must succeed."""
        outcome = self.run(params, **changes)
        assert not outcome.error, outcome.error
        assert not outcome.killed_by
        return outcome

    def unit(self, name: str) -> dict[str, Any]:
        """Return the state of a unit; an unknown one is inactive."""
        return dict(self._load()["units"].get(name) or {"active": "inactive", "pid": 0})

    def units(self) -> dict[str, str]:
        """Return the state of each unit of a component."""
        units = self._load()["units"].items()
        own = {name: unit for name, unit in units if not name.startswith("monitoring-")}
        active = {name: str(unit["active"]) for name, unit in own.items()}
        return {name: state for name, state in active.items() if state != "inactive"}

    def starts(self, name: str = "loki.service") -> str:
        """Return which start of a unit runs."""
        return str(self.unit(name).get("invocation", ""))

    def loaded(self, name: str = "loki") -> dict[str, str]:
        """Return the configuration that the program of an instance has read."""
        return dict(self.unit(name + ".service").get("config", {}))

    def commands(self) -> list[str]:
        """Return what systemctl was asked to change, in order."""
        return list(self._load()["commands"])

    def forget_commands(self) -> None:
        """Start a new list of commands."""
        self._save({**self._load(), "commands": []})

    def stop(self, name: str) -> None:
        """End a unit, as a crash would."""
        state = self._load()
        state["units"][name].update(active="failed", pid=0)
        self._save(state)

    def set_loaded(self, units: dict[str, str]) -> None:
        """Let the manager have loaded other texts of units than those on disk."""
        state = self._load()
        state["loaded"].update(units)
        self._save(state)

    def damage(self, name: str = "loki") -> None:
        """Let nothing start from the current generation, for a reason that nobody observes."""
        damaged = os.path.realpath(layout.etc(name))
        self._save({**self._load(), "damaged": [damaged]})

    def refuse_every_check(self) -> None:
        """Let checkers refuse from now on what they accepted before."""
        self._save({**self._load(), "refuses": True})

    def reboot(self) -> None:
        """Start the host anew: /run is empty, and systemd starts what is enabled."""
        for path in sorted((self.root / "run").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        state = self._load()
        state.update(units={}, loaded=self._unit_files())
        self._save(state)
        links = sorted(Path(layout.UNITS).glob("*.wants/*"))
        own = [link for link in links if link.name.startswith("monitoring-boot-")]
        for link in own:
            self.fall_back(link.name[len("monitoring-boot-") : -len(".service")])
        for link in links:
            if link not in own and os.path.lexists(link):
                self._systemctl(["start", link.name])

    def marks(self) -> list[str]:
        """Return what runs leave in /run besides locks."""
        return sorted(
            path.name for path in Path(layout.RUN).glob("*") if path.suffix != ".lock"
        )

    def tree(self) -> dict[str, str]:
        """Return every file, link and directory that a rollout may write, with mode and content.

        Paths begin at the host's root. Generations are counted differently after a killed run,
        and an archive is unpacked at another time, so neither counts.
        """
        found = {}
        for directory in ("opt", "etc", "var"):
            for path in sorted((self.root / directory).rglob("*")):
                name = _comparable(str(path.relative_to(self.root)))
                found[name] = _comparable(_described(path)).replace(str(self.root), "")
        return found

    # What stands in for the host's programs

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the engine run this host's programs in place of the real ones."""
        monkeypatch.setattr(systemd, "run", self._program)
        monkeypatch.setattr(probe, "ask", self._answer)
        monkeypatch.setattr(probe, "listening_processes", self._listeners)
        monkeypatch.setattr(
            probe, "group_processes", lambda pid: {pid} if pid else set()
        )
        monkeypatch.setattr(probe, "INTERVAL_SECONDS", 0)
        monkeypatch.setattr(pwd, "getpwnam", self._account)
        monkeypatch.setattr(grp, "getgrnam", self._group)
        monkeypatch.setattr(release_store.platform, "machine", lambda: "x86_64")

    def _child(
        self,
        options: dict[str, Any],
        check: bool,
        die_at: str,
        with_signal: int,
        report: Path,
    ) -> None:
        """Run the work, write how it ended, and end without pytest noticing."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if die_at:
                name = signal.Signals(with_signal).name
                os.environ[failpoints.KILL_AT] = f"{die_at}:{name}"
            try:
                outcome = {"values": work(options, check)}
            except component_errors.ComponentError as error:
                outcome = {
                    "values": {},
                    "error": str(error),
                    "rolled_back": list(error.rolled_back),
                }
            except OSError as error:
                outcome = {"values": {}, "error": f"{error.filename}: {error.strerror}"}
            except KeyboardInterrupt:
                outcome = {"values": {}, "error": "interrupted"}
            report.write_text(json.dumps(outcome), encoding="utf-8")
        except BaseException:
            # pytest shows it beside the missing report.
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(0)

    def _load(self) -> dict[str, Any]:
        return json.loads(self._state_file.read_text(encoding="utf-8"))

    def _save(self, state: dict[str, Any]) -> None:
        self._state_file.write_text(json.dumps(state), encoding="utf-8")

    def _program(
        self, command: list[str], timeout: float | None = 60
    ) -> subprocess.CompletedProcess[str]:
        programs: dict[str, Callable[[list[str]], tuple[int, str]]] = {
            "systemctl": self._systemctl,
            "systemd-run": self._run_transient,
            "journalctl": lambda _words: (0, "Starting the program\nit refuses\n"),
            "useradd": self._useradd,
            "groupadd": self._groupadd,
            "userdel": self._userdel,
        }
        code, output = programs[command[0]](command[1:])
        return subprocess.CompletedProcess(command, code, output)

    def _systemctl(self, words: list[str]) -> tuple[int, str]:
        if words == ["--version"]:
            return 0, "systemd 252 (252.39)\n"
        verb = words[0]
        names = [word for word in words[1:] if not word.startswith("-")]
        if verb == "show":
            return 0, "\n".join(self._shown(name) for name in names)
        state = self._load()
        state["commands"].append(" ".join([verb, *names]))
        self._save(state)
        if verb == "daemon-reload":
            state["loaded"] = self._unit_files()
            state["drop_ins"] = self._drop_ins()
            for name, unit in state["units"].items():
                unit["text"] = self._unit_file(name)
            self._save(state)
            return 0, ""
        for name in names:
            code, output = getattr(self, "_" + verb.replace("-", "_"))(name)
            if code:
                return code, output
        return 0, ""

    def _unit_file(self, name: str) -> str:
        """Return what a manager would load for a unit; nothing when it is masked."""
        for directory in (layout.UNITS, layout.UNIT_FILES):
            path = Path(directory) / name
            if os.path.lexists(path):
                return path.read_text(encoding="utf-8") if path.exists() else ""
        return ""

    def _unit_files(self) -> dict[str, str]:
        """Return the content of every unit file on disk."""
        names = {
            path.name
            for directory in (layout.UNITS, layout.UNIT_FILES)
            for path in Path(directory).glob("*.*")
            if path.suffix in (".service", ".timer", ".path", ".socket")
        }
        return {name: self._unit_file(name) for name in sorted(names)}

    def _drop_ins(self) -> dict[str, list[str]]:
        """Return the paths of every unit's drop-ins on disk."""
        found: dict[str, list[str]] = {}
        for path in sorted(Path(layout.UNITS).glob("*.d/*.conf")):
            found.setdefault(path.parent.name[:-2], []).append(str(path))
        return found

    def _load_states(self, name: str) -> dict[str, str]:
        """Return what systemd says about a unit file: loaded on demand, never reloaded."""
        state = self._load()
        on_disk = self._unit_files()
        loaded = state["loaded"].get(name) or on_disk.get(name)
        if loaded is None:
            return {"LoadState": "not-found", "NeedDaemonReload": "no"}
        if "bad-setting" in loaded:
            return {"LoadState": "bad-setting", "NeedDaemonReload": "no"}
        stale = name in state["loaded"] and on_disk.get(name) != state["loaded"][name]
        return {
            "LoadState": "loaded" if loaded else "masked",
            "NeedDaemonReload": "yes" if stale else "no",
        }

    def _shown(self, name: str) -> str:
        unit = self._load()["units"].get(name, {})
        path = Path(layout.UNIT_FILES) / name
        values = {
            "ActiveState": unit.get("active", "inactive"),
            "SubState": unit.get("sub", "dead"),
            "MainPID": unit.get("pid", 0),
            "InvocationID": unit.get("invocation", ""),
            "NRestarts": 0,
            "FragmentPath": path if path.exists() else "",
            "DropInPaths": " ".join(self._load().get("drop_ins", {}).get(name, [])),
            **self._load_states(name),
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _start(self, name: str) -> tuple[int, str]:
        if self.unit(name)["active"] == "active":
            return 0, ""
        return self._restart(name)

    def _restart(self, name: str) -> tuple[int, str]:
        state = self._load()
        unit = state["units"].setdefault(name, {})
        unit.setdefault("text", self._unit_file(name))
        # systemd loads on demand what it has not loaded yet.
        unit["text"] = unit["text"] or self._unit_file(name)
        if not unit["text"]:
            del state["units"][name]
            self._save(state)
            return 5, f"Failed to start {name}: Unit {name} not found."
        state["count"] += 1
        unit["invocation"] = f"invocation{state['count']}"
        unit["pid"] = FIRST_PID + state["count"]
        note = RECORDER.search(unit["text"])
        if note:
            current, digest, record = note.groups()
            Path(record).parent.mkdir(exist_ok=True)
            drop_ins = systemd.drop_ins_digest(state.get("drop_ins", {}).get(name, []))
            line = f"{unit['invocation']} {os.readlink(current)} {digest} {drop_ins}\n"
            Path(record).write_text(line, encoding="utf-8")
        unit["config"] = self._read_configuration(name)
        text = "".join(unit["config"].values())
        # The program itself may hold the address while it restarts.
        unit["listens"], unit["active"] = LISTENS.findall(text), "activating"
        self._save(state)
        taken = any(map(self._listeners, unit["listens"]))
        damaged = os.path.realpath(layout.etc(name.rpartition(".")[0]))
        refused = "start: refuse" in text or taken or damaged in state["damaged"]
        unit.update(active="failed", pid=0) if refused else unit.update(active="active")
        unit["sub"] = "failed" if refused else "running"
        unit["reloads"], unit["reload_ok"] = 1, 1
        self._save(state)
        return 0, ""

    def _reload(self, name: str) -> tuple[int, str]:
        state = self._load()
        unit = state["units"][name]
        config = self._read_configuration(name)
        if "reload: refuse" in "".join(config.values()):
            unit["reload_ok"] = 0
        else:
            unit.update(config=config, reload_ok=1, reloads=unit["reloads"] + 1)
        self._save(state)
        return 0, ""

    def _stop(self, name: str) -> tuple[int, str]:
        state = self._load()
        config = state["units"].get(name, {}).get("config", {})
        if "stop: refuse" in "".join(config.values()):
            return 1, "Connection timed out"
        if name in state["units"]:
            state["units"][name].update(active="inactive", sub="dead", pid=0)
        self._save(state)
        return 0, ""

    def _reset_failed(self, name: str) -> tuple[int, str]:
        state = self._load()
        if not self._unit_file(name):
            state["units"].pop(name, None)
        self._save(state)
        return 0, ""

    def _read_configuration(self, unit_name: str) -> dict[str, str]:
        directory = Path(layout.etc(unit_name.rpartition(".")[0]))
        if not directory.is_dir():
            return {}
        files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
        return {
            str(path.relative_to(directory)): path.read_text("utf-8") for path in files
        }

    def _run_transient(self, words: list[str]) -> tuple[int, str]:
        """Run a checker, or note the unit that waits for the end of a run."""
        names = [word[7:] for word in words if word.startswith("--unit=")]
        if not names:
            return self._check(words)
        state = self._load()
        if self.unit(names[0])["active"] != "inactive":
            return 1, "Unit was already loaded"
        state["count"] += 1
        waiting = {"active": "active", "pid": FIRST_PID + state["count"], "config": {}}
        state["units"][names[0]] = {**waiting, "command": words[-5:]}
        self._save(state)
        return 0, ""

    def waiting(self, component: str = "loki") -> bool:
        """Return whether a unit waits for the end of a run."""
        unit = self.unit(layout.fallback_unit(component))
        return bool(unit["active"] == "active")

    def fall_back(self, component: str = "loki") -> None:
        """Run the program that waits for the end of a run, whose time has come."""
        program, _isolated, script, *paths = self._fallback_command(component)
        assert program == sys.executable
        namespace: dict[str, Any] = {"__name__": "fallback"}
        exec(compile(Path(script).read_bytes(), script, "exec"), namespace)
        namespace["time"] = SimpleNamespace(sleep=lambda _seconds: None)
        namespace["_run"] = self._run_for_script
        namespace["main"](*paths)
        state = self._load()
        state["units"].pop(layout.fallback_unit(component), None)
        self._save(state)

    def _fallback_command(self, component: str) -> list[str]:
        unit = self._load()["units"].get(layout.fallback_unit(component))
        if unit:
            return list(unit["command"])
        text = self._unit_file(layout.boot_unit(component))
        (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        return list(command.split())

    def _run_for_script(self, command: list[str]) -> None:
        code, output = self._systemctl(command[1:])
        if code:
            raise subprocess.CalledProcessError(code, command, output)

    def _check(self, words: list[str]) -> tuple[int, str]:
        (bind,) = [
            word for word in words if word.startswith("--property=BindReadOnlyPaths=")
        ]
        staged = Path(bind.split("=", 2)[2].partition(":")[0])
        contents = [
            path.read_text("utf-8") for path in staged.rglob("*") if path.is_file()
        ]
        refused = self._load().get("refuses") or "check: refuse" in "".join(contents)
        return (1, "line 1: it is refused") if refused else (0, "")

    def _answer(
        self, unit_name: str, probe_options: dict[str, Any], pid: int
    ) -> tuple[int, str]:
        unit = self.unit(unit_name)
        if unit["active"] != "active":
            return 0, "connection refused"
        if "ready: never" in "".join(unit["config"].values()):
            return 503, "starting"
        return 200, f"reload_ok {unit['reload_ok']}\nreload_at {unit['reloads']}\n"

    def _listeners(self, address: str) -> set[int]:
        """Return the fake programs that listen on an address, as their files say."""
        units = self._load()["units"].values()
        return {
            unit["pid"]
            for unit in units
            if unit["active"] == "active" and address in unit.get("listens", [])
        }

    def add_account(self, name: str, **fields: Any) -> None:
        """Create a user as somebody else made it; without ``group`` of its name."""
        state = self._load()
        state["accounts"][name] = {
            "pw_uid": GROUP,
            "pw_gid": NOGROUP,
            "pw_gecos": "",
            "pw_shell": "/usr/sbin/nologin",
            **fields,
        }
        self._save(state)

    def remove_account(self, name: str) -> None:
        """Remove a user and its group."""
        state = self._load()
        state["accounts"].pop(name)
        state["groups"].pop(name, None)
        self._save(state)

    def _useradd(self, words: list[str]) -> tuple[int, str]:
        self._groupadd(words)
        self.add_account(words[-1], pw_gid=GROUP, pw_gecos="hippius.monitoring")
        return 0, ""

    def _groupadd(self, words: list[str]) -> tuple[int, str]:
        state = self._load()
        state["groups"].setdefault(words[-1], GROUP)
        self._save(state)
        return 0, ""

    def _userdel(self, words: list[str]) -> tuple[int, str]:
        self.remove_account(words[-1])
        return 0, ""

    def _account(self, name: str) -> Any:
        return SimpleNamespace(**self._load()["accounts"][name])

    def _group(self, name: str) -> Any:
        return SimpleNamespace(gr_gid=self._load()["groups"][name])


def work(options: dict[str, Any], check: bool) -> dict[str, Any]:
    """Run the module, and again when the release that it requires is staged."""
    try:
        return run_module(options, check)
    except release_store.ReleaseRequired as required:
        release = {
            key: value
            for key, value in options["release"].items()
            if key in ("name", "version", "archives", "pushed")
        }
        staging = {**required.values, "component": options["name"], "lock_owner": ""}
        staging["lock_timeout"] = 5
        release_staging.run({**staging, "release": release}, False)
        return run_module(options, check)


def run_module(options: dict[str, Any], check: bool) -> dict[str, Any]:
    """Do what the module does that the controller runs for these options."""
    call = component_calls.call_of(*described(options))
    module = MODULES[call.module]
    given = json.loads(json.dumps(call.options))
    validated = ArgumentSpecValidator(module.OPTIONS).validate(given)
    assert not validated.error_messages
    return module.apply(validated.validated_parameters, check)


def described(options: dict[str, Any]) -> tuple[dict[str, Any], list[spec.Instance]]:
    """Return the options as the controller completes them, and the instances of theirs."""
    args = {name: options[name] for name in OPTIONS if name in options}
    if isinstance(args.get("release"), dict):
        known = RELEASE.keys()
        args["release"] = {
            key: value for key, value in args["release"].items() if key in known
        }
    if args.get("scripts"):
        # The engine's default, where the module's option has another one.
        engine = {"on_change": "restart"}
        args["scripts"] = [{**engine, **script} for script in args["scripts"]]
    params = component_calls.validated(args)
    is_present = params["state"] == "present"
    return params, desired_instances.instances(params) if is_present else []


def release(directory: Path, version: str = "3.7.8") -> dict[str, Any]:
    """Return the option for a release whose archive lies in a directory."""
    path = directory / f"loki-{version}.tar.gz"
    if not path.exists():
        program = f"#!/bin/sh\necho {version}\n".encode()
        member = tarfile.TarInfo("loki")
        member.size, member.mode = len(program), 0o755
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.addfile(member, io.BytesIO(program))
        # The same archive each time, so that its digest is the same.
        path.write_bytes(gzip.compress(content.getvalue(), mtime=0))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "name": "loki",
        "version": version,
        "archives": {"amd64": {"urls": [], "sha256": digest}},
        "pushed": str(path),
    }


def _comparable(text: str) -> str:
    """Leave out the count in a generation's name, and the time at which a file was unpacked."""
    return re.sub(
        r"\b\d{19}\b", "TIME", re.sub(r"\b\d+-([0-9a-f]{12})\b", r"N-\1", text)
    )


def _described(path: Path) -> str:
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    status = path.stat()
    mode = f"{status.st_mode:o} {status.st_uid} {status.st_gid}"
    return mode if path.is_dir() else f"{mode} {path.read_bytes()!r}"
