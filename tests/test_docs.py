"""The documents tell the truth: every path, target, command, setting and route they name is there."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vnum.cli import main
from vnum.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"```(?:\w*)\n(.*?)```", re.DOTALL)


def words(path: Path) -> list[str]:
    return CODE.findall(FENCED.sub("", path.read_text()))


def lines_of_code(path: Path) -> list[str]:
    return [line.strip() for block in FENCED.findall(path.read_text()) for line in block.splitlines()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_it_names_exists(document: Path) -> None:
    top = {path.name for path in ROOT.iterdir()}
    named = [word for word in words(document) if "/" in word and word.split("/")[0] in top and " " not in word]
    named = [word for word in named if not word.startswith(".venv")]
    assert [word for word in named if not (ROOT / word).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_it_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = words(document) + lines_of_code(document)
    named = {found for text in texts for found in re.findall(r"^make ([a-z]+)", text)}
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_it_names_exists(document: Path) -> None:
    texts = words(document) + lines_of_code(document)
    for text in texts:
        found = re.match(r"(?:\.venv/bin/)?vnum ([a-z]+)(?: ([a-z]+))?", text)
        if found:
            command = main.commands[found[1]]
            if found[2] and isinstance(command, click.Group):
                assert found[2] in command.commands, text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_it_names_exists(document: Path) -> None:
    named = set(re.findall(r"VNUM_([A-Z_]*[A-Z])", document.read_text()))
    assert {name.lower() for name in named} <= set(Settings.__struct_fields__)


def test_the_operators_page_lists_every_setting() -> None:
    listed = set(re.findall(r"`VNUM_([A-Z_]+)`", (ROOT / "docs/operating.md").read_text()))
    assert {name.upper() for name in Settings.__struct_fields__} <= listed


def test_the_api_page_is_made_from_the_code() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import api_page; print(api_page.page(), end='')"],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == (ROOT / "docs/api.md").read_text(), "run scripts/api_page.py"


def test_the_worked_example_prints_what_the_readme_says() -> None:
    ran = subprocess.run([sys.executable, str(ROOT / "scripts/example.py")], capture_output=True, text=True, check=True)
    shown = next(block for block in FENCED.findall((ROOT / "README.md").read_text()) if "POST /v1/bindings" in block)
    assert _masked(shown) == _masked(ran.stdout)


def _masked(text: str) -> str:
    """Without what differs from run to run: the random bits of ids, and the extension."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"18400913965-\d{4}", "NUMBER", text)
    text = re.sub(r'("extension": ?|"digits": )"\d{4}"', r"\1EXT", text)
    return text.strip()
