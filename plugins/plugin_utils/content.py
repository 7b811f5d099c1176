# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Convert directories, files and inline objects to the desired objects of a Grafana.

Files are read only through callbacks.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ..module_utils.grafana.files import prometheus_rules
from ..module_utils.grafana.files.dashboards import Dashboards, Placement
from ..module_utils.grafana.files.documents import Document, DocumentError
from ..module_utils.grafana.files.folders import Folders, single_title
from ..module_utils.grafana.files.library_panels import LibraryPanels
from ..module_utils.grafana.files.lint import lint
from ..module_utils.grafana.files.provisioning_files import Provisioning
from ..module_utils.grafana.files.schema import Diagnostics, Reader, raw_string
from ..module_utils.grafana.kinds.names import DATASOURCE, RULE_GROUP
from ..module_utils.grafana.model import PRESENT
from . import documentation, query_syntax
from .datasource_uids import replaced_uids
from .yaml_documents import parse_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..module_utils.grafana.files.documents import JsonObject
    from ..module_utils.grafana.files.folders import Titles
    from ..module_utils.grafana.files.provisioning_files import Provider
    from ..module_utils.grafana.files.schema import Schema
    from ..module_utils.grafana.model import DesiredObject, RequiredObject

SUFFIXES = (".json", ".yml", ".yaml")
FOLDER_FILES = ("_folder.yml", "_folder.yaml")
FOLDER_FIELDS: Schema = {
    "title": raw_string,
    "uid": raw_string,
    "description": raw_string,
}
# Grafana's packages and images keep provisioning files here; the source's directory stands for it.
PROVISIONING = "/etc/grafana/provisioning"


@dataclass(frozen=True)
class Source:
    """One element of the task's content.

    ``files``: content by path below the directory. ``root``: prefix of the paths in messages.
    ``objects``: a document in place of files. ``title``: its name in messages.
    ``exec_error``: the state of rules after an error.
    ``documentation_url``: where the pages of this collection are, None in files of others.
    ``paths``: paths on the controller, by the paths that providers of dashboards name.
    """

    root: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    objects: JsonObject | None = None
    title: str = "inline"
    folder: Titles = ()
    datasource_uid: str = "prometheus"
    datasource_type: str = ""
    exec_error: str = "Error"
    documentation_url: str | None = None
    paths: dict[str, str] = field(default_factory=dict)

    def name(self, path: str) -> str:
        """Return the name of a file in messages."""
        return posixpath.join(self.root, path)

    def with_addresses(self, content: Any, insert: Callable[[Any, str], Any]) -> Any:
        """Return a file's content with the addresses of this collection's pages."""
        if self.documentation_url is None:
            return content
        return insert(content, self.documentation_url)


class RuleQuery(TypedDict):
    """A query of a rule, with the type of its datasource, empty if that is unknown."""

    type: str
    expression: str


class DesiredRule(TypedDict):
    """A rule that Grafana should have, and its queries."""

    group: str
    rule: str
    queries: list[RuleQuery]


def rules_of(desired: list[DesiredObject]) -> list[DesiredRule]:
    """Return the rules that Grafana should evaluate. Pure."""
    types = {
        item.identity: str(item.body.get("type"))
        for item in desired
        if item.kind == DATASOURCE
    }
    groups = [
        item.body
        for item in desired
        if item.kind == RULE_GROUP and item.state == PRESENT
    ]
    return [
        {
            "group": group["title"],
            "rule": rule["title"],
            "queries": _queries(rule, types),
        }
        for group in groups
        for rule in group["rules"]
        if not rule.get("isPaused")
    ]


def _queries(rule: JsonObject, types: dict[str, str]) -> list[RuleQuery]:
    queries: list[RuleQuery] = []
    for query in rule.get("data") or ():
        model, uid = query.get("model") or {}, str(query.get("datasourceUid"))
        named = model.get("datasource")
        own = named.get("type") if isinstance(named, dict) else ""
        # The uids of our own datasources are their types.
        known = types.get(uid) or own or (uid if uid in query_syntax.TYPES else "")
        if isinstance(model.get("expr"), str):
            queries.append({"type": str(known), "expression": model["expr"]})
    return queries


class Content(NamedTuple):
    """The desired objects, and those that the server must have since these refer to them."""

    desired: list[DesiredObject]
    required: list[RequiredObject]


