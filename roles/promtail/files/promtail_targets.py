# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell Promtail which container's log lies where, from what Docker keeps on disk.

Docker's config.v2.json holds the environment of a container, and so its secrets. Only this program reads it, as root
and without network, and passes on the container's name, its Compose project and service, and the labels asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys

CONTAINER_ID = re.compile(r"[0-9a-f]{64}\Z")
NOT_IN_LABEL_NAMES = re.compile(r"[^a-zA-Z0-9_]")
# Loki refuses a stream with a longer label value than 2048 bytes, which would lose its lines.
LONGEST_VALUE = 200
# A damaged file of this size is no description of a container.
LONGEST_DESCRIPTION = 16 * 1024 * 1024
PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"


def main(words: list[str] | None = None) -> int:
    """Write the targets file if what it says changes; return the exit code."""
    options = arguments(words)
    before = read_text(options.output)
    try:
        found = targets(options.containers, known(before), options.label)
    except OSError as error:
        print(f"{options.containers} cannot be read: {error}", file=sys.stderr)
        return 1
    after = json.dumps(found, indent=1, sort_keys=True) + "\n"
    if after != before:
        replace(options.output, after)
    return 0


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Write Promtail's file_sd targets for the containers of this host."
    )
    parser.add_argument(
        "--containers", default="/var/lib/docker/containers", help="where Docker keeps containers"
    )
    parser.add_argument("--output", required=True, help="targets file to write")
    parser.add_argument(
        "--label", action="append", default=[], help="container label to pass on as well"
    )
    return parser.parse_args(words)


def targets(containers: str, known_labels: dict[str, dict], wanted: list[str]) -> list[dict]:
    """One target for each container with a log that Promtail can read, by container id.

    A container whose description cannot be read at the moment keeps the labels that it had (``known_labels``, by path
    of the log) while its log is there, so that what it wrote last is still read.
    """
    result = []
    for container in container_ids(containers):
        directory = os.path.join(containers, container)
        log = os.path.join(directory, container + "-json.log")
        labels = described(directory, container, wanted)
        if labels is None and os.path.exists(log):
            labels = known_labels.get(log)
        if labels:
            result.append({"targets": ["localhost"], "labels": {**labels, "__path__": log}})
    return result


def container_ids(containers: str) -> list[str]:
    """Ids of the containers that Docker has; none where there is no Docker."""
    try:
        with os.scandir(containers) as entries:
            return sorted(entry.name for entry in entries if CONTAINER_ID.match(entry.name))
    except FileNotFoundError:
        return []


def described(directory: str, container: str, wanted: list[str]) -> dict | None:
    """Labels of a container; empty if Promtail cannot read its log, None if its description cannot be read."""
    config = read_json(os.path.join(directory, "config.v2.json"))
    if config is None:
        return None
    host_config = read_json(os.path.join(directory, "hostconfig.json")) or {}
    driver = mapping(host_config.get("LogConfig")).get("Type") or "json-file"
    if driver != "json-file":
        return {}
    own = mapping(mapping(config.get("Config")).get("Labels"))
    name = config.get("Name")
    labels = {
        "__container_name": text(name).lstrip("/") or container[:12],
        "__compose_project": text(own.get(PROJECT)),
        "__compose_service": text(own.get(SERVICE)),
    }
    labels.update(
        {
            "__container_label_" + NOT_IN_LABEL_NAMES.sub("_", key): text(own.get(key))
            for key in wanted
        }
    )
    return {key: value for key, value in labels.items() if value}


def known(content: str | None) -> dict[str, dict]:
    """Labels of each log in a targets file that this program wrote before, by path."""
    try:
        return {
            target["labels"]["__path__"]: target["labels"] for target in json.loads(content or "[]")
        }
    except (ValueError, TypeError, KeyError):
        return {}


def read_json(path: str) -> dict | None:
    """A file that holds one JSON object; None if it is missing, half-written or something else."""
    content = read_text(path)
    try:
        value = json.loads(content or "")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_text(path: str) -> str | None:
    """What a file holds, whatever its bytes are; None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(LONGEST_DESCRIPTION).decode("utf-8", "replace")
    except OSError:
        return None


def mapping(value: object) -> dict:
    """The value if it is a mapping, else an empty one: Docker writes null for what is not set."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """A label value that every reader copes with: printable, and not too long."""
    if not isinstance(value, str):
        return ""
    return "".join(
        character if character.isprintable() else "_" for character in value[:LONGEST_VALUE]
    )


def replace(path: str, content: str) -> None:
    """Write a file so that readers see the old content or the new one and nothing between."""
    new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    # The mode is what the unit's UMask leaves of it.
    with open(
        os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8"
    ) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(new, path)


if __name__ == "__main__":
    sys.exit(main())
