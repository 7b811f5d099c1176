# SPDX-License-Identifier: GPL-3.0-or-later
"""Write Promtail's targets, the logs of the containers, from the files that Docker keeps on disk.

Docker's config.v2.json holds the environment of a container, and so its secrets. Only this script
reads it, as root and without network. It exports the container's name, its Compose project and
service, and the labels on the command line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys

# As in the module typing, which is not imported: the script runs every five seconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    Labels = dict[str, str]

    class Target(TypedDict):
        """An item of Promtail's file_sd file."""

        targets: list[str]
        labels: Labels


CONTAINER_ID = re.compile(r"[0-9a-f]{64}\Z")
NOT_IN_LABEL_NAMES = re.compile(r"[^a-zA-Z0-9_]")
# Loki refuses a stream with a label value above 2048 bytes, and its lines would be lost.
MAX_VALUE_LENGTH = 200
# A larger file is damaged rather than a description of a container.
MAX_FILE_BYTES = 16 * 1024 * 1024
PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"


def main(arguments: list[str] | None = None) -> int:
    """Write the targets file if its content changes; return the exit code."""
    options = parse_options(arguments)
    previous = read_text(options.output)
    unread: dict[str, str] = {}
    try:
        targets = find_targets(
            options.containers, labels_by_log(previous), options.label, unread
        )
    except OSError as error:
        print(f"{options.containers}: cannot be read: {error}", file=sys.stderr)
        return 1
    content = json.dumps(targets, indent=1, sort_keys=True) + "\n"
    if content != previous:
        replace(options.output, content)
    tell(os.path.join(os.path.dirname(options.output), "diagnostics"), unread)
    return 0


def tell(path: str, unread: dict[str, str]) -> None:
    """Write the containers that Promtail cannot read, by name, where the status report looks.

    Each goes to the journal once, as a warning in the notation of sd-daemon(3).
    """
    lines = [
        f"container {name}: its log driver {driver} is not read; use json-file"
        for name, driver in sorted(unread.items())
    ]
    previous = (read_text(path) or "").splitlines()
    if lines == previous:
        return
    for line in lines:
        if line not in previous:
            print(f"<4>{line}", file=sys.stderr)
    replace(path, "".join(line + "\n" for line in lines))


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description="Write Promtail's file_sd targets for the containers of this host."
    )
    parser.add_argument(
        "--containers",
        default="/var/lib/docker/containers",
        help="Docker's directory of containers",
    )
    parser.add_argument("--output", required=True, help="targets file to write")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        help="additional container label to export",
    )
    return parser.parse_args(arguments)


def find_targets(
    containers: str,
    previous_labels: dict[str, Labels],
    label_names: list[str],
    unread: dict[str, str] | None = None,
) -> list[Target]:
    """Return a target for each container with a log that Promtail can read, by container id.

    The log drivers of the others are added to ``unread``, by the containers' names.

    A container whose description is unreadable at the moment keeps its labels of
    ``previous_labels`` while its log exists, so that its last lines are still read.
    """
    targets: list[Target] = []
    for container in container_ids(containers):
        directory = os.path.join(containers, container)
        log = os.path.join(directory, container + "-json.log")
        labels = container_labels(directory, container, label_names)
        if labels is None and os.path.exists(log):
            labels = previous_labels.get(log)
        if labels == {} and unread is not None:
            name, driver = name_and_driver(directory, container)
            # The driver none keeps no log, as whoever chose it knows.
            if driver != "none":
                unread[name] = driver
        if labels:
            targets.append(
                {"targets": ["localhost"], "labels": {**labels, "__path__": log}}
            )
    return targets


def container_ids(containers: str) -> list[str]:
    """Return the ids of Docker's containers; none without Docker."""
    try:
        with os.scandir(containers) as entries:
            return sorted(
                entry.name for entry in entries if CONTAINER_ID.match(entry.name)
            )
    except FileNotFoundError:
        return []


def name_and_driver(directory: str, container: str) -> tuple[str, str]:
    """Return the name of a container and its log driver."""
    config = read_json(os.path.join(directory, "config.v2.json")) or {}
    host_config = read_json(os.path.join(directory, "hostconfig.json")) or {}
    name = label_value(config.get("Name")).lstrip("/") or container[:12]
    driver = as_dict(host_config.get("LogConfig")).get("Type") or "json-file"
    return name, label_value(driver)


def container_labels(
    directory: str, container: str, label_names: list[str]
) -> Labels | None:
    """Return the labels of a container.

    They are empty if Promtail cannot read its log, and None if its description is unreadable.
    """
    config = read_json(os.path.join(directory, "config.v2.json"))
    if config is None:
        return None
    host_config = read_json(os.path.join(directory, "hostconfig.json")) or {}
    driver = as_dict(host_config.get("LogConfig")).get("Type") or "json-file"
    if driver != "json-file":
        return {}
    docker_labels = as_dict(as_dict(config.get("Config")).get("Labels"))
    labels = {
        "__container_name": label_value(config.get("Name")).lstrip("/")
        or container[:12],
        "__compose_project": label_value(docker_labels.get(PROJECT)),
        "__compose_service": label_value(docker_labels.get(SERVICE)),
    }
    for name in label_names:
        key = "__container_label_" + NOT_IN_LABEL_NAMES.sub("_", name)
        labels[key] = label_value(docker_labels.get(name))
    return {key: value for key, value in labels.items() if value}


def labels_by_log(content: str | None) -> dict[str, Labels]:
    """Return the labels in a targets file of an earlier run, by the path of the log."""
    try:
        all_labels = [target["labels"] for target in json.loads(content or "[]")]
        return {labels["__path__"]: labels for labels in all_labels}
    except (ValueError, TypeError, KeyError):
        return {}


def read_json(path: str) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if it is missing, half-written or of another type."""
    content = read_text(path)
    try:
        value = json.loads(content or "")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_text(path: str) -> str | None:
    """Return the content of a file with any bytes; None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def as_dict(value: object) -> dict[str, Any]:
    """Return the value if it is a dict, else an empty one: Docker writes null for unset values."""
    return value if isinstance(value, dict) else {}


def label_value(value: object) -> str:
    """Return a value as a label: printable and of limited length; empty unless it is a string."""
    if not isinstance(value, str):
        return ""
    shortened = value[:MAX_VALUE_LENGTH]
    return "".join(
        character if character.isprintable() else "_" for character in shortened
    )


def replace(path: str, content: str) -> None:
    """Replace a file atomically: readers see either the old or the new content."""
    new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    # The unit's UMask reduces this mode.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(new, path)


if __name__ == "__main__":
    sys.exit(main())