@dataclass
class ContentLoader:
    """Load sources.

    ``list_directory`` returns the content of the files below a directory by their path in it, of
    a file by an empty path, or None when there is neither.
    """

    environment: dict[str, str] = field(default_factory=dict)
    org_id: int = 1
    inputs: dict[str, str] = field(default_factory=dict)
    datasource_uids: dict[str, str] = field(default_factory=dict)
    strict: bool = False
    read_file: Callable[[str], str] | None = None
    list_directory: Callable[[str], dict[str, bytes] | None] = lambda _path: None
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def __post_init__(self) -> None:
        self.folders = Folders(self.diagnostics)
        self.provisioning = Provisioning(self.folders, self.org_id)
        self.library_panels = LibraryPanels(self.folders, self.diagnostics)
        self.dashboards = Dashboards(
            self.folders, self.diagnostics, self.library_panels, self.inputs
        )
        # The uid of a provider's folder -> the folder, named after its first directory.
        self.shared_folders: dict[str, Titles] = {}

    def load(self, sources: list[Source]) -> Content:
        """Return the content of sources; ``diagnostics`` has the errors and warnings."""
        parsed = [self._parse(source) for source in sources]
        for documents in parsed:
            self._add_provisioning(documents)
        self._add_rules(parsed)
        provisioned = _without_replaced(self.provisioning.desired)
        datasources = filter(_is_present_datasource, provisioned)
        self.dashboards.datasources = [datasource.body for datasource in datasources]
        for documents in parsed:
            self._add_library_panels(documents)
        for documents in parsed:
            self._add_dashboards(documents)
        desired = [
            *self.folders.desired(),
            *provisioned,
            *self.library_panels.desired,
            *self.dashboards.desired,
        ]
        desired = replaced_uids(desired, self.datasource_uids)
        required = lint(desired, self.diagnostics, self.strict)
        for documents in parsed:
            self._check_queries(documents)
        return Content(desired, required)

    def _check_queries(self, documents: _SourceDocuments) -> None:
        """Report the queries that no server accepts."""
        types = {
            item.identity: str(item.body.get("type"))
            for item in filter(_is_present_datasource, self.provisioning.desired)
        }
        for document in documents.rules.values():
            queries = query_syntax.rule_queries(document.content)
            for at, message in query_syntax.faults(document, queries):
                self.diagnostics.error(at, message)
        for document in documents.provisioning:
            queries = query_syntax.provisioned_queries(document.content, types)
            for at, message in query_syntax.faults(document, queries):
                self.diagnostics.error(at, message)
        # Grafana works except for the panel, unless a variable makes it right.
        report = self.diagnostics.error if self.strict else self.diagnostics.warn
        for document in documents.dashboards.values():
            queries = query_syntax.dashboard_queries(document.content)
            for at, message in query_syntax.faults(document, queries):
                report(at, message)

    def _parse(self, source: Source) -> _SourceDocuments:
        """Parse the documents of a source and declare the folders that they name."""
        documents = _SourceDocuments(source)
        if source.objects is not None:
            inline = Document(source.title, source.objects, interpolated=False)
            documents.provisioning.append(inline)
        for path, data in sorted(source.files.items()):
            document = self._parse_file(source.name(path), data)
            if document and document.content is not None:
                documents.add(path, document)
        for document in documents.provisioning:
            self.provisioning.declare_folders(self._reader(document))
        self._declare_folders(documents)
        return documents

    def _parse_file(self, name: str, data: bytes) -> Document | None:
        readable = name.encode("utf-8", "backslashreplace").decode()
        if readable != name:
            self.diagnostics.error(
                readable, "the file name is not UTF-8; rename the file."
            )
            return None
        try:
            document = parse_document(name, data)
        except DocumentError as error:
            self.diagnostics.errors.append(str(error))
            return None
        self.diagnostics.errors += document.errors
        self.diagnostics.warnings += document.warnings
        return document

    def _declare_folders(self, documents: _SourceDocuments) -> None:
        """Declare the folders of directories that have a file for them."""
        fields_by_directory = {}
        for directory, document in documents.folders.items():
            root = self._reader(document).root()
            fields = root.fields(FOLDER_FIELDS, "a folder file")
            fields_by_directory[directory] = fields
            if fields.get("title"):
                documents.titles[directory] = fields["title"]
        # The path of a folder has the titles of its parents, so that all titles are read before.
        for directory, fields in fields_by_directory.items():
            self.folders.declare(
                documents.folder(directory),
                documents.folders[directory].at(),
                fields.get("uid", ""),
                fields.get("description"),
            )

    def _add_provisioning(self, documents: _SourceDocuments) -> None:
        first_provider = len(self.provisioning.providers)
        for document in documents.provisioning:
            self.provisioning.read(self._reader(document))
        documents.providers = self.provisioning.providers[first_provider:]

    def _add_rules(self, parsed: list[_SourceDocuments]) -> None:
        """Add Grafana's share of the alerts in Prometheus' rule files."""
        files = [
            _RuleFile(documents.source, path, document)
            for documents in parsed
            for path, document in documents.rules.items()
        ]
        for file in files:
            if not file.source.folder:
                self.diagnostics.error(
                    file.document.at(),
                    "Prometheus rules require a folder; set folder of their content element.",
                )
        placed = [file for file in files if file.source.folder]
        titles = _group_titles(placed)
        for index, file in enumerate(placed):
            self._convert_rules(file, titles[index])

    def _convert_rules(self, file: _RuleFile, titles: dict[str, str]) -> None:
        source, document = file.source, file.document
        try:
            self.provisioning.desired += prometheus_rules.rule_groups(
                source.with_addresses(
                    file.content(), documentation.rules_with_addresses
                ),
                document.at("groups"),
                self.folders.uid(source.folder, document.at()),
                source.datasource_uid,
                exec_error=source.exec_error,
                datasource_type=self._datasource_type(source),
                group_titles=titles,
            )
        except prometheus_rules.RuleError as error:
            found = [
                (document.locate(one.steps).line, document.at(*one.steps), str(one))
                for one in (error, *error.others)
            ]
            for _line, at, message in sorted(found):
                self.diagnostics.error(at, message)

    def _datasource_type(self, source: Source) -> str:
        """Return the type of the datasource that answers a source's rules."""
        types = [
            datasource.body["type"]
            for datasource in filter(_is_present_datasource, self.provisioning.desired)
            if datasource.identity == source.datasource_uid
        ]
        return next(iter(types), source.datasource_type or "prometheus")

    def _add_library_panels(self, documents: _SourceDocuments) -> None:
        """Add those that are listed, which come before those in exported dashboards."""
        for document in documents.provisioning:
            self.library_panels.read_inline(document)

    def _add_dashboards(self, documents: _SourceDocuments) -> None:
        for document in documents.provisioning:
            if not document.interpolated:
                self.dashboards.read_inline(document)
        if documents.providers:
            self._add_provided_dashboards(documents)
            return
        for path, document in documents.dashboards.items():
            folder = documents.folder(posixpath.dirname(path))
            content = documents.source.with_addresses(
                document.content, documentation.dashboard_with_addresses
            )
            self.dashboards.read(document, content, Placement(folder))

    def _add_provided_dashboards(self, documents: _SourceDocuments) -> None:
        """Add the dashboards of the source's providers; warn about files outside their paths."""
        provided_paths: set[str] = set()
        for provider in documents.providers:
            provided_paths |= self._add_provider(documents, provider)
        for path in sorted(set(documents.dashboards) - provided_paths):
            self.diagnostics.warn(
                documents.dashboards[path].at(),
                "the dashboard is outside the path of every provider, so it is left out; move it.",
            )

    def _add_provider(
        self, documents: _SourceDocuments, provider: Provider
    ) -> set[str]:
        """Add the dashboards of a provider, and return the paths of those within the source."""
        source = documents.source
        subdirectory = _relative_path(provider.path, PROVISIONING)
        if subdirectory is None and source.root:
            # A mapped path may be a directory of the same source.
            mapped = _mapped_path(provider.path, source.paths)
            subdirectory = _relative_path(mapped, source.root)
        if subdirectory is None:
            dashboards = self._parse_directory(source, provider)
            self._place_dashboards(provider, dashboards)
            return set()
        dashboards = {}
        paths = set()
        for path, document in documents.dashboards.items():
            relative_path = _relative_path(path, subdirectory)
            if relative_path is not None:
                dashboards[relative_path] = document
                paths.add(path)
        self._place_dashboards(provider, dashboards)
        return paths

    def _place_dashboards(
        self, provider: Provider, dashboards: dict[str, Document]
    ) -> None:
        """Add the dashboards of a provider by their path below the provider's."""
        for path, document in dashboards.items():
            placement = Placement(
                self._provided_folder(provider, path), name=f"{provider.name}/{path}"
            )
            self.dashboards.read(document, document.content, placement)

    def _provided_folder(self, provider: Provider, path: str) -> Titles:
        """Return the folder of a provider's file by its path, empty if the provider names it."""
        if not provider.folders_from_directories:
            return provider.folder
        folder = single_title(
            posixpath.basename(posixpath.dirname(path or provider.path))
        )
        if not folder or not provider.folder_uid:
            return folder
        declared = self.shared_folders.setdefault(provider.folder_uid, folder)
        self.folders.declare(declared, provider.source, provider.folder_uid)
        return declared

    def _parse_directory(
        self, source: Source, provider: Provider
    ) -> dict[str, Document]:
        """Parse the dashboards of a provider whose directory is elsewhere on the controller."""
        directory = _mapped_path(provider.path, source.paths)
        files = self.list_directory(directory)
        if files is None:
            self.diagnostics.error(
                provider.source,
                f"path {directory} of provider {provider.name} is not on the controller;"
                f" map {provider.path} to its location in paths.",
            )
            return {}
        documents = {}
        for path, data in sorted(files.items()):
            name = posixpath.join(directory, path) if path else directory
            if not name.endswith(".json"):
                continue
            document = self._parse_file(name, data)
            if document is not None:
                documents[path] = document
        return documents

    def _reader(self, document: Document) -> Reader:
        if self.read_file is None:
            return Reader(document, self.diagnostics, self.environment)
        return Reader(document, self.diagnostics, self.environment, self.read_file)


