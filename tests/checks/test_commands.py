# SPDX-License-Identifier: GPL-3.0-or-later
"""Each command of the documentation is one that its program accepts, and names what exists.

Ansible's own parsers read the commands of Ansible. The quick starts are run to the letter; their
host refuses the connection.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible.cli.doc import DocCLI
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.playbook import PlaybookCLI
from ansible.cli.vault import VaultCLI
from markdown_it import MarkdownIt

from tests.conftest import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("tests/*.md"),
    ]
)
SEPARATORS = ("|", "&&", "||", ";")
# Words of the shell before a command, or in place of one.
RESERVED = ("while", "do", "done", "if", "then", "fi")
ROLES = sorted(path.name for path in ROOT.glob("roles/*") if path.is_dir())
COMPONENTS = [role.replace("_", "-") for role in ROLES]
COLLECTION = "~/.ansible/collections/ansible_collections/hippius/monitoring/"
# Directories that a reader makes.
OWN_INVENTORIES = ("inventories/mine",)
PLACEHOLDER = re.compile(r"<[\w -]+>|[A-Z]{3,}|host")
# Units of other programs, and names that a runbook gives to parts of them.
OTHER_UNITS = {
    "systemd-timesyncd",
    "postgresql",
    "redis-server",
    "grafana-server",
    # The state of rollouts, which node_exporter brings.
    "node-exporter-*",
    "node-exporter-rollouts",
    "node-exporter-rollouts.timer",
}
# Programs of the operating system and of others, whose options are not known here.
OTHERS = {
    *(
        "$EDITOR",
        "amtool",
        "apt-get",
        "awk",
        "cat",
        "cd",
        "chown",
        "chronyc",
        "conntrack",
    ),
    *(
        "df",
        "dmesg",
        "docker",
        "du",
        "ethtool",
        "export",
        "git",
        "grep",
        "head",
        "htpasswd",
    ),
    *(
        "iostat",
        "ip",
        "last",
        "ls",
        "mdadm",
        "mkdir",
        "openssl",
        "pidstat",
        "ping",
        "pipx",
    ),
    *(
        "pre-commit",
        "promtool",
        "rclone",
        "ps",
        "psql",
        "redis-cli",
        "runuser",
        "sed",
        "sort",
        "ss",
    ),
    *(
        "ssh",
        "systemd-analyze",
        "tail",
        "timedatectl",
        "top",
        "tr",
        "uniq",
        "vmstat",
        "wc",
    ),
    *("~/ansible/bin/pip", "prometheus", "read"),
}


class Command(NamedTuple):
    """A command, and where it stands."""

    page: str
    words: list[str]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


class Text(NamedTuple):
    """A line of a block of commands, or inline code, which may be anything."""

    content: str
    in_block: bool


def texts(page: Path) -> Iterator[Text]:
    """Yield the lines of a page's sh blocks, and its inline code."""
    for block in (
        MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
    ):
        if block.type == "fence" and block.info.strip() == "sh":
            for line in block.content.replace("\\\n", " ").splitlines():
                yield Text(line, in_block=True)
        for token in block.children or []:
            if token.type == "code_inline":
                yield Text(token.content, in_block=False)


def words_of(text: str) -> list[list[str]]:
    """Return the simple commands of a line of a shell; nothing for a text that is none."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word in SEPARATORS:
                commands.append([])
            elif word == "<":
                # What follows is a file.
                commands.append(["cat"])
            elif commands[-1] or word not in RESERVED:
                commands[-1].append(word)
    except ValueError:
        return []
    return [words for words in commands if words]


def commands() -> Iterator[Command]:
    """Yield the commands of all pages."""
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for text in texts(page):
            for words in words_of(text.content):
                is_known = words[0] in CHECKS or words[0] in OTHERS
                if text.in_block or is_known:
                    yield Command(name, words)


@cache
def playbook(name: str) -> Path:
    """Return the file of a playbook by its name in a checkout or in the collection."""
    if name.startswith("hippius.monitoring."):
        name = f"playbooks/{name.removeprefix('hippius.monitoring.')}.yml"
    return ROOT / name


@cache
def tags_of(path: Path) -> set[str]:
    """Return the tags of the plays of a playbook."""
    tags = {"all", "none", "always"}
    for play in yaml.safe_load(path.read_text("utf-8")):
        names = play.get("tags", [])
        tags |= {names} if isinstance(names, str) else set(names)
        if "ansible.builtin.import_playbook" in play:
            tags |= tags_of(path.parent / play["ansible.builtin.import_playbook"])
    return tags


@cache
def documented_variables() -> set[str]:
    """Return the options of the roles and the variables of the README's table."""
    names = set(
        re.findall(r"`(monitoring_\w+)`", (ROOT / "README.md").read_text("utf-8"))
    )
    for specification in ROOT.glob("roles/*/meta/argument_specs.yml"):
        content = yaml.safe_load(specification.read_text("utf-8"))
        names |= set(content["argument_specs"]["main"]["options"])
    return names


