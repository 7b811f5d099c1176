# SPDX-License-Identifier: GPL-3.0-or-later
"""Adjust Promtail's read positions before it starts.

Promtail saves its positions. Lines that it has read but not delivered to Loki, at most one batch,
are lost with the process. It knows files by their path, so the remainder of a log that Docker
rotates while Promtail is down is lost too. Before a start this script steps back by one batch in
each file, unless the stop was clean or nothing was read since, and keeps the unread remainder of
rotated logs in files of its own, which Promtail reads once. A line may be duplicated, but is never
lost.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

    Labels = dict[str, str]

# Promtail's format: YAML keys of more than 128 characters have a line of their own.
POSITION = re.compile(
    r'^  (?:\? (?P<long>\S.*)\n  : |(?P<short>\S.*): )"(?P<offset>-?\d+)"$',
    re.MULTILINE,
)
CONTAINER_LOG = re.compile(r".*/([0-9a-f]{64})-json\.log\Z")
DOCKER_TIME = re.compile(rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)[^"]*Z"\}\s*\Z')
# Promtail saves positions every second and looks for rotated files four times a second. It may not
# have noticed a file that is hardly older than the saved positions.
SLACK_SECONDS = 2
# Besides the batch, each step between a file and Loki holds a line. The role's own pipeline has
# about 15 steps.
LINES_IN_FLIGHT = 32
BLOCK = 64 * 1024


class LineStart(NamedTuple):
    """Start of the first line that Loki may lack; ``is_complete`` unless earlier lines may too."""

    offset: int
    is_complete: bool


def main(arguments: list[str] | None = None) -> int:
    """Adjust the positions before a start, or record after a clean stop that they are exact."""
    options = parse_options(arguments)
    positions = os.path.join(options.data, "positions.yaml")
    saved = read(positions)
    # Promtail watches this directory.
    os.makedirs(remainders_directory(options), exist_ok=True)
    if saved is None:
        return 0
    if not options.stopped:
        adjusted = adjust_positions(options, saved, os.stat(positions).st_mtime)
        if adjusted != saved:
            replace(positions, adjusted)
        saved = adjusted
    elif os.environ.get("SERVICE_RESULT") != "success":
        return 0
    replace(settled_file(options), digest(saved))
    return 0


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description="Adjust Promtail's positions before it starts."
    )
    parser.add_argument(
        "--data",
        required=True,
        help="directory of positions.yaml and of the remainders",
    )
    parser.add_argument(
        "--targets", required=True, help="targets file with the containers of the logs"
    )
    parser.add_argument(
        "--unsent",
        type=int,
        default=1024 * 1024,
        help="bytes of log lines in one batch",
    )
    parser.add_argument(
        "--stopped", action="store_true", help="called after a stop, not before a start"
    )
    return parser.parse_args(arguments)


def remainders_directory(options: argparse.Namespace) -> str:
    """Return the directory of the remainders of rotated logs."""
    return os.path.join(options.data, "remainders")


def settled_file(options: argparse.Namespace) -> str:
    """Return the file with the digest of positions that need no step back."""
    return os.path.join(options.data, "settled")


def adjust_positions(options: argparse.Namespace, saved: str, saved_at: float) -> str:
    """Return the positions to start with, from those that Promtail saved last."""
    is_settled = read(settled_file(options)) == digest(saved)
    unsent = 0 if is_settled else options.unsent
    remainders = Remainders(remainders_directory(options), options.targets)
    unsaved_logs = set(remainders.labels)

    def adjust(match: re.Match[str]) -> str:
        path = match["long"] or match["short"]
        unsaved_logs.discard(path)
        offset = adjust_position(
            path, int(match["offset"]), unsent, saved_at, remainders
        )
        before_offset = match[0][: match.start("offset") - match.start()]
        return f'{before_offset}{offset}"'

    adjusted = POSITION.sub(adjust, saved)
    for path in sorted(unsaved_logs):
        adjust_position(path, 0, 0, saved_at, remainders)
    remainders.write_targets()
    return adjusted


def adjust_position(
    path: str, offset: int, unsent: int, saved_at: float, remainders: Remainders
) -> int:
    """Return the offset to resume a file at; keep the unread remainder of rotated files."""
    try:
        if CONTAINER_LOG.match(path):
            *rotated, _newest = unread_files(path, offset, saved_at)
            if rotated:
                remainders.keep(
                    path, rotated, step_back(rotated[0], offset, unsent), saved_at
                )
                return 0
        elif remainders.is_delivered(path, offset, unsent):
            os.unlink(path)
        return step_back(path, offset, unsent)
    except FileNotFoundError:
        return offset
    except (OSError, EOFError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return offset


def unread_files(path: str, offset: int, saved_at: float) -> list[str]:
    """Return the unread files of a container's log, from oldest to newest.

    The oldest is the one that the position belongs to, the newest is ``path``.
    """
    files = log_files(path)
    noticed = [
        name for name in files if first_line_time(name) <= saved_at - SLACK_SECONDS
    ]
    # While Loki is down Promtail stops reading, and holds a file open that may have been rotated
    # more than once.
    for name in noticed:
        if ends_line(name, offset):
            oldest = name
            break
    else:
        oldest = noticed[0] if noticed else files[-1]
    return files[files.index(oldest) :: -1]


def log_files(path: str) -> list[str]:
    """Return a log and its rotated files, from newest to oldest."""
    files = [path]
    while True:
        rotated = f"{path}.{len(files)}"
        if os.path.exists(rotated):
            files.append(rotated)
        elif os.path.exists(rotated + ".gz"):
            files.append(rotated + ".gz")
        else:
            return files


def ends_line(path: str, offset: int) -> bool:
    """Return whether ``offset`` ends a line of a file: Promtail reads whole lines only."""
    with open_log(path) as stream:
        stream.seek(max(0, offset - 1))
        return offset == 0 or stream.read(1) == b"\n"


def first_line_time(path: str) -> float:
    """Return when Docker wrote the first line of a log; infinity if there is none yet."""
    with open_log(path) as stream:
        match = DOCKER_TIME.search(stream.readline(1024 * 1024))
    if match is None:
        return float("inf")
    time = datetime.fromisoformat(match[1].decode())
    return time.replace(tzinfo=timezone.utc).timestamp()


def step_back(path: str, offset: int, unsent: int) -> int:
    """Return the start of the first line that Loki may lack, if it lacks ``unsent`` bytes."""
    window = 2 * unsent + BLOCK
    with open_log(path) as stream:
        while offset > 0:
            start = max(0, offset - window)
            stream.seek(start)
            data = stream.read(offset - start)
            if len(data) < offset - start:
                return 0  # The file is shorter than the position: it was replaced.
            line = first_unsent_line(data, unsent)
            if start == 0 or line.is_complete:
                return start + line.offset
            window *= 4
    return 0


def first_unsent_line(data: bytes, unsent: int) -> LineStart:
    """Return the first line in ``data`` that Loki may lack."""
    first = data.find(b"\n") + 1
    end = data.rfind(b"\n") + 1
    lines = LINES_IN_FLIGHT if unsent else 0
    while (unsent > 0 or lines > 0) and end > first:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        if unsent > 0:
            unsent -= content_size(data[begin:end])
        else:
            lines -= 1
        end = begin
    # Only at the start of the file are the bytes before the first line break known to be a whole
    # line.
    if unsent > 0 or lines > 0 or not first:
        return LineStart(0, is_complete=False)
    return LineStart(end, is_complete=True)


def content_size(line: bytes) -> int:
    """Return the bytes of a line that Loki receives, without Docker's format around them."""
    try:
        return len(json.loads(line)["log"].rstrip("\n").encode("utf-8", "replace")) or 1
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return len(line)


