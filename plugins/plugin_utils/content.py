# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make one list of what is wanted in a Grafana, of directories, files and objects. Reads files only by callbacks."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

from ..module_utils.grafana.files import prometheus_rules
from ..module_utils.grafana.files.dashboards import Dashboards, Place
from ..module_utils.grafana.files.documents import Document, Unreadable
from ..module_utils.grafana.files.folders import Folders
from ..module_utils.grafana.files.lint import lint
from ..module_utils.grafana.files.provisioning_files import Provider, Provisioning
from ..module_utils.grafana.files.schema import Findings, Reader, raw_text
from ..module_utils.grafana.model import PRESENT
from .yaml_documents import document

SUFFIXES = (".json", ".yml", ".yaml")
FOLDER_FILES = ("_folder.yml", "_folder.yaml")
FOLDER_FIELDS = {"title": raw_text, "uid": raw_text, "description": raw_text}
# Where Grafana's packages and images keep provisioning files: there, this is the directory itself.
PROVISIONING = "/etc/grafana/provisioning"


@dataclass(frozen=True)
class Source:
    """One item of the task's content.

    ``files``: path below the directory -> content. ``root``: what stands before the path in messages. ``objects``: a
    document that was given in place of files. ``paths``: a path in a file of dashboard providers -> one of here.
    """

    root: str = ""
    files: dict = field(default_factory=dict)
    objects: dict | None = None
    folder: tuple = ()
    datasource_uid: str = "prometheus"
    paths: dict = field(default_factory=dict)

    def name(self, path: str) -> str:
        """A file as messages name it."""
        return posixpath.join(self.root, path)


@dataclass
class Gathering:
    """The list in the making. ``list_directory`` gives path -> content below a directory, or None without one."""

    environment: dict = field(default_factory=dict)
    org_id: int = 1
    inputs: dict = field(default_factory=dict)
    read_file: Callable[[str], str] | None = None
    list_directory: Callable[[str], dict | None] = lambda _path: None
    findings: Findings = field(default_factory=Findings)

    def __post_init__(self) -> None:
        self.folders = Folders(self.findings)
        self.provisioning = Provisioning(self.folders, self.org_id)
        self.dashboards = Dashboards(self.folders, self.findings, self.inputs)

    def desired(self, sources: list) -> tuple:
        """What is wanted, and what it refers to that must be on the server; problems are in ``findings``."""
        read = [self._read(source) for source in sources]
        for part in read:
            self._provision(part)
        provisioned = _meant(self.provisioning.desired)
        self.dashboards.datasources = [
            item.body for item in provisioned if item.kind == "datasource" and item.state == PRESENT
        ]
        for part in read:
            self._add_dashboards(part)
        desired = [*self.folders.desired(), *provisioned, *self.dashboards.desired]
        required = lint(desired, self.findings)
        return desired, required

    def _read(self, source: Source) -> _Parts:
        """A source's documents by what they are; the folders that they name are known after this."""
        parts = _Parts(source)
        if source.objects is not None:
            parts.provisioning.append(Document("inline", source.objects, interpolated=False))
        for path, data in sorted(source.files.items()):
            self._sort_in(parts, path, data)
        for found in parts.provisioning:
            self.provisioning.declare_folders(self._reader(found))
        # A folder's path has the titles of those above it, so that all of them come first.
        items = {path: self._folder(parts, path, found) for path, found in parts.folders.items()}
        for path, item in items.items():
            at = parts.folders[path].at()
            self.folders.declare(
                parts.folder(path), at, item.get("uid", ""), item.get("description")
            )
        return parts

    def _sort_in(self, parts: _Parts, path: str, data: bytes) -> None:
        found = self._document(parts.source.name(path), data)
        if found is None or found.content is None:
            return
        keys = set(found.content) if isinstance(found.content, dict) else set()
        if posixpath.basename(path) in FOLDER_FILES:
            parts.folders[posixpath.dirname(path)] = found
        elif path.endswith(".json") and str(found.content.get("apiVersion") if keys else "") != "1":
            parts.dashboards[path] = found
        elif keys == {"groups"}:
            parts.rules.append(found)
        else:
            parts.provisioning.append(found)

    def _document(self, name: str, data: bytes) -> Document | None:
        shown = name.encode("utf-8", "backslashreplace").decode()
        if shown != name:
            self.findings.error(shown, "the name of this file is not UTF-8.")
            return None
        try:
            return document(name, data)
        except Unreadable as error:
            self.findings.errors.append(str(error))
            return None

    def _folder(self, parts: _Parts, path: str, found: Document) -> dict:
        """Title, uid and description of a directory's folder, from the file in it."""
        item = self._reader(found).record((), found.content, FOLDER_FIELDS, "a folder's file")
        if item.get("title"):
            parts.titles[path] = item["title"]
        return item

    def _provision(self, parts: _Parts) -> None:
        before = len(self.provisioning.providers)
        for found in parts.provisioning:
            self.provisioning.read(self._reader(found))
        parts.providers = self.provisioning.providers[before:]
        for found in parts.rules:
            self._convert_rules(parts.source, found)

    def _convert_rules(self, source: Source, found: Document) -> None:
        """Add Grafana's share of the alerts in a Prometheus rule file."""
        if not source.folder:
            self.findings.error(
                found.at(), "rules of Prometheus need a folder; give their content item one."
            )
            return
        uid = self.folders.uid(source.folder, found.at())
        try:
            self.provisioning.desired += prometheus_rules.rule_groups(
                found.content, found.at("groups"), uid, source.datasource_uid
            )
        except prometheus_rules.RuleError as error:
            self.findings.error(found.at(*error.steps), str(error))

    def _add_dashboards(self, parts: _Parts) -> None:
        for found in parts.provisioning:
            if not found.interpolated:
                self.dashboards.read_inline(found)
        if parts.providers:
            taken = {
                path for provider in parts.providers for path in self._provided(parts, provider)
            }
            for path in sorted(set(parts.dashboards) - taken):
                self.findings.warn(
                    parts.dashboards[path].at(),
                    "no provider's path covers this dashboard; left out.",
                )
            return
        for path, found in parts.dashboards.items():
            self.dashboards.read(found, found.content, Place(parts.folder(posixpath.dirname(path))))

    def _provided(self, parts: _Parts, provider: Provider) -> set:
        """Add the dashboards of a provider's directory; gives which files of the source they were."""
        inside = _below(provider.path, PROVISIONING)
        if inside is not None:
            found = {
                path: item
                for path, item in parts.dashboards.items()
                if _below(path, inside) is not None
            }
            relative = {_below(path, inside): item for path, item in found.items()}
        else:
            found, relative = {}, self._directory(parts.source, provider)
        for path, item in relative.items():
            folder = (
                posixpath.basename(posixpath.dirname(path))
                if provider.folders_from_directories
                else ""
            )
            place = Place((folder,) if folder else provider.folder, name=f"{provider.name}/{path}")
            self.dashboards.read(item, item.content, place)
        return set(found)

    def _directory(self, source: Source, provider: Provider) -> dict:
        """The dashboards in a directory that a provider names and that is elsewhere on the controller."""
        mapped = _mapped(provider.path, source.paths)
        files = self.list_directory(mapped)
        if files is None:
            self.findings.error(
                provider.source,
                f"{mapped} of provider {provider.name} is no directory here; name in paths where"
                f" {provider.path} of Grafana is on the controller.",
            )
            return {}
        listed = {path: data for path, data in sorted(files.items()) if path.endswith(".json")}
        found = {
            path: self._document(posixpath.join(mapped, path), data)
            for path, data in listed.items()
        }
        return {path: item for path, item in found.items() if item is not None}

    def _reader(self, found: Document) -> Reader:
        options = {} if self.read_file is None else {"read_file": self.read_file}
        return Reader(found, self.findings, self.environment, **options)


