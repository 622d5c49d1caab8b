"""What finance does by hand: price lists, who pays them, drafts, lists of invoices, answers to disputes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import uvloop

from vnum.cli import main
from vnum.servers import Endpoints

from .test_commands import Shell, disputed, merchant_of_before, ready, shell  # noqa: F401 (fixtures)
from .test_notes import closed  # noqa: F401 (fixture)

YEAR = datetime.now(UTC).year + 1
LATER = f"""{{"tariff_id": "later", "effective_from": "{YEAR}-01-01T00:00:00+08:00",
 "rental": {{"model": "started_day", "rate": "0.00018"}}, "calls": {{"minute": "0.02"}}}}"""


def _commands(group: click.Group, name: str = "vnum") -> Iterator[tuple[str, click.Command]]:
    for word, found in group.commands.items():
        yield f"{name} {word}", found
        if isinstance(found, click.Group):
            yield from _commands(found, f"{name} {word}")


def test_every_option_says_what_it_is_and_is_called_alike() -> None:
    options = [
        (name, option)
        for name, found in _commands(main)
        for option in found.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    assert [f"{name} {option.opts[0]}" for name, option in options if not option.help] == []
    said = {word for _, option in options for word in option.opts}
    assert said.isdisjoint({"--month", "--merchant-id", "--output", "--by", "--who", "--invoice"})


def test_a_price_list_is_assigned_and_looked_at(ready: Shell, endpoints: Endpoints, tmp_path: Path) -> None:  # noqa: F811
    uvloop.run(merchant_of_before(endpoints, ready.environment["VNUM_SCHEMA"]))
    assert "default" in ready.good("tariff", "list", "--merchant", "m1")
    file = tmp_path / "later.json"
    file.write_text(LATER)
    assert f"{YEAR}-01-01 00:00:00 (Asia/Shanghai)" in ready.good("tariff", "add", str(file))
    ready.good("tariff", "assign", "m1", "later", "--from", f"{YEAR}-02-01")
    shown = ready.good("tariff", "list", "--merchant", "m1")
    assert "the beginning" in shown
    assert f"{YEAR}-02-01 00:00:00" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["assign", "m1", "later"],
            f"tariff_not_found: tariff 'later' begins at {YEAR}-01-01 00:00:00 (Asia/Shanghai)",
        ),
        (["assign", "m1", "lateer"], "tariff_not_found: there is no tariff 'lateer'"),
        (["add", "later.json"], 'an example: "Price lists" in docs/billing.md'),
        (["list", "--merchant", "nobody"], "merchant_not_found"),
    ],
)
def test_a_price_list_that_will_not_do_says_what_would(
    ready: Shell,  # noqa: F811
    endpoints: Endpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    uvloop.run(merchant_of_before(endpoints, ready.environment["VNUM_SCHEMA"]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.json").write_text(LATER)
    (tmp_path / "later.json").write_text(LATER.replace('"model": "started_day", ', ""))
    ready.good("tariff", "add", "good.json")
    result = ready.run("tariff", *arguments)
    assert result.exit_code == 1
    assert words in result.output


def test_closed_invoices_are_listed_by_number(closed: Shell) -> None:  # noqa: F811
    for options in ((), ("--period", "2020-01"), ("--merchant", "m")):
        listed = closed.good("invoice", "list", *options)
        for words in ("1 closed invoices", "VN-2020-000001", "2020-01", "0.04018", "0.04", "0.00018"):
            assert words in listed
    assert "0 closed invoices" in closed.good("invoice", "list", "--period", "2020-02")
    assert "invoice_not_found" in closed.run("invoice", "list", "--after", "VN-1").output


def test_the_draft_of_a_closed_month_says_where_its_invoices_are(closed: Shell) -> None:  # noqa: F811
    said = closed.good("invoice", "draft", "--period", "2020-01")
    assert "closed already (`vnum invoice list --period 2020-01`)" in said


def test_a_month_that_is_not_over_says_when_it_can_be_closed(ready: Shell) -> None:  # noqa: F811
    refused = ready.run("invoice", "close", "--period", "2100-01")
    assert refused.exit_code == 1
    assert "period_not_over: 2100-01 ends at 2100-02-01 00:00 (Asia/Shanghai)" in refused.output


def test_a_dispute_that_is_upheld_names_the_note_of_this_merchant(closed: Shell, endpoints: Endpoints) -> None:  # noqa: F811
    uvloop.run(disputed(endpoints, closed, "a fax machine", merchant_id="m"))
    why = ("--reason", "a fax machine")
    issued = closed.good("invoice", "note", "VN-2020-000001", *why, "--author", "Li Wei", "--call", "c")
    number = issued.split(":")[0]
    refused = closed.run("disputes", "resolve", "1", "--upheld", *why, "--note", f"{number}9")
    assert "note_not_found" in refused.output
    assert "upheld" in closed.good("disputes", "resolve", "1", "--upheld", *why, "--note", number)
    shown = closed.good("invoice", "notes", "--number", "VN-2020-000001")
    for words in ("call c", "0.04", "-0.04"):
        assert words in shown


def test_a_dispute_is_answered_once(ready: Shell, endpoints: Endpoints) -> None:  # noqa: F811
    uvloop.run(disputed(endpoints, ready, "a fax machine"))
    number = next(word for word in ready.good("disputes", "--merchant", "m-markup").split() if word.isdigit())
    answer = ("disputes", "resolve", number, "--rejected", "--reason", "it was answered", "--author", "Li Wei")
    assert "of call c rejected" in ready.good(*answer)
    assert "Li Wei" not in ready.good("disputes", "--merchant", "m-markup")
    assert "answered" in ready.good("disputes", "--state", "rejected")
    assert "dispute_resolved" in ready.run(*answer).output
    assert "--upheld and --rejected" in ready.run("disputes", "resolve", number, "--reason", "x").output
    assert "dispute_not_found" in ready.run("disputes", "resolve", "999", "--upheld", "--reason", "x").output
