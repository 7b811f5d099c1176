# SPDX-License-Identifier: GPL-3.0-or-later
"""Count small faults that unit tests notice: `python -m tests.mutants [--jobs N] [FILE...]`.

A mutant is the code with one small fault (`mutant_changes.py`). It is killed when a unit test
fails. Tests run that execute the changed line: first those that killed another mutant of the file,
then all quick ones, then at most SLOW_TESTS others, one row of each table before the second one,
and those of the file itself, by their file's name, before others.

The score of each file is recorded in tests/mutants.json, next to the reviewed list of mutants that
change nothing that anybody could notice, each with the reason. They do not count. Survivors are
printed. The command fails when a file has more survivors than the record says.

Mutants run as root with one guard or path changed, so they see every file system read-only but one
in memory. mutmut and cosmic-ray were considered: the first loses track of the tests that fork (a
fake host's runs are processes), the second starts pytest anew for each mutant.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import inspect
import json
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn

import pytest
from ansible.utils.collection_loader import _collection_finder as collection_finder

from tests.mutant_changes import Mutant, mutants

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests/mutants.json"
ENGINE, SYNC = "plugins/module_utils/component", "plugins/module_utils/grafana"
CONTROLLER = "plugins/plugin_utils"
# Files whose score is recorded, by the tests that run for them.
GRAFANA, CONTROL = "tests/unit/grafana", "tests/unit/controller"
FILES = {
    ("tests/unit/component",): [
        f"{ENGINE}/{name}.py"
        for name in (
            "transaction",
            "removal",
            "rollback",
            "rollout_plan",
            "manifest",
            "spec",
            "uninstall",
            "generation",
            "observe",
        )
    ],
    ("tests/unit/component/test_unit_sections.py",): [f"{CONTROLLER}/unit_sections.py"],
    ("tests/unit/component/test_spec.py",): [f"{CONTROLLER}/desired_instances.py"],
    (f"{CONTROL}/test_component_calls.py",): [f"{CONTROLLER}/component_calls.py"],
    # Their own tests are enough, and the rest would take most of the time.
    tuple(
        f"tests/unit/component/test_{name}.py"
        for name in ("fallback", "accounts", "observation")
    ): [f"{ENGINE}/{name}.py" for name in ("fallback", "accounts", "observation")],
    (f"{GRAFANA}/test_sync_plan.py", f"{GRAFANA}/test_unique_names.py"): [
        f"{SYNC}/sync/{name}.py"
        for name in ("sync_plan", "plan_checks", "ownership", "unique_names")
    ],
    (f"{GRAFANA}/test_reconcile.py", f"{GRAFANA}/test_server_faults.py"): [
        f"{SYNC}/sync/{name}.py" for name in ("reconcile", "apply")
    ],
    (f"{GRAFANA}/test_normalize.py",): [f"{SYNC}/normalize.py"],
    tuple(
        f"{CONTROL}/test_{name}.py"
        for name in ("preflight", "catalog", "inventory_check")
    ): [f"{CONTROLLER}/{name}.py" for name in ("preflight", "catalog")],
    (f"{CONTROL}/test_unchanged.py", f"{CONTROL}/test_observations.py"): [
        f"{CONTROLLER}/{name}.py" for name in ("unchanged", "observations")
    ],
}
KNOWN = [file for files in FILES.values() for file in files]
# All that execute a line of the engine would take a minute for each mutant.
QUICK_SECONDS, SLOW_TESTS = 0.05, 90
# A test that takes much longer than without a mutant has met an endless loop.
PATIENCE_FACTOR, PATIENCE_SECONDS = 8, 4
# Imported once, since each takes a good part of a second.
SLOW_IMPORTS = ("ansible.plugins.loader", "ansible.template", "requests")
PYTEST = ("-q", "--capture=no")
PASSED, NO_TESTS = 0, 5
# Where a measurement tells what became of each mutant; tests may print to the usual place.
REPORT = 3


@dataclass
class Test:
    """One test: what it executes of the measured files, and how long it takes."""

    seconds: float
    lines: dict[str, set[int]] = field(default_factory=dict)


Tests = dict[str, Test]


# In a process of its own: pytest


class Recorder:
    """A plugin of pytest that notes which lines each test executes, also in forked processes."""

    def __init__(self, files: dict[str, int]) -> None:
        self.files = files
        self.offsets: dict[str, int | None] = {}
        self.starts: dict[str, int] = {}
        size = 1
        for file, length in files.items():
            self.starts[file] = size
            size += length + 1
        # Shared with forked processes, which end without telling anything.
        self.executed = mmap.mmap(-1, size)
        self.tests: Tests = {}

    def pytest_sessionstart(self) -> None:
        threading.settrace(self.trace)
        sys.settrace(self.trace)

    def pytest_runtest_protocol(self) -> None:
        self.executed[:] = bytes(len(self.executed))
        # A test may have set another trace function.
        sys.settrace(self.trace)
        self.began = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        found = Test(time.monotonic() - self.began)
        for file, length in self.files.items():
            start = self.starts[file]
            marks = self.executed[start : start + length + 1]
            lines = {line for line, mark in enumerate(marks) if mark}
            if lines:
                found.lines[file] = lines
        self.tests[nodeid] = found

    def trace(self, frame: FrameType, _event: str, _value: object) -> Any:
        path = frame.f_code.co_filename
        if path not in self.offsets:
            ending = path.partition("/plugins/")[2]
            self.offsets[path] = self.starts.get("plugins/" + ending)
        if self.offsets[path] is None:
            return None
        return self.trace_lines

    def trace_lines(self, frame: FrameType, _event: str, _value: object) -> Any:
        start = self.offsets[frame.f_code.co_filename]
        assert start is not None
        self.executed[start + frame.f_lineno] = 1
        return self.trace_lines

    def save(self, path: Path) -> None:
        """Write what each test executes."""
        tests = {
            name: [test.seconds, {file: sorted(of) for file, of in test.lines.items()}]
            for name, test in self.tests.items()
        }
        path.write_text(json.dumps(tests), encoding="utf-8")


class Worker:
    """A plugin of pytest that runs mutants instead of the tests, each in a fork of this process.

    A mutant in a function replaces the code of that function. For any other one, pytest starts
    anew in the fork and imports everything again.
    """

    def __init__(
        self, checkout: Path, share: list[tuple[str, Mutant]], tests: Tests
    ) -> None:
        self.checkout, self.share, self.tests = checkout, share, tests
        self.deadline = mmap.mmap(-1, 8)
        self.note = checkout.parent / f"{checkout.name}.killer"
        self.killers: dict[str, list[str]] = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run the share of mutants of this process, and tell what became of each."""
        self.require_survival(session)
        for file, mutant in self.share:
            killers = self.killers.setdefault(file, [])
            limits = selected(file, mutant, self.tests, killers)
            killer = self.killer(session, file, mutant, limits) if limits else ""
            if killer in killers:
                killers.remove(killer)
            if killer:
                killers.insert(0, killer)
            tell(file, mutant, killer)
        # Nor has any mutant left something behind that makes tests fail.
        self.require_survival(session)
        return True

    def require_survival(self, session: Any) -> None:
        """Fail unless the code without a fault survives in both ways."""
        for file in {file for file, _mutant in self.share}:
            source = (self.checkout / file).read_text(encoding="utf-8")
            touching = [name for name, test in self.tests.items() if file in test.lines]
            limits = dict.fromkeys(touching[:20], 60.0)
            for is_outer in (True, False):
                same = Mutant(0, range(0), is_outer, "", "", source)
                killer = self.killer(session, file, same, limits)
                if killer:
                    raise RuntimeError(f"{file}: {killer} fails without a mutant")

    def killer(
        self, session: Any, file: str, mutant: Mutant, limits: dict[str, float]
    ) -> str:
        """Return which test failed, or an empty string if none did."""
        path = self.checkout / file
        original, times = path.read_bytes(), path.stat().st_mtime
        path.write_text(mutant.source, encoding="utf-8")
        self.note.write_text("import", encoding="utf-8")
        set_deadline(self.deadline, PATIENCE_SECONDS + 20)
        child = os.fork()
        if not child:
            self.run_in_fork(session, file, original.decode(), mutant, limits)
        try:
            killed = self.wait(child)
        finally:
            path.write_bytes(original)
            # So that Python's cache of the unchanged file stays valid.
            os.utime(path, (times, times))
            # Python gives up on the deep directories that a test makes.
            subprocess.run(["rm", "-rf", f"{self.checkout}.tmp.{child}"], check=False)
        return self.note.read_text(encoding="utf-8") if killed else ""

    def wait(self, child: int) -> bool:
        """Return whether a test failed or took too long."""
        ended = status = 0
        while not ended:
            ended, status = os.waitpid(child, os.WNOHANG)
            (deadline,) = struct.unpack("d", self.deadline[:8])
            if not ended and time.monotonic() > deadline:
                break
            time.sleep(0.002)
        # Also what the tests started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended:
            os.waitpid(child, 0)
            return True
        if os.waitstatus_to_exitcode(status) == NO_TESTS:
            raise RuntimeError(
                f"{self.checkout}: pytest finds none of the chosen tests"
            )
        return status != 0

    def run_in_fork(
        self,
        session: Any,
        file: str,
        original: str,
        mutant: Mutant,
        limits: dict[str, float],
    ) -> NoReturn:
        """End this process with 0 if all tests pass."""
        code = 1
        try:
            os.setsid()
            selection = Selection(limits, self.deadline, self.note)
            base = Path(f"{self.checkout}.tmp.{os.getpid()}")
            if not mutant.is_outer and replace_code(file, original, mutant.source):
                session.config._tmp_path_factory._given_basetemp = base
                code = selection.run(session)
            else:
                forget_imports()
                paths = sorted({name.partition("::")[0] for name in limits})
                arguments = [*PYTEST, f"--basetemp={base}", "-x", *paths]
                code = int(pytest.main(arguments, plugins=[selection]))
        finally:
            os._exit(code)


