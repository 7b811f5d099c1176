# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide where Promtail reads on, before it starts.

Promtail saves how far it has read. What it has read and Loki has not taken yet is lost with the process, at most one
batch; and since it knows files by their path, so is the rest of a log that Docker rotates while Promtail is down.
Before a start this steps back by one batch in each file, unless the stop was clean or nothing was read since, and
keeps the unread rest of rotated logs as files of their own that Promtail reads once. A line may come twice, but comes.
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

# As Promtail writes them: YAML keys of more than 128 characters take a line of their own.
POSITION = re.compile(
    r'^  (?:\? (?P<long>\S.*)\n  : |(?P<short>\S.*): )"(?P<offset>-?\d+)"$', re.MULTILINE
)
CONTAINER_LOG = re.compile(r".*/([0-9a-f]{64})-json\.log\Z")
DOCKER_TIME = re.compile(rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)[^"]*Z"\}\s*\Z')
# Promtail saves each second and looks for rotated files four times a second: it may not have seen yet a file that is
# hardly older than what it saved.
SLACK_SECONDS = 2
# Beside the batch each step between a file and Loki holds a line, about 15 with the role's own pipeline.
LINES_ON_THEIR_WAY = 32
BLOCK = 64 * 1024


def main(words: list[str] | None = None) -> int:
    """Adjust the positions before a start, or note after a stop that they can be trusted."""
    options = arguments(words)
    positions = os.path.join(options.data, "positions.yaml")
    saved = read(positions)
    # Promtail watches this directory.
    os.makedirs(os.path.join(options.data, "rests"), exist_ok=True)
    if saved is None:
        return 0
    if not options.stopped:
        adjusted = resumed(options, saved, os.stat(positions).st_mtime)
        if adjusted != saved:
            replace(positions, adjusted)
        saved = adjusted
    elif os.environ.get("SERVICE_RESULT") != "success":
        return 0
    replace(os.path.join(options.data, "settled"), digest(saved))
    return 0


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Adjust Promtail's positions before it starts.")
    parser.add_argument(
        "--data", required=True, help="directory of positions.yaml and of kept rests"
    )
    parser.add_argument(
        "--targets", required=True, help="targets file that names the containers of logs"
    )
    parser.add_argument(
        "--unsent", type=int, default=1024 * 1024, help="bytes of log lines in one batch"
    )
    parser.add_argument(
        "--stopped", action="store_true", help="called after a stop, not before a start"
    )
    return parser.parse_args(words)


def resumed(options: argparse.Namespace, saved: str, saved_at: float) -> str:
    """The positions to start with, in place of those that Promtail saved last."""
    back = 0 if read(os.path.join(options.data, "settled")) == digest(saved) else options.unsent
    rests = Rests(os.path.join(options.data, "rests"), options.targets)
    logs = set(rests.labels)

    def adjusted(match: re.Match) -> str:
        path, offset = match["long"] or match["short"], int(match["offset"])
        logs.discard(path)
        return f'{match[0][: match.start("offset") - match.start()]}{start_of(path, offset, back, saved_at, rests)}"'

    text = POSITION.sub(adjusted, saved)
    for path in sorted(logs):
        start_of(path, 0, 0, saved_at, rests)
    rests.write_targets()
    return text