def _meant(desired: list) -> list:
    """What is wanted, but for the deletion of datasources that are wanted: Grafana deletes, then makes them anew."""
    named = {
        item.body["name"] for item in desired if item.kind == "datasource" and item.state == PRESENT
    }
    return [
        item
        for item in desired
        if item.kind != "datasource" or item.state == PRESENT or item.body["name"] not in named
    ]


class _Parts:
    """The documents of one source, by what they are."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.provisioning: list = []
        self.rules: list = []
        self.dashboards: dict = {}
        self.folders: dict = {}
        self.titles: dict = {}
        self.providers: list = []

    def folder(self, directory: str) -> tuple:
        """The titles of the folders that a directory stands for; a directory ``dashboards`` at the top is none."""
        names = [name for name in directory.split("/") if name]
        found = []
        for depth, name in enumerate(names, start=1):
            if depth > 1 or name != "dashboards":
                found.append(self.titles.get("/".join(names[:depth]), name))
        return (*self.source.folder, *found)


def _below(path: str, directory: str) -> str | None:
    """A path relative to a directory, None where it is not in it."""
    path, directory = posixpath.normpath(path), posixpath.normpath(directory or ".")
    if directory == ".":
        return "" if path == "." else path
    if path == directory:
        return ""
    return path[len(directory) + 1 :] if path.startswith(f"{directory}/") else None


def _mapped(path: str, paths: dict) -> str:
    """A path of Grafana's as one of the controller's; the longest of the mapped directories decides."""
    for directory in sorted(paths, key=len, reverse=True):
        rest = _below(path, directory)
        if rest is not None:
            return posixpath.join(paths[directory], rest) if rest else paths[directory]
    return path