class Remainders:
    """The unread remainders of rotated logs, with the labels of their containers."""

    def __init__(self, directory: str, targets: str) -> None:
        self.directory = directory
        self.targets_file = os.path.join(directory, "targets.json")
        self.labels = read_labels(targets)
        self.kept = read_labels(self.targets_file)

    def keep(self, path: str, files: list[str], offset: int, saved_at: float) -> None:
        """Concatenate files from ``offset`` of the first one; a repetition has the same result."""
        container = CONTAINER_LOG.match(path)[1]
        remainder = os.path.join(self.directory, f"{container}-{int(saved_at)}.log")
        with open(remainder + ".new", "wb") as target:
            for name in files:
                with open_log(name) as source:
                    source.seek(offset)
                    shutil.copyfileobj(source, target, BLOCK)
                offset = 0
            target.flush()
            os.fsync(target.fileno())
        rename(remainder + ".new", remainder)
        self.kept[remainder] = self.labels.get(path) or {
            "__container_name": container[:12]
        }

    def is_delivered(self, path: str, offset: int, unsent: int) -> bool:
        """Return whether a file is a remainder that Loki has received completely."""
        return path in self.kept and not unsent and offset >= os.path.getsize(path)

    def write_targets(self) -> None:
        """Write Promtail's targets for the existing remainders."""
        targets = [
            {"targets": ["localhost"], "labels": {**labels, "__path__": path}}
            for path, labels in sorted(self.kept.items())
            if os.path.exists(path)
        ]
        replace(self.targets_file, json.dumps(targets, indent=1))


def read_labels(targets: str) -> dict[str, Labels]:
    """Return the labels in a targets file, by the path of the log."""
    try:
        all_labels = [target["labels"] for target in json.loads(read(targets) or "[]")]
        return {labels["__path__"]: labels for labels in all_labels}
    except (ValueError, TypeError, KeyError):
        return {}


def open_log(path: str) -> gzip.GzipFile | BinaryIO:
    """Open a log for reading; Docker may have compressed a rotated one."""
    return gzip.open(path) if path.endswith(".gz") else open(path, "rb")


def digest(content: str) -> str:
    """Return a hash that identifies a file's content."""
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def read(path: str) -> str | None:
    """Return the content of a file; None if it does not exist."""
    try:
        with open(
            path, encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def replace(path: str, content: str) -> None:
    """Replace a file atomically: after a crash it has either the old or the new content."""
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(content.encode("utf-8", "surrogateescape"))
        stream.flush()
        os.fsync(stream.fileno())
    rename(new, path)


def rename(path: str, target: str) -> None:
    """Rename a file on disk, before anything that relies on it: a power cut keeps the order."""
    os.rename(path, target)
    directory = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


if __name__ == "__main__":
    sys.exit(main())
