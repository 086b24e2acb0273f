"""A reader who types what the documents say gets what they show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stagesync.cli.definition_tests import outcomes
from stagesync.policy.definition_tests import load_tests
from stagesync.policy.definitions import load_definition
from stagesync.policy.document import read_document
from stagesync.policy.mappings import load_mapping
from stagesync.policy.parts import FragmentFile
from stagesync.policy.task_texts import BLOCKS, load_template
from stagesync.policy.validation import validate
from stagesync.settings import load_settings
from tests.journeys.terminal import Finished

from .blocks import COMMANDS, REPOSITORY, Block, Command, blocks, commands, documents
from .conftest import Terminal
from .output import refreshed, shows

Demo = Callable[[], Finished]
DOCUMENTS = [pytest.param(file, id=str(file.relative_to(REPOSITORY))) for file in documents()]
_LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:|#)(?P<path>[^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("file", DOCUMENTS)
def test_every_command_does_what_the_document_says(
    file: Path, typed: Terminal, connected: Terminal, demo: Demo
) -> None:
    """All commands of one document, in its order and in one folder, as its reader would."""
    for block in blocks(file):
        if block.language not in COMMANDS:
            continue
        if block.mark == "not run":
            assert block.value, f"{block}: say why it is not run"
            continue
        written = commands(block)
        for command in written:
            code = int(block.value) if block.mark == "exit" and command is written[-1] else 0
            carry_out(command, code, connected if block.mark == "sandbox" else typed, demo)


def carry_out(command: Command, code: int, typed: Terminal, demo: Demo) -> None:
    program, *words = shlex.split(command.line, comments=True)
    if program == "make":
        # The targets themselves are what CI runs; here it is enough that the document names them right.
        subprocess.run(["make", "--dry-run", *words], cwd=REPOSITORY, check=True, capture_output=True)
        return
    assert program == "stagesync", f"{command.block}: cannot run '{command.line}'; mark the block <!-- not run: WHY -->"
    done = demo() if words == ["demo"] else typed(command.line)
    assert done.code == code, f"{command.block}: {command.line} ended with {done.code}\n{done.out}"
    if command.shows is not None:
        assert shows(command.shows, done.out), f"{command.block}: {command.line} printed\n{done.out}"


@pytest.mark.parametrize("file", DOCUMENTS)
def test_the_demo_output_is_real(file: Path, demo: Demo) -> None:
    shown = [block for block in blocks(file) if block.mark == "demo output"]
    for block in shown:
        done = demo()
        assert done.code == 0, f"stagesync demo ended with {done.code}\n{done.out}"
        if os.environ.get("STAGESYNC_UPDATE_DOCS"):
            replace(block, done.out)
        else:
            assert shows(block.text, done.out), f"{block} is not what it prints; run make readme\n{done.out}"


def replace(block: Block, output: str) -> None:
    text = block.file.read_text(encoding="utf-8").splitlines()
    now = refreshed(block.text, output)
    text[block.line : block.line + len(block.text.splitlines())] = now.splitlines()
    block.file.write_text("\n".join(text) + "\n", encoding="utf-8")


@pytest.mark.parametrize("file", DOCUMENTS)
def test_every_yaml_is_accepted(file: Path, tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    for block in blocks(file):
        if block.language == "yaml":
            load(block, tmp_path)


@pytest.mark.parametrize("file", DOCUMENTS)
def test_every_template_is_accepted(file: Path, tmp_path: Path) -> None:
    for block in blocks(file):
        if block.language == "jinja":
            (tmp_path / "task.j2").write_text(block.text, encoding="utf-8")
            template = load_template(tmp_path / "task.j2")
            assert template.blocks.names == set(BLOCKS), f"{block}: show all blocks"


WHOLE = {"ladder", "ladders", "extends"}
"""What only definitions have."""


def load(block: Block, folder: Path) -> None:
    """Through the same reader as the product's; what it is, its keys tell."""
    written = yaml.safe_load(block.text)
    if block.mark == "fragment":
        assert block.value, f"{block}: say what it is a fragment of"
        return
    keys = set(written)
    name = written.get("fragment") or (written["definition"] if keys & WHOLE else f"line{block.line}")
    # Under its own name, so that what follows in the same document can build on it.
    target = folder / f"{name}.yaml"
    target.write_text(block.text, encoding="utf-8")
    if "fragment" in keys:
        document, _ = validate(read_document(target), FragmentFile)
        document.raise_problems()
    elif keys & WHOLE:
        load_definition(target)
    elif "tests" in keys:
        results = outcomes(load_tests(target, load_definition(definitions(written["tests"], folder))))
        assert not [result for result in results if result.differences], f"{block}: not all of these tests hold"
    elif "mapping" in keys:
        load_mapping(target, load_definition(definitions(written["definition"], folder)))
    elif "connections" in keys:
        load_settings(target)
    else:
        pytest.fail(f"{block}: neither definitions, tests, a mapping nor settings; mark it <!-- fragment: OF WHAT -->")


def definitions(name: str, folder: Path) -> Path:
    """Those that the document showed, or the shipped ones."""
    shown = folder / f"{name}.yaml"
    return shown if shown.exists() else folder / f"config/definitions/{name}.yaml"


@pytest.mark.parametrize("file", DOCUMENTS)
def test_every_link_leads_somewhere(file: Path) -> None:
    for link in _LINK.finditer(file.read_text(encoding="utf-8")):
        assert (file.parent / link["path"]).exists(), f"{file.name}: {link['path']} is not there"
