# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the script that adjusts Promtail's positions before a start."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.roles.disk_order import DiskOrder

SCRIPT = Path(__file__).parents[3] / "roles/promtail/files/promtail_resume.py"
specification = importlib.util.spec_from_file_location("promtail_resume", SCRIPT)
promtail_resume = importlib.util.module_from_spec(specification)
specification.loader.exec_module(promtail_resume)

API, REDIS = "a1" * 32, "b2" * 32
SAVED_AT = 1_790_000_000
UNSENT = 1000


def line(number: int, at: float = SAVED_AT - 3600) -> bytes:
    """Return a line in Docker's format, of which Loki receives eleven bytes."""
    time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    return (
        json.dumps(
            {"log": f"line {number:06}\n", "stream": "stdout", "time": time},
            separators=(",", ":"),
        ).encode()
        + b"\n"
    )


def lines(first: int, last: int, at: float = SAVED_AT - 3600) -> bytes:
    return b"".join(line(number, at) for number in range(first, last + 1))


def numbers(path: Path) -> list[int]:
    """Return the numbers of the lines in a file, all of them whole."""
    return [
        int(json.loads(text)["log"].removeprefix("line "))
        for text in path.read_text().splitlines()
    ]


LENGTH = len(line(1))


class Host:
    """Docker's logs and Promtail's data directory."""

    def __init__(self, root: Path) -> None:
        self.containers, self.data = root / "containers", root / "promtail"
        self.data.mkdir()
        self.positions = self.data / "positions.yaml"
        self.targets = root / "docker.json"
        self.targets.write_text("[]")

    def log(self, container: str, content: bytes = b"", suffix: str = "") -> Path:
        path = self.containers / container / f"{container}-json.log{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
        return path

    def write_targets(self, *paths: Path) -> None:
        """Write a target for each log."""
        self.targets.write_text(
            json.dumps(
                [
                    {
                        "targets": ["localhost"],
                        "labels": {"__path__": str(path), "__container_name": "api"},
                    }
                    for path in paths
                ]
            )
        )

    def save_positions(
        self, offsets: dict[Path, int | str], at: float = SAVED_AT
    ) -> None:
        """Save positions in both of Promtail's formats."""
        text = "positions:\n"
        for path, offset in offsets.items():
            text += (
                f'  ? {path}\n  : "{offset}"\n'
                if len(str(path)) > 128
                else f'  {path}: "{offset}"\n'
            )
        self.positions.write_text(text)
        os.utime(self.positions, (at, at))

    def start(self) -> dict[str, int]:
        """Return the positions that Promtail starts with."""
        words = [
            "--data",
            str(self.data),
            "--targets",
            str(self.targets),
            "--unsent",
            str(UNSENT),
        ]
        assert promtail_resume.main(words) == 0
        matches = promtail_resume.POSITION.finditer(
            self.positions.read_text(errors="replace")
        )
        return {
            match["long"] or match["short"]: int(match["offset"]) for match in matches
        }

    def stop(self, result: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SERVICE_RESULT", result)
        assert (
            promtail_resume.main(
                ["--data", str(self.data), "--targets", str(self.targets), "--stopped"]
            )
            == 0
        )

    def remainders(self) -> dict[str, list[int]]:
        """Return the numbers of the lines in remainders with a target, by container name."""
        written = json.loads((self.data / "remainders" / "targets.json").read_text())
        kept = {
            target["labels"]["__path__"]: target["labels"]["__container_name"]
            for target in written
        }
        assert sorted(os.listdir(self.data / "remainders")) == sorted(
            ["targets.json", *map(os.path.basename, kept)]
        )
        return {name: numbers(Path(path)) for path, name in kept.items()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_it_steps_back_by_one_batch_of_lines_after_a_crash(host: Host) -> None:
    log = host.log(API, lines(1, 500))
    host.save_positions({log: 400 * LENGTH})
    assert host.start() == {str(log): (400 - 91 - 32) * LENGTH}, (
        "91 lines of 11 bytes are the fewest that hold 1000"
    )


def test_it_steps_back_to_the_start_of_a_short_file(host: Host) -> None:
    log = host.log(API, lines(1, 20))
    host.save_positions({log: 20 * LENGTH})
    assert host.start() == {str(log): 0}


def test_it_counts_the_content_of_lines_without_dockers_format(host: Host) -> None:
    empty = b'{"log":"\\n","stream":"stdout","time":"2026-09-21T13:13:20.000000000Z"}\n'
    log = host.log(API, empty * 50_000)
    host.save_positions({log: len(empty) * 50_000})
    assert host.start() == {str(log): len(empty) * (49_000 - 32)}


def test_it_trusts_a_clean_stop(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    log = host.log(API, lines(1, 500))
    host.save_positions({log: 400 * LENGTH})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 400 * LENGTH}


@pytest.mark.parametrize(
    "result", ["signal", "timeout", "exit-code", "oom-kill", "core-dump", "watchdog"]
)
def test_it_trusts_no_other_stop(
    host: Host, monkeypatch: pytest.MonkeyPatch, result: str
) -> None:
    log = host.log(API, lines(1, 500))
    host.save_positions({log: 400 * LENGTH})
    host.stop(result, monkeypatch)
    assert host.start() == {str(log): 277 * LENGTH}


def test_it_does_not_trust_an_old_clean_stop(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = host.log(API, lines(1, 500))
    host.save_positions({log: 400 * LENGTH})
    host.stop("success", monkeypatch)
    host.save_positions({log: 500 * LENGTH})
    assert host.start() == {str(log): 377 * LENGTH}


def test_it_steps_back_once_when_promtail_cannot_start(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = host.log(API, lines(1, 500))
    host.save_positions({log: 400 * LENGTH})
    for _attempt in range(5):
        assert host.start() == {str(log): 277 * LENGTH}
        host.stop("exit-code", monkeypatch)


@pytest.mark.parametrize("offset", [1, LENGTH - 1, LENGTH + 1])
def test_it_never_starts_inside_a_line(
    host: Host, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    log = host.log(API, lines(1, 10))
    host.save_positions({log: offset})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): offset // LENGTH * LENGTH}


def test_it_repairs_a_negative_position(host: Host) -> None:
    log = host.log(API, lines(1, 10))
    host.save_positions({log: -4096})
    assert host.start() == {str(log): 0}


def test_it_starts_a_truncated_file_at_its_beginning(host: Host) -> None:
    log = host.log(API, lines(1, 3))
    host.save_positions({log: 400 * LENGTH})
    assert host.start() == {str(log): 0}


def test_it_steps_back_in_files_that_docker_did_not_write(
    host: Host, tmp_path: Path
) -> None:
    log = tmp_path / "nginx access.log"
    log.write_bytes(b"x" * 99 + b"\n" + (b"GET /\n" * 1000))
    host.save_positions({log: 100 + 6000})
    assert host.start() == {str(log): 100 + 6000 - (167 + 32) * 6}


def test_it_leaves_unknown_entries_unchanged(host: Host) -> None:
    gone = host.containers / API / f"{API}-json.log"
    host.save_positions({gone: 77})
    text = (
        host.positions.read_text() + '  cursor-journal: s=ab;i=1\n  journal-x: "s=ab"\n'
    )
    host.positions.write_text(text)
    host.start()
    assert host.positions.read_text() == text


@pytest.mark.parametrize(
    "content", [b"", b"positions: {}\n", b"\x00\xff garbage", b"positions:\n  a"]
)
def test_it_leaves_a_damaged_file_to_promtail(host: Host, content: bytes) -> None:
    host.positions.write_bytes(content)
    assert host.start() == {}
    assert host.positions.read_bytes() == content


def test_it_adjusts_nothing_before_the_first_start(host: Host) -> None:
    log = host.log(API, lines(1, 3, SAVED_AT))
    host.log(API, lines(1, 3), ".1")
    host.write_targets(log)
    assert (
        promtail_resume.main(["--data", str(host.data), "--targets", str(host.targets)])
        == 0
    )
    assert [str(path.relative_to(host.data)) for path in host.data.rglob("*")] == [
        "remainders"
    ]


def rotated(host: Host, suffixes: tuple[str, ...] = (".1",)) -> Path:
    """Return a log that was rotated to each suffix after Promtail had read 100 of 200 lines."""
    log = host.log(API, lines(901, 1000, SAVED_AT + 500))
    host.log(API, lines(1, 200), suffixes[-1])
    for count, suffix in enumerate(reversed(suffixes[:-1])):
        host.log(
            API,
            lines(201 + 100 * count, 300 + 100 * count, SAVED_AT + 100 + count),
            suffix,
        )
    host.write_targets(log)
    return log


def test_it_keeps_the_unread_remainder_of_a_rotated_log(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rotated(host)
    host.save_positions({log: 100 * LENGTH})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 0}
    assert host.remainders() == {"api": list(range(101, 201))}


def test_it_steps_back_in_the_rotated_file_after_a_crash(host: Host) -> None:
    log = rotated(host)
    host.save_positions({log: 150 * LENGTH})
    assert host.start() == {str(log): 0}
    assert host.remainders() == {"api": list(range(28, 201))}


@pytest.mark.parametrize(
    "suffixes",
    [(".1", ".2", ".3"), (".1", ".2.gz", ".3.gz"), (".1.gz", ".2.gz", ".3.gz")],
)
def test_it_keeps_all_logs_that_were_rotated_since(
    host: Host, monkeypatch: pytest.MonkeyPatch, suffixes: tuple
) -> None:
    log = rotated(host, suffixes)
    host.log(API, lines(1, 5), ".4")
    host.save_positions({log: 100 * LENGTH})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 0}
    assert host.remainders() == {"api": list(range(101, 401))}


def test_it_recognizes_the_file_that_was_read_by_the_ends_of_its_lines(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = host.log(API, lines(201, 400, SAVED_AT - 100))
    for count, suffix in enumerate((".2", ".1")):
        # Lines of other lengths, as real ones have.
        content = lines(100 * count + 1, 100 * count + 100).replace(
            b"stdout", b"out" * (3 - count)
        )
        host.log(API, content, suffix)
    host.write_targets(log)
    host.save_positions({log: 50 * (LENGTH + 3)})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 0}
    assert host.remainders() == {"api": list(range(51, 201))}


def test_it_keeps_the_files_that_docker_still_has_when_the_read_one_is_gone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = host.log(API, lines(901, 1000, SAVED_AT + 500))
    host.log(API, lines(801, 900, SAVED_AT + 400), ".1")
    host.write_targets(log)
    host.save_positions({log: 300 * LENGTH})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 0}
    assert host.remainders() == {"api": list(range(801, 901))}


def test_it_keeps_a_rotated_log_of_a_new_container(host: Host) -> None:
    log = host.log(API, lines(101, 120, SAVED_AT + 60))
    host.log(API, lines(1, 100, SAVED_AT + 30), ".1")
    host.write_targets(log)
    host.save_positions({})
    assert host.start() == {}
    assert host.remainders() == {"api": list(range(1, 101))}


def test_it_does_not_keep_a_log_that_was_rotated_while_promtail_ran(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = host.log(API, lines(101, 200, SAVED_AT - 60))
    host.log(API, lines(1, 100), ".1")
    host.write_targets(log)
    host.save_positions({log: 50 * LENGTH})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 50 * LENGTH}
    assert host.remainders() == {}


@pytest.mark.parametrize(
    ("age", "is_noticed"), [(0, False), (1, False), (2, True), (3, True)]
)
def test_it_keeps_a_log_that_promtail_may_not_have_seen_rotated(
    host: Host, monkeypatch: pytest.MonkeyPatch, age: int, is_noticed: bool
) -> None:
    log = host.log(API, lines(101, 200, SAVED_AT - age))
    host.log(API, lines(1, 100), ".1")
    host.write_targets(log)
    host.save_positions({log: 50 * LENGTH})
    host.stop("success", monkeypatch)
    assert host.start() == {str(log): 50 * LENGTH if is_noticed else 0}
    assert host.remainders() == ({} if is_noticed else {"api": list(range(51, 101))})


def test_each_step_is_on_disk_before_the_next(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rotated(host)
    host.save_positions({log: 100 * LENGTH})
    order = DiskOrder(monkeypatch)
    host.stop("success", monkeypatch)
    host.start()
    assert order.faults() == []
    # The positions skip the remainder, which Promtail must know by then.
    names = [os.path.basename(path) for path in order.renamed()]
    assert names == [
        "settled",
        f"{API}-{SAVED_AT}.log",
        "targets.json",
        "positions.yaml",
        "settled",
    ]


def test_it_keeps_the_same_lines_after_a_kill_before_the_positions_were_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rotated(host)
    host.save_positions({log: 100 * LENGTH})
    host.stop("success", monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(
            promtail_resume,
            "replace",
            lambda path, content: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            host.start()
    assert host.start() == {str(log): 0}
    assert host.remainders() == {"api": list(range(101, 201))}


def test_it_removes_a_remainder_that_loki_has(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = rotated(host)
    host.save_positions({log: 100 * LENGTH})
    host.stop("success", monkeypatch)
    host.start()
    (remainder,) = (host.data / "remainders").glob("*.log")
    half, whole = (
        {log: 100 * LENGTH, remainder: 50 * LENGTH},
        {log: 100 * LENGTH, remainder: 100 * LENGTH},
    )
    host.save_positions(half, SAVED_AT + 1000)
    host.stop("success", monkeypatch)
    assert host.start()[str(remainder)] == 50 * LENGTH
    host.save_positions(whole, SAVED_AT + 1000)
    host.stop("signal", monkeypatch)
    assert host.start()[str(remainder)] == 0, (
        "lines that were read may not have reached Loki"
    )
    host.save_positions(whole, SAVED_AT + 1000)
    host.stop("success", monkeypatch)
    host.start()
    assert host.remainders() == {}


def test_it_continues_when_a_log_cannot_be_read(
    host: Host, capsys: pytest.CaptureFixture
) -> None:
    log, readable = rotated(host), host.log(REDIS, lines(1, 500))
    (host.containers / API / f"{API}-json.log.1").unlink()
    (host.containers / API / f"{API}-json.log.1.gz").write_bytes(b"no archive")
    host.save_positions({log: 100 * LENGTH, readable: 400 * LENGTH})
    assert host.start() == {str(log): 100 * LENGTH, str(readable): 277 * LENGTH}
    assert "json.log: " in capsys.readouterr().err