class _RuleFile(NamedTuple):
    """A rule file of Prometheus, and its path in its source."""

    source: Source
    path: str
    document: Document

    def content(self) -> Any:
        """Return the content as Prometheus reads it, whose strings are what is written."""
        as_written = self.document.as_written
        return as_written() if as_written else self.document.content


def _group_titles(files: list[_RuleFile]) -> list[dict[str, str]]:
    """Return the titles of the groups whose name several files of a folder have, for each file.

    Prometheus knows a group by its file and name, so that these get the file in their title.
    """
    titles: list[dict[str, str]] = [{} for _file in files]
    users: dict[tuple[Titles, str], list[int]] = {}
    for index, file in enumerate(files):
        for name in prometheus_rules.group_names(file.content()):
            users.setdefault((file.source.folder, name), []).append(index)
    for (_folder, name), indexes in users.items():
        if len(indexes) > 1:
            paths = [files[index].source.name(files[index].path) for index in indexes]
            for position, mark in enumerate(_distinct_names(paths)):
                titles[indexes[position]][name] = f"{name} ({mark})"
    return titles


def _distinct_names(paths: list[str]) -> list[str]:
    """Return the names of files without suffix, with as many directories as tell them apart."""
    parts = [posixpath.splitext(path)[0].split("/") for path in paths]
    for count in range(1, max(map(len, parts), default=1) + 1):
        names = ["-".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return paths


def _is_present_datasource(desired: DesiredObject) -> bool:
    return desired.kind == "datasource" and desired.state == PRESENT


def _without_replaced(desired_objects: list[DesiredObject]) -> list[DesiredObject]:
    """Drop the removal of datasources that are also present.

    Grafana removes them, then creates them anew.
    """
    datasources = filter(_is_present_datasource, desired_objects)
    present_names = {datasource.body["name"] for datasource in datasources}

    def is_replaced(desired: DesiredObject) -> bool:
        if desired.kind != "datasource" or desired.state == PRESENT:
            return False
        return desired.body["name"] in present_names

    return [desired for desired in desired_objects if not is_replaced(desired)]


class _SourceDocuments:
    """The documents of one source by their format."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.provisioning: list[Document] = []
        self.rules: dict[str, Document] = {}
        self.dashboards: dict[str, Document] = {}
        # Directory -> the document for its folder, and the title of the folder.
        self.folders: dict[str, Document] = {}
        self.titles: dict[str, str] = {}
        self.providers: list[Provider] = []

    def add(self, path: str, document: Document) -> None:
        """Add the document of a file to those of its format."""
        fields: dict[str, Any] = (
            document.content if isinstance(document.content, dict) else {}
        )
        is_provisioning = str(fields.get("apiVersion")) == "1"
        if posixpath.basename(path) in FOLDER_FILES:
            self.folders[posixpath.dirname(path)] = document
        elif path.endswith(".json") and not is_provisioning:
            self.dashboards[path] = document
        elif prometheus_rules.is_rule_file(fields):
            self.rules[path] = document
        else:
            self.provisioning.append(document)

    def folder(self, directory: str) -> Titles:
        """Return the folder titles of a directory; a top directory ``dashboards`` is no folder."""
        names = [name for name in directory.split("/") if name]
        titles = list(self.source.folder)
        for depth, name in enumerate(names, start=1):
            if depth > 1 or name != "dashboards":
                path = "/".join(names[:depth])
                titles.append(self.titles.get(path, name))
        return tuple(titles)


def _relative_path(path: str, directory: str) -> str | None:
    """Return a path relative to a directory; None for a path outside it."""
    path = posixpath.normpath(path)
    directory = posixpath.normpath(directory or ".")
    if path == directory:
        return ""
    if directory == ".":
        return path
    prefix = f"{directory}/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def _mapped_path(path: str, paths: dict[str, str]) -> str:
    """Return the path on the controller of a path of Grafana; the longest mapped prefix applies."""
    for directory in sorted(paths, key=len, reverse=True):
        relative_path = _relative_path(path, directory)
        if relative_path is not None:
            mapped = paths[directory]
            return posixpath.join(mapped, relative_path) if relative_path else mapped
    return path