def variables_of(path: Path) -> set[str]:
    """Return the variables that have an effect in a playbook."""
    text = path.read_text("utf-8")
    names = documented_variables() | set(re.findall(r"\b[a-z]\w+\b", text))
    for imported in re.findall(r"import_playbook: (\S+)", text):
        names |= variables_of(path.parent / imported)
    return names


def parsed(program: Any, words: list[str]) -> Any:
    """Return the options of a command, as its program of Ansible reads them."""
    cli = program(words)
    cli.init_parser()
    try:
        return cli.parser.parse_args(words[1:])
    except SystemExit:
        raise AssertionError(f"{words[0]} does not accept {words[1:]}") from None


def check_playbook(words: list[str]) -> None:
    """Require playbook, inventory, tags and variables that exist."""
    options = parsed(PlaybookCLI, words)
    for name in options.args:
        path = playbook(name)
        assert path.is_file(), name
        known = variables_of(path)
        for pair in options.extra_vars:
            variable = pair.partition("=")[0]
            assert "=" in pair and (variable in known or PLACEHOLDER.match(variable)), (
                pair
            )
        tags = {tag for text in options.tags for tag in text.split(",")}
        assert tags - {"all"} <= tags_of(path), tags
    for inventory in options.inventory or []:
        directory = inventory.removesuffix("/hosts.yml")
        is_known = (ROOT / directory).is_dir() or directory in OWN_INVENTORIES
        assert is_known or PLACEHOLDER.fullmatch(inventory), inventory


def check_galaxy(words: list[str]) -> None:
    """Require a command of ansible-galaxy with options that it has."""
    if len(words) > 3 or words[-1] == "build":
        assert parsed(GalaxyCLI, words).type == "collection"


def check_vault(words: list[str]) -> None:
    """Require an action of ansible-vault."""
    assert words[1] in ("view", "edit", "encrypt")
    if len(words) > 2:
        parsed(VaultCLI, words)


def check_doc(words: list[str]) -> None:
    """Require plugins that the collection has."""
    for name in parsed(DocCLI, words).args:
        plugin = name.removeprefix("hippius.monitoring.")
        assert (ROOT / f"plugins/modules/{plugin}.py").is_file(), name


