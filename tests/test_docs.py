"""The documents tell the truth: every path, target, command, setting and route they name is there."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest

from billing.tariffs import TariffVersion, problems
from vnum.cli import main
from vnum.service.tariffs import NewTariff
from vnum.settings import Settings
from vnum.voice.settings import SwitchSettings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"`([^`\n]+)`")
DEPLOYED = {
    name
    for file in ROOT.glob("deploy/*/*settings*")
    for name in re.findall(r"^[^;]*?VNUM_([A-Z_]+)", file.read_text(), re.M)
}
"""Settings of switches that are not ours, in their own files."""

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
        found = re.match(r"(?:\.venv/bin/)?vnum ([a-z]+(?:-[a-z]+)?)(?: ([a-z]+))?", text)
        if found:
            command = main.commands[found[1]]
            if found[2] and isinstance(command, click.Group):
                assert found[2] in command.commands, text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_it_names_exists(document: Path) -> None:
    named = set(re.findall(r"VNUM_([A-Z_]*[A-Z])", document.read_text())) - DEPLOYED
    known = {*Settings.__struct_fields__, *(f"switch_{name}" for name in SwitchSettings.__struct_fields__)}
    assert {name.lower() for name in named} <= known


def test_the_readme_says_who_uses_each_command() -> None:
    rows = (ROOT / "README.md").read_text().split("## The commands")[1].split("\n## ")[0]
    named = {" ".join(re.findall(r"^[a-z]+(?:-[a-z]+)?|(?<= )[a-z]+", word)) for word in CODE.findall(rows)}
    leaves = {
        f"{name} {part}" if part else name
        for name, found in main.commands.items()
        for part in (found.commands if isinstance(found, click.Group) and name not in named else [""])
    }
    assert leaves - named == set()
    assert {"pool rebuild", "disputes resolve"} <= named


def test_links_inside_a_page_lead_to_its_sections() -> None:
    for document in DOCUMENTS:
        text = FENCED.sub("", document.read_text())
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors, document.name


def test_the_month_by_hand_comes_to_what_the_page_says(tmp_path: Path) -> None:
    section = (ROOT / "docs/billing.md").read_text().split("## A month by hand")[1].split("\n## ")[0]
    usage, tariffs, shown = FENCED.findall(section)
    (tmp_path / "usage.csv").write_text(usage)
    (tmp_path / "tariffs.json").write_text(tariffs)
    command, *printed = shown.splitlines()
    ran = subprocess.run(
        [sys.executable, *command.split()[2:]], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = [line.split() for line in ran.stdout.splitlines()]
    assert [line for line in printed if line.split() not in said] == []
    costs = [row["cost"] for row in csv.DictReader((tmp_path / "bills/details-2026-01.csv").open())]
    by_hand = dict(re.findall(r"^\| ([\w -]+) \|.*\| ([\d.]+) \|$", section, re.MULTILINE))
    assert [by_hand[name] for name in ("rental", "c-1", "c-2")] == costs
    (january, february) = json.loads((tmp_path / "bills/invoices.json").read_text())["invoices"]
    fields = ("total_exact", "tax_exact", "balance")
    assert [by_hand[name] for name in ("total", "added tax", "balance")] == [january[field] for field in fields]
    for word in (january["carried_out"], february["tax_exact"], february["balance"], february["amount_due"]):
        assert word in section


def test_the_price_list_of_the_page_can_be_added() -> None:
    section = (ROOT / "docs/billing.md").read_text().split("## Price lists")[1].split("\n## ")[0]
    new = msgspec.json.decode(FENCED.findall(section)[0], type=NewTariff)
    version = TariffVersion(
        version=1, **{name: getattr(new, name) for name in TariffVersion.__struct_fields__ if name != "version"}
    )
    assert problems(version) == []


def test_the_voice_page_lists_every_setting_of_the_switch() -> None:
    listed = set(re.findall(r"`VNUM_SWITCH_([A-Z_]+)`", (ROOT / "docs/voice.md").read_text()))
    assert {name.upper() for name in SwitchSettings.__struct_fields__} <= listed


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
    """Without what differs from run to run: the random bits of ids, the tokens made of them, and the extension."""
    text = re.sub(r"rt_[\w-]{43}", "TOKEN", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"18400913965-\d{4}", "NUMBER", text)
    text = re.sub(r'("extension": ?|"digits": )"\d{4}"', r"\1EXT", text)
    return text.strip()
