"""Closed invoices put right from the command line."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pypdfium2
import pytest
import uvloop

from tests.engines import request
from vnum.engine import Parts, open_engine
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.clock import ManualClock
from vnum.service.hosts import NewHost
from vnum.service.merchants import NewMerchant
from vnum.service.records import CallRecord

from .test_commands import Shell, ready, shell  # noqa: F401 (fixtures)

JANUARY = datetime(2020, 1, 10, 4, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def closed(ready: Shell, endpoints: Endpoints, tmp_path: Path) -> Shell:  # noqa: F811
    """January 2020 of merchant m: one day (0.00018) and a call of 61 s (0.04), closed as VN-2020-000001."""
    uvloop.run(_january(endpoints, ready.environment["VNUM_SCHEMA"], tmp_path / "key"))
    return ready


async def _january(endpoints: Endpoints, schema: str, key: Path) -> None:
    parts = Parts(
        postgres_dsn=endpoints.postgres_dsn, redis_url=endpoints.redis_url, key_file=key, schema=schema,
        postgres_connections=2,
    )  # fmt: skip
    clock = ManualClock(JANUARY)
    async with open_engine(parts, clock=clock) as engine:
        await engine.merchants.add(NewMerchant(merchant_id="m", name="m"))
        await engine.hosts.add(NewHost(host="18400913965"))
        (bound,) = await engine.binder.bind([request("o", ttl_days=1)])
        assert isinstance(bound, Bound)
        clock.instant += timedelta(hours=1)
        dialled = JANUARY + timedelta(minutes=5)
        call = CallRecord(
            call_id="c", host="18400913965", extension=bound.binding.extension, caller="13800000000",
            call_time=dialled, answer_time=dialled + SECOND, release_time=dialled + 62 * SECOND,
        )  # fmt: skip
        await engine.records.report([call])
        clock.instant += timedelta(days=30)
        await engine.invoices.close("2020-01")
        await engine.pool.drop()


WHY = ("--reason", "disputed", "--author", "Li Wei")


def test_notes_are_issued_and_listed(closed: Shell) -> None:
    said = closed.good("invoice", "note", "VN-2020-000001", *WHY, "--call", "c", "--amount", "-0.011")
    assert re.match(
        r"VN-NOTE-\d{4}-000001: credit of -0.011 CNY on VN-2020-000001, -0.01 due, -0.001 carried to the next", said
    )
    free = ("--amount", "0.5", "--item", "rental", "--text", "an order of December")
    assert "000002: debit of 0.471 CNY" in closed.good(
        "invoice", "note", "VN-2020-000001", *WHY, "--call", "c", *free
    )  # 0.5 - 0.029 that was left of the call
    for options in ((), ("--number", "VN-2020-000001"), ("--period", "2020-01", "--merchant", "m")):
        listed = closed.good("invoice", "notes", *options).split("their lines")[0]
        words = ("VN-NOTE-", "VN-2020-000001", "-0.011", "0.471", "disputed")
        assert [listed.count(word) for word in words] == [2, 2, 1, 1, 2], listed
    assert "VN-NOTE" not in closed.good("invoice", "notes", "--period", "2020-02")


def test_a_note_is_written_as_a_file(closed: Shell, tmp_path: Path) -> None:
    said = closed.good("invoice", "note", "VN-2020-000001", *WHY, "--call", "c")
    number = said.split(":")[0]
    out = tmp_path / "note.file"
    for form, begins in (("pdf", b"%PDF-1.7"), ("json", f'{{"number":"{number}","kind":"credit"'.encode())):
        written = closed.good("invoice", "export", "--note", number, "--format", form, "--out", str(out))
        assert f"{out} written" in written.replace("\n", "")
        assert out.read_bytes().startswith(begins)
    refused = closed.run("invoice", "export", "--note", "VN-NOTE-2020-000009", "--format", "pdf", "--out", str(out))
    assert (refused.exit_code, "no note 'VN-NOTE-2020-000009'" in refused.output) == (1, True)
    assert out.read_bytes().startswith(begins), "the file of before stays"
    bill = tmp_path / "bill.csv"
    item = {"VNUM_FAPIAO_ITEM": "号码租赁"}
    closed.run("invoice", "export", "--number", "VN-2020-000001", "--format", "fapiao", "--out", str(bill), **item)
    assert [line.split(",")[5] for line in bill.read_text().splitlines()[1:]] == ["号码租赁", "号码租赁"]


def test_settings_name_who_issues(closed: Shell, tmp_path: Path) -> None:
    number = closed.good("invoice", "note", "VN-2020-000001", *WHY, "--call", "c").split(":")[0]
    us = {"VNUM_ISSUER_NAME": "杭州某某 Ltd", "VNUM_ISSUER_TAX_NO": "91330100MA2BBBBB2Y"}
    out = tmp_path / "paper.pdf"
    for chosen in (("--note", number), ("--number", "VN-2020-000001")):
        result = closed.run("invoice", "export", *chosen, "--format", "pdf", "--out", str(out), **us)
        assert result.exit_code == 0, result.output
        text = pypdfium2.PdfDocument(out)[0].get_textpage().get_text_range()
        assert "杭州某某 Ltd（VN）" in text
        assert "91330100MA2BBBBB2Y" in text


def test_a_month_is_rated_anew(closed: Shell, tmp_path: Path) -> None:
    file = tmp_path / "agreed.json"
    file.write_text(
        '{"tariff_id": "agreed", "effective_from": "2020-01-01T00:00:00+08:00", '
        '"rental": {"model": "started_day", "rate": "0.00018"}, '
        '"calls": {"model": "increments", "minute": "0.015"}}'
    )
    closed.good("tariff", "add", str(file))
    asked = ("invoice", "rerate", "--period", "2020-01", "--tariff", "agreed", *WHY)
    line = "VN-2020-000001 of m: charged 0.04018, difference -0.01"
    dry = closed.good(*asked, "--dry-run")
    assert line in dry
    assert "1 would get a note, 0 refused: 0 CNY debit, -0.01 CNY credit, -0.01 CNY due" in dry
    done = closed.good(*asked, "--merchant", "m")
    assert re.search(re.escape(line) + r"  VN-NOTE-\d{4}-000001", done)
    assert "0 got a note" in closed.good(*asked)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["note", "VN-2020-000009", *WHY, "--call", "c"], 1, "VN-2020-000009"),
        (["note", "VN-2020-000001", *WHY], 2, "say what for: --call, --binding, or --amount"),
        (["note", "VN-2020-000001", "--call", "c"], 2, "--reason"),
        (["note", "VN-2020-000001", *WHY, "--call", "x"], 1, "has no call x"),
        (["note", "VN-2020-000001", *WHY, "--call", "c", "--amount", "-1"], 1, "0.04 of call c is left"),
        (["note", "VN-2020-000001", *WHY, "--amount", "much"], 2, "'much' is no amount"),
        (["note", "VN-2020-000001", *WHY, "--amount", "-1"], 2, "a part of one --call or one --binding"),
        (["note", "VN-2020-000001", *WHY, "--amount", "-1", "--item", "call"], 2, "--amount, --item and --text"),
        (["note", "VN-2020-000001", *WHY, "--item", "call", "--text", "t"], 2, "--amount, --item and --text"),
        (["note", "VN-2020-000001", *WHY, "--binding", "1@x"], 2, "is no binding"),
        (["notes", "--number", "VN-2020-000001", "--period", "2020-01"], 2, "either --number"),
        (["notes", "--period", "2020"], 1, "YYYY-MM"),
        (["rerate", "--period", "2020-13", *WHY], 1, "YYYY-MM"),
        (["rerate", "--period", "2020-01", "--tariff", "x", *WHY], 1, "tariff_missing: there is no tariff 'x'"),
        (["rerate", "--period", "2020-02", *WHY], 1, "not closed yet"),
        (["rerate", "--period", "2020-01", "--reason", " ", "--author", "x"], 1, "reason must be"),
    ],
)
def test_bad_input_ends_with_a_line_that_says_what(closed: Shell, arguments: list[str], code: int, words: str) -> None:
    result = closed.run("invoice", *arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output