class Selection:
    """A plugin of pytest that runs chosen tests in a given order, and bounds the time of each."""

    def __init__(
        self, limits: dict[str, float], deadline: mmap.mmap, note: Path
    ) -> None:
        self.limits, self.deadline, self.note = limits, deadline, note
        self.failed = False

    def run(self, session: Any) -> int:
        """Run tests that this process has collected, and return 0 if all pass."""
        items = session.items[:]
        self.pytest_collection_modifyitems(items)
        session.config.pluginmanager.register(self)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return 1
        return PASSED if items else NO_TESTS

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        order = {name: position for position, name in enumerate(self.limits)}
        items[:] = [item for item in items if item.nodeid in order]
        items.sort(key=lambda item: order[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.note.write_text(nodeid, encoding="utf-8")
        set_deadline(self.deadline, self.limits[nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or report.failed


def set_deadline(deadline: mmap.mmap, seconds: float) -> None:
    """Tell the process that waits for this one until when it may run."""
    deadline[:8] = struct.pack("d", time.monotonic() + seconds)


def forget_imports() -> None:
    """Let the next import read the collection and its tests anew."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("tests", "ansible_collections"):
            del sys.modules[name]
    collection_finder._AnsibleCollectionFinder._remove()


def replace_code(file: str, original: str, mutated: str) -> bool:
    """Replace the code of every function of a file; return whether that was possible."""
    before = list(function_codes(compile(original, file, "exec")))
    after = list(function_codes(compile(mutated, file, "exec")))
    if [code.co_qualname for code in before] != [code.co_qualname for code in after]:
        return False
    places = {
        (code.co_qualname, code.co_firstlineno): new
        for code, new in zip(before, after, strict=True)
    }
    replaced = 0
    for function in gc.get_objects():
        if type(function) is FunctionType and function.__code__.co_filename.endswith(
            "/" + file
        ):
            code = function.__code__
            new = places.get((code.co_qualname, code.co_firstlineno))
            if new is not None:
                if len(new.co_freevars) != len(code.co_freevars):
                    return False
                function.__code__ = new
                replaced += 1
    return replaced > 0


def function_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of each function and method, but not of those inside of another function."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            is_function = constant.co_flags & inspect.CO_NEWLOCALS
            if is_function and constant.co_flags & inspect.CO_OPTIMIZED:
                yield constant
            else:
                yield from function_codes(constant)


def start(checkout: Path, arguments: list[str], plugin: object) -> int:
    """Start pytest in a process of its own, and return the process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 0)
        os.chdir(checkout)
        # The tests are those of the copy.
        forget_imports()
        sys.path[:] = [str(checkout)] + [path for path in sys.path if path != str(ROOT)]
        code = int(pytest.main([*PYTEST, *arguments], plugins=[plugin]))
        if isinstance(plugin, Recorder) and code == PASSED:
            sys.settrace(None)
            plugin.save(checkout.parent / "tests.json")
    finally:
        os._exit(code)


# In a name space of its own: the measurement


def measure(files: list[str], options: argparse.Namespace) -> None:
    """Tell what becomes of each mutant; one that is known to be equivalent does not run."""
    scratch: Path = options.inside
    isolate(scratch)
    jobs = options.jobs
    copies = [scratch / str(number) for number in range(jobs)]
    for copy in copies:
        copy_checkout(copy)
    os.chdir(copies[0])
    for name in SLOW_IMPORTS:
        importlib.import_module(name)
    for folders, of_folders in FILES.items():
        wanted = [file for file in of_folders if file in files]
        if wanted:
            paths = options.tests or list(folders)
            tests = record(copies[0], paths, wanted)
            chosen = list(unknown(wanted, options.sample))
            children = [
                start(copy, paths, Worker(copy, chosen[number::jobs], tests))
                for number, copy in enumerate(copies)
            ]
            failed = [os.waitpid(child, 0)[1] for child in children]
            if any(failed):
                raise SystemExit(f"{' '.join(folders)}: the measurement failed")


def record(copy: Path, paths: list[str], files: list[str]) -> Tests:
    """Run tests and return what each one executes."""
    lengths = {
        file: len((copy / file).read_text("utf-8").splitlines()) for file in files
    }
    # Mutants use the bytecode of the files that are unchanged, and leave none.
    sys.dont_write_bytecode = False
    base = f"--basetemp={copy}.tmp"
    _child, status = os.waitpid(start(copy, [base, *paths], Recorder(lengths)), 0)
    sys.dont_write_bytecode = True
    if status:
        raise SystemExit(f"{' '.join(paths)}: fails without a mutant; mend it first")
    told = json.loads((copy.parent / "tests.json").read_text(encoding="utf-8"))
    return {
        name: Test(seconds, {file: set(lines) for file, lines in executed.items()})
        for name, (seconds, executed) in told.items()
    }


def unknown(files: list[str], sample: int | None) -> Iterator[tuple[str, Mutant]]:
    """Yield the mutants of files that have to be run."""
    equivalent = read_record()["equivalent"]
    for file in files:
        known = {(one["text"], one["change"]) for one in equivalent.get(file, ())}
        chosen = mutants((ROOT / file).read_text(encoding="utf-8"))
        if sample and sample < len(chosen):
            # The same ones each time, so that scores can be compared.
            chosen = random.Random(file).sample(chosen, sample)
        for mutant in chosen:
            if (mutant.text, mutant.change) in known:
                tell(file, mutant, None)
            else:
                yield file, mutant


def tell(file: str, mutant: Mutant, killer: str | None) -> None:
    """Print what became of a mutant."""
    told = {
        "file": file,
        "line": mutant.line,
        "text": mutant.text,
        "change": mutant.change,
        "killer": killer,
    }
    # One write, so that lines of several processes do not mix.
    os.write(REPORT, (json.dumps(told) + "\n").encode())


def selected(
    file: str, mutant: Mutant, tests: Tests, killers: list[str]
) -> dict[str, float]:
    """Return the tests that may notice a mutant, in order, with the seconds that each may take."""
    own = {name for name in tests if is_own(name, file)}
    # A test that compares a constant executes no line of the file.
    touching = {
        name: test
        for name, test in tests.items()
        if file in test.lines or (mutant.is_outer and name in own)
    }
    executing = [
        name
        for name, test in touching.items()
        if mutant.is_outer or not test.lines[file].isdisjoint(mutant.lines)
    ]
    return {
        name: PATIENCE_FACTOR * touching[name].seconds + PATIENCE_SECONDS
        for name in ordered(executing, touching, killers, own)
    }


def is_own(name: str, file: str) -> bool:
    """Return whether a test is in test_transaction.py or test_transaction_*.py, for example."""
    stem = Path(name.partition("::")[0]).stem
    return f"{stem}_".startswith(f"test_{Path(file).stem}_")


def ordered(
    names: list[str], tests: Tests, killers: list[str], own: set[str]
) -> list[str]:
    """Return the tests to run: killers, quick ones, and some rows of every slow table."""
    names = sorted(names, key=lambda name: tests[name].seconds)
    first = [name for name in killers if name in names]
    quick = [name for name in names if tests[name].seconds < QUICK_SECONDS]
    row: dict[str, int] = {}
    count: Counter[str] = Counter()
    for name in names:
        function = name.partition("[")[0]
        row[name] = count[function]
        count[function] += 1
    slow = [name for name in names if tests[name].seconds >= QUICK_SECONDS]
    slow.sort(key=lambda name: (row[name], name not in own))
    return list(dict.fromkeys([*first, *quick, *slow[:SLOW_TESTS]]))


def copy_checkout(target: Path) -> None:
    """Copy what git knows, so that a mutant never touches the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_symlink() or source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def isolate(scratch: Path) -> None:
    """Make every file system read-only for this process, and mount a scratch one in memory."""
    for mount in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        place = mount.split()[1]
        if not place.startswith(("/proc", "/sys", "/dev")):
            subprocess.run(
                ["mount", "-o", "remount,bind,ro", place], check=place == "/"
            )
    subprocess.run(["mount", "-t", "tmpfs", "mutants", str(scratch)], check=True)
    (scratch / "home").mkdir()
    os.environ.update(HOME=str(scratch / "home"), TMPDIR=str(scratch), CI="true")
    tempfile.tempdir = None


# Outside: the record


def read_record() -> dict[str, Any]:
    """Return the recorded scores by file, and the reviewed equivalent mutants by file."""
    if not RECORD.exists():
        return {"scores": {}, "equivalent": {}}
    return dict(json.loads(RECORD.read_text(encoding="utf-8")))


def outcomes(
    files: list[str], options: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Return what became of each mutant, by file."""
    found: dict[str, list[dict[str, Any]]] = {file: [] for file in files}
    isolation = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        own = [sys.executable, "-m", "tests.mutants", "--jobs", str(options.jobs)]
        own += ["--inside", scratch, *files]
        own += ["--sample", str(options.sample)] if options.sample else []
        own += ["--tests", *options.tests] if options.tests else []
        reading, writing = os.pipe()
        redirected = ["sh", "-c", f'exec {REPORT}>&{writing} "$@"', "sh"]
        process = subprocess.Popen(
            [*redirected, *isolation, *own],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            pass_fds=[writing],
            # Sets have the same order for every mutant.
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        os.close(writing)
        with open(reading, encoding="utf-8") as lines:
            for line in lines:
                told = json.loads(line)
                found[told["file"]].append(told)
                if told["killer"] == "":
                    print(
                        f"{told['file']}:{told['line']}: {told['change']}", flush=True
                    )
        if process.wait():
            raise SystemExit("The measurement failed; it needs root and unshare.")
    return found


def score(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the counts of one file."""
    equivalent = sum(1 for told in found if told["killer"] is None)
    killed = sum(1 for told in found if told["killer"])
    return {
        "commit": commit(),
        "mutants": len(found),
        "equivalent": equivalent,
        "killed": killed,
        "percent": round(100 * killed / max(len(found) - equivalent, 1), 1),
    }


def commit() -> str:
    """Return the commit that is measured, with a plus if files differ from it."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    described = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return described.stdout.strip()


def main(arguments: list[str]) -> int:
    """Measure and record; fail when a share of killed mutants fell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--sample", type=int, help="mutants of each file; default: all of them"
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="PATH", help="run only these, and record nothing"
    )
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", default=[], metavar="FILE")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.files) - set(KNOWN))
    if unknown:
        parser.error(f"{unknown[0]} is not one of {', '.join(KNOWN)}")
    files = options.files or KNOWN
    if options.inside:
        measure(files, options)
        return 0
    record = read_record()
    fallen = False
    for file, found in outcomes(files, options).items():
        now, before = score(found), record["scores"].get(file)
        print(f"{file}: {now['killed']} of {now['mutants']} killed", end="")
        print(f", {now['equivalent']} equivalent: {now['percent']} %")
        # Scores of samples are compared with those of the same size only.
        is_comparable = before and before.get("sample") == options.sample
        if is_comparable and now["percent"] < before.get("percent", 0):
            print(f"{file}: {before['percent']} % at {before['commit']}")
            fallen = True
        for one in record["equivalent"].get(file, ()):
            # A sample may leave it out.
            if not options.sample and not any(
                all(told[key] == one[key] for key in ("text", "change"))
                for told in found
            ):
                print(f"{file}: no longer there: {one['change']} in: {one['text']}")
        if options.sample and before and before.get("mutants", 0) > now["mutants"]:
            # A score of more mutants tells more.
            continue
        kept = {key: before[key] for key in ("before",) if before and key in before}
        sample = {"sample": options.sample} if options.sample else {}
        record["scores"][file] = {**now, **sample, **kept}
    if options.tests:
        return 0
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return int(fallen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