def start_of(path: str, offset: int, back: int, saved_at: float, rests: Rests) -> int:
    """Where to go on in one file; what older files of a rotated log have unread is kept on the way."""
    try:
        if CONTAINER_LOG.match(path):
            *older, _newest = unread_files(path, offset, saved_at)
            if older:
                rests.keep(path, older, stepped_back(older[0], offset, back), saved_at)
                return 0
        elif rests.is_done(path, offset, back):
            os.unlink(path)
        return stepped_back(path, offset, back)
    except FileNotFoundError:
        return offset
    except (OSError, EOFError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return offset


def unread_files(path: str, offset: int, saved_at: float) -> list[str]:
    """Files of a container's log from the oldest, to which the position belongs, to the newest, which is ``path``."""
    files = [path]
    while older := [
        name for name in (f"{path}.{len(files)}", f"{path}.{len(files)}.gz") if os.path.exists(name)
    ]:
        files.append(older[0])
    known = [name for name in files if began(name) <= saved_at - SLACK_SECONDS]
    # While Loki is away Promtail reads on no further, and holds a file that may have been rotated more than once.
    first = next(
        (name for name in known if ends_line(name, offset)), known[0] if known else files[-1]
    )
    return files[files.index(first) :: -1]


def ends_line(path: str, offset: int) -> bool:
    """Whether a position can be one in this file, as Promtail reads whole lines."""
    with opened(path) as stream:
        stream.seek(max(0, offset - 1))
        return offset == 0 or stream.read(1) == b"\n"


def began(path: str) -> float:
    """When Docker wrote the first line of a log; without end if there is none yet."""
    with opened(path) as stream:
        found = DOCKER_TIME.search(stream.readline(1024 * 1024))
    if not found:
        return float("inf")
    return datetime.fromisoformat(found[1].decode()).replace(tzinfo=timezone.utc).timestamp()


def stepped_back(path: str, offset: int, unsent: int) -> int:
    """The start of a line from which on Loki may lack what was read, if it may lack ``unsent`` bytes of it."""
    window = 2 * unsent + BLOCK
    with opened(path) as stream:
        while offset > 0:
            start = max(0, offset - window)
            stream.seek(start)
            data = stream.read(offset - start)
            if len(data) < offset - start:
                return 0  # shorter than what was read of it: another file
            begin, missing = line_start_before(data, unsent)
            if start == 0 or not missing:
                return start + begin
            window *= 4
    return 0


def line_start_before(data: bytes, unsent: int) -> tuple[int, bool]:
    """Start of the first line that Loki may lack of ``data``, and whether it may lack more than that."""
    first, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
    more = LINES_ON_THEIR_WAY if unsent else 0
    while (unsent > 0 or more > 0) and end > first:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        if unsent > 0:
            unsent -= content_size(data[begin:end])
        else:
            more -= 1
        end = begin
    # Whether the bytes before the first line break are a whole line is known only at the start of the file.
    return (0, True) if unsent > 0 or more > 0 or not first else (end, False)


def content_size(line: bytes) -> int:
    """Bytes of a line as Loki gets them, without what Docker has around them."""
    try:
        return len(json.loads(line)["log"].rstrip("\n").encode("utf-8", "replace")) or 1
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return len(line)


class Rests:
    """The unread rests of rotated logs, with the labels of their containers."""

    def __init__(self, directory: str, targets: str) -> None:
        self.directory = directory
        self.own_targets = os.path.join(directory, "targets.json")
        self.labels = labels_of(targets)
        self.kept = labels_of(self.own_targets)

    def keep(self, path: str, files: list[str], offset: int, saved_at: float) -> None:
        """Put what the files have from ``offset`` of the first on into one, named so that a repetition is the same."""
        container = CONTAINER_LOG.match(path)[1]
        rest = os.path.join(self.directory, f"{container}-{int(saved_at)}.log")
        with open(rest + ".new", "wb") as target:
            for name in files:
                with opened(name) as source:
                    source.seek(offset)
                    shutil.copyfileobj(source, target, BLOCK)
                offset = 0
            target.flush()
            os.fsync(target.fileno())
        os.rename(rest + ".new", rest)
        self.kept[rest] = self.labels.get(path) or {"__container_name": container[:12]}

    def is_done(self, path: str, offset: int, back: int) -> bool:
        """Whether a file is a rest that Loki has altogether."""
        return path in self.kept and not back and offset >= os.path.getsize(path)

    def write_targets(self) -> None:
        """Tell Promtail of the rests that there are."""
        there = {path: labels for path, labels in sorted(self.kept.items()) if os.path.exists(path)}
        targets = [
            {"targets": ["localhost"], "labels": {**there[path], "__path__": path}}
            for path in there
        ]
        replace(self.own_targets, json.dumps(targets, indent=1))


def labels_of(targets: str) -> dict[str, dict]:
    """Labels in a targets file by the path of the log."""
    try:
        return {
            target["labels"]["__path__"]: target["labels"]
            for target in json.loads(read(targets) or "[]")
        }
    except (ValueError, TypeError, KeyError):
        return {}


def opened(path: str):
    """A log for reading; Docker may have compressed a rotated one."""
    return gzip.open(path) if path.endswith(".gz") else open(path, "rb")


def digest(content: str) -> str:
    """What a file is recognized by."""
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def read(path: str) -> str | None:
    """Content of a file; None if there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def replace(path: str, content: str) -> None:
    """Write a file so that after a crash it is the old one or the new one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".new")
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content.encode("utf-8", "surrogateescape"))
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main())