def check_make(words: list[str]) -> None:
    """Require targets of the Makefile."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert [word for word in words[1:] if "=" not in word and word not in targets] == []


def check_bootstrap(words: list[str]) -> None:
    """Require a program of the environment, a module, and the paths of tests."""
    rest = words[1:]
    if rest[:2] == ["python", "-m"]:
        check_python(["python3", *rest[1:]])
    elif rest:
        assert rest == ["COMMAND"] or shutil.which(
            rest[0], path=Path(sys.executable).parent
        )


def check_python(words: list[str]) -> None:
    """Require a module, and the paths of tests."""
    if "-m" not in words:
        return
    module = words[words.index("-m") + 1]
    assert importlib.util.find_spec(module), module
    for word in words[words.index("-m") + 2 :]:
        path, _colons, test = word.partition("::")
        if path.startswith(("tests/", "plugins/")):
            assert (ROOT / path).exists(), word
        if test:
            name = test.partition("[")[0]
            assert f"def {name}(" in (ROOT / path).read_text("utf-8"), word


@cache
def sources() -> str:
    """Return the text of the roles and the plugins, which name the other units."""
    files = [*ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("plugins/module_utils/**/*.py")]
    return "\n".join(path.read_text("utf-8") for path in files)


def check_unit(words: list[str]) -> None:
    """Require units of components, or of programs that are known."""
    named = [words[index + 1] for index, word in enumerate(words) if word == "-u"]
    if words[0] == "systemctl" and words[1] not in ("show",):
        named = [word for word in words[2:] if not word.startswith("-")]
    for unit in named:
        # An exporter has a unit for each of its instances.
        name = re.sub(r"-<\w+>$", "", unit)
        name = re.sub(r"(-\*)?(\.timer|\.service)?$", "", name)
        is_known = name in COMPONENTS or name in OTHER_UNITS or name in sources()
        assert is_known or PLACEHOLDER.fullmatch(name), unit


def check_curl(words: list[str]) -> None:
    """Require addresses on which a component listens by default."""
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)", " ".join(words)))
    defaults = "".join(
        path.read_text("utf-8") for path in ROOT.glob("roles/*/defaults/main.yml")
    )
    assert ports <= set(re.findall(r"127\.0\.0\.1:(\d+)", defaults)), words


def check_copy(words: list[str]) -> None:
    """Require the directory that is copied."""
    source = words[-2].replace(COLLECTION, "")
    assert (ROOT / source).exists(), source


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "ansible-playbook": check_playbook,
    "ansible-galaxy": check_galaxy,
    "ansible-vault": check_vault,
    "ansible-doc": check_doc,
    "make": check_make,
    "tests/bootstrap": check_bootstrap,
    "python3": check_python,
    "systemctl": check_unit,
    "journalctl": check_unit,
    "curl": check_curl,
    "cp": check_copy,
}


@pytest.mark.parametrize("program", sorted(CHECKS))
def test_commands_are_accepted_and_name_what_exists(program: str) -> None:
    found = [command for command in commands() if command.words[0] == program]
    assert found
    wrong = []
    for command in found:
        try:
            CHECKS[program](command.words)
        except AssertionError as error:
            wrong.append(f"{command}: {str(error).splitlines()[0]}")
    assert wrong == []


def test_every_command_is_of_a_known_program() -> None:
    found = list(commands())
    assert len(found) > 250
    assert {command.words[0] for command in found} - set(CHECKS) - OTHERS == set()


def test_inline_options_are_variables_of_a_playbook() -> None:
    known = documented_variables().union(
        *map(variables_of, ROOT.glob("playbooks/*.yml"))
    )
    for page in PAGES:
        for text in texts(page):
            if text.content.startswith("-e "):
                names = re.findall(r"-e (\w+)=", text.content)
                assert names and set(names) <= known, f"{page.name}: {text.content}"


def test_paths_of_components_are_theirs() -> None:
    names = {*COMPONENTS, "targets"}
    for command in commands():
        for path in re.findall(r"/(?:var/lib|etc)/([a-z-]+)", " ".join(command.words)):
            assert path in names, str(command)


def block_after(page: Path, beginning: str) -> list[str]:
    """Return the lines of the sh block of a page that begins with a text."""
    for block in MarkdownIt("commonmark").parse(page.read_text("utf-8")):
        if block.type == "fence" and block.content.startswith(beginning):
            return str(block.content).replace("\\\n", " ").splitlines()
    raise LookupError(f"{page}: {beginning}")


# What a reader types for $EDITOR: a host that refuses the connection.
EDITOR = "sed -i s/monitoring.example.com/127.0.0.1/"


@pytest.mark.parametrize(
    ("page", "beginning"),
    [
        ("README.md", "cp -r inventories/prod"),
        ("examples/one-host/README.md", "cp -r ~/.ansible"),
    ],
)
def test_quick_start_is_run_to_the_letter_until_the_host_is_contacted(
    tree: Path, installed: Path, tmp_path: Path, page: str, beginning: str
) -> None:
    own = {name: text for name, text in os.environ.items() if "ANSIBLE" not in name}
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own |= {"PATH": programs, "EDITOR": EDITOR, "ANSIBLE_REMOTE_PORT": "1"}
    if page.startswith("examples"):
        own["HOME"] = str(tmp_path)
        collections = tmp_path / ".ansible/collections"
        shutil.copytree(installed, collections)
    directory = tmp_path / "checkout"
    shutil.copytree(tree, directory)
    (directory / "collections/ansible_collections/hippius").mkdir(parents=True)
    link = directory / "collections/ansible_collections/hippius/monitoring"
    link.symlink_to("../../..")
    # A host that does not answer is the end of a rollout, with this code.
    rollout = re.compile(r"^.*(?:site\.yml|monitoring\.site)\b.*$")
    # Without a terminal a password is read from standard input.
    password = tmp_path / "password"
    password.write_text("of the vault\n")
    lines = [
        f"exec < {password}\n"
        + rollout.sub(
            r"code=0; \g<0> || code=$?; [ $code = 4 ]", line.partition("#")[0]
        )
        for line in block_after(ROOT / page, beginning)
    ]
    done = subprocess.run(
        ["sh", "-ec", "\n".join(lines)],
        cwd=directory,
        env=own,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "UNREACHABLE" in output
    assert "[WARNING]" not in output
    assert "has the secrets" in output
