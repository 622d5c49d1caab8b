"""The command line, on real servers: what each command says and leaves, and how it refuses."""

import json
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop
from click.testing import CliRunner, Result

from tests.engines import connect_owner
from vnum.cli import main
from vnum.engine import Parts, open_engine
from vnum.finance import open_dispute
from vnum.servers import Endpoints
from vnum.service.clock import peek
from vnum.service.records import CallRecord
from vnum.store.migrate import drop

UNKNOWN = "00000000-0000-7000-8000-000000000000"


class Shell:
    """Runs commands against a schema of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, *arguments: str, typed: str | None = None, **more: str) -> Result:
        """`typed` = the standard input."""
        return CliRunner().invoke(main, arguments, input=typed, env={**self.environment, **more})

    def good(self, *arguments: str, typed: str | None = None) -> str:
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def shell(endpoints: Endpoints, tmp_path: Path) -> Iterator[Shell]:
    schema = f"cli_{secrets.token_hex(4)}"
    shell = Shell(
        {
            "VNUM_DATA_DIR": str(tmp_path),
            "VNUM_POSTGRES_DSN": endpoints.postgres_dsn,
            "VNUM_POSTGRES_ADMIN_DSN": endpoints.postgres_admin_dsn,
            "VNUM_REDIS_URL": endpoints.redis_url,
            "VNUM_MASTER_KEY_FILE": str(tmp_path / "key"),
            "VNUM_SCHEMA": schema,
        }
    )
    yield shell
    uvloop.run(drop(endpoints.postgres_admin_dsn, schema))


@pytest.fixture
def ready(shell: Shell, tmp_path: Path) -> Shell:
    shell.good("keys", "master", str(tmp_path / "key"))
    shell.good("migrate")
    return shell


def test_a_database_of_ones_own_is_migrated_only_by_the_command(shell: Shell, tmp_path: Path) -> None:
    shell.good("keys", "master", str(tmp_path / "key"))
    refused = shell.run("pool")
    assert refused.exit_code == 1
    assert "run `vnum migrate` first" in refused.output
    assert "vnum/0001_core" in shell.good("migrate")
    assert "nothing to do" in shell.good("migrate")
    assert "Redis: up" in shell.good("pool")


def test_without_a_master_key_beside_a_database_of_ones_own_nothing_starts(shell: Shell) -> None:
    shell.good("migrate")
    refused = shell.run("pool")
    assert refused.exit_code == 1
    assert "vnum keys master" in refused.output


def test_a_master_key_is_never_overwritten(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "key"
    shell.good("keys", "master", str(path))
    before = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert shell.run("keys", "master", str(path)).exit_code == 1
    assert path.read_text() == before


def test_hosts_are_imported_and_bad_rows_are_told_with_their_line(ready: Shell, tmp_path: Path) -> None:
    file = tmp_path / "hosts.csv"
    file.write_text(
        "host,city,ext_digits,quarantine_days\n"
        "18400913965,Hangzhou,4,90\n"
        "12345,Hangzhou,4,90\n"
        "18400913966,Jilin,7,90\n"
        "18400913967,Jilin,3,never\n"
        "18400913965,Hangzhou,4,90\n"
    )
    result = ready.run("hosts", "import", str(file))
    assert result.exit_code == 1
    assert "2 hosts registered, 3 refused" in result.output
    assert "hosts.csv:3:" in result.output
    assert "hosts.csv:4:" in result.output
    assert "registered already" in result.output
    shown = ready.good("pool")
    assert "18400913965" in shown
    assert "9,999" in shown
    assert "999" in shown
    assert "2 hosts loaded" in ready.good("pool", "rebuild")


def test_a_file_with_unknown_columns_says_which(ready: Shell, tmp_path: Path) -> None:
    file = tmp_path / "hosts.csv"
    file.write_text("host,town\n18400913965,Hangzhou\n")
    result = ready.run("hosts", "import", str(file))
    assert result.exit_code == 1
    assert "unknown column town" in result.output


def test_keys_are_made_listed_and_revoked_and_their_secret_is_nowhere(ready: Shell, endpoints: Endpoints) -> None:
    text = ready.good("keys", "add", "--role", "finance", "--merchant", "m1").strip()
    matched = re.fullmatch(r"vk_([0-9a-f]+)_([0-9a-f]+)", text)
    assert matched
    key_id, secret = matched.groups()
    listed = ready.good("keys", "list")
    assert key_id in listed
    assert secret not in listed
    assert "m1" in listed
    rows = uvloop.run(_dump(endpoints, ready.environment["VNUM_SCHEMA"]))
    assert secret not in rows
    ready.good("keys", "revoke", key_id)
    assert ready.run("keys", "revoke", key_id).exit_code == 1
    assert ready.run("keys", "add", "--role", "admin", "--merchant", "m1").exit_code == 1


def test_keys_are_rotated_changed_and_end(ready: Shell, endpoints: Endpoints) -> None:
    text = ready.good(
        "keys", "add", "--role", "admin", "--note", "ops", "--rate", "7", "--expires", "2099-01-01"
    ).strip()
    key_id = text.split("_")[1]
    second = ready.good("keys", "rotate", key_id, "--overlap", "12h").strip()
    assert second.startswith(f"vk_{key_id}_")
    assert second != text
    row = uvloop.run(_row(endpoints, ready.environment["VNUM_SCHEMA"], key_id))
    assert row["former_ends_at"] - row["secret_at"] == timedelta(hours=12)
    assert (row["note"], row["rate_per_s"]) == ("ops", 7)
    ready.good("keys", "change", key_id, "--rate", "0", "--note", "nobody")
    ready.good("keys", "rotate", key_id, "--overlap", "0")
    row = uvloop.run(_row(endpoints, ready.environment["VNUM_SCHEMA"], key_id))
    assert (row["former_ends_at"], row["note"], row["rate_per_s"]) == (None, "nobody", 0)
    ready.good("keys", "revoke", key_id)
    for arguments in (
        ("rotate", key_id),
        ("change", key_id, "--note", "x"),
        ("change", key_id),
        ("rotate", key_id, "--overlap", "soon"),
        ("rotate", key_id, "--overlap", "7"),
        ("rotate", key_id, "--overlap", "91d"),
        ("add", "--role", "admin", "--expires", "2020-01-01"),
        ("add", "--role", "admin", "--rate", "-1"),
    ):
        assert ready.run("keys", *arguments).exit_code != 0, arguments


def test_a_key_that_signs_has_an_id_and_a_secret(ready: Shell) -> None:
    said = ready.good("keys", "add", "--role", "platform", "--signed")
    matched = re.fullmatch(r"key ([0-9a-f]{12})\nsecret ([0-9a-f]{64})\n", said)
    assert matched
    again = ready.good("keys", "rotate", matched[1])
    assert re.fullmatch(rf"key {matched[1]}\nsecret [0-9a-f]{{64}}\n", again)
    assert again != said
    assert matched[2] not in ready.good("keys", "list")


async def _row(endpoints: Endpoints, schema: str, key_id: str) -> Any:
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": schema})
    row = await connection.fetchrow("SELECT * FROM api_keys WHERE key_id = $1", key_id)
    await connection.close()
    return row


async def _dump(endpoints: Endpoints, schema: str) -> str:
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": schema})
    rows = await connection.fetch("SELECT a::text FROM api_keys a")
    await connection.close()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["invoice", "close", "--period", "2026-13"], 1, "YYYY-MM"),
        (["invoice", "close", "--period", "9000-01"], 1, "9000-01 ends at"),
        (["invoice", "close", "--period", "2020-01", "--merchant", "nobody"], 1, "nobody"),
        (["bills", "--date", "2026-13-01"], 2, "2026-13-01"),
        (["bills", "--date", "9000-01-01", "--out", "x.csv"], 1, "not 9000-01-01"),
        (["usage", "--merchant", "nobody"], 1, "nobody"),
        (["usage", "--merchant", "shop", "--from", "today"], 2, "today"),
        (["invoice", "export", "--out", "x.csv"], 2, "either --period or --number"),
        (["invoice", "export", "--number", "VN-2026-000001", "--out", "x.csv"], 1, "VN-2026-000001"),
        (["invoice", "export", "--number", "VN-1", "--note", "N", "--out", "x.csv"], 2, "or --note"),
        (["invoice", "export", "--note", "VN-NOTE-1", "--out", "x.csv"], 2, "a note is written with --format pdf"),
        (["invoice", "export", "--number", "VN-1", "--format", "doc", "--out", "x.csv"], 2, "fapiao"),
        (
            ["invoice", "export", "--number", "VN-1", "--format", "pdf", "--bom", "--out", "x.csv"],
            1,
            "only csv and fapiao",
        ),
        (
            ["replay", "--parcels", "absent.csv", "--calls", "absent.csv", "--start", "2026-01-01", "--out", "o"],
            2,
            "absent",
        ),
        (["serve", "--workers", "0"], 2, "workers"),
    ],
)
def test_bad_input_ends_with_a_line_that_says_what(
    ready: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ready.run(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("x.csv*"))


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("VNUM_PORT", "http", "VNUM_PORT is malformed"),
        ("VNUM_PORT", "99999", "VNUM_PORT must be 1 to 65535"),
        ("VNUM_SCHEMA", "a b;", "VNUM_SCHEMA must be"),
        ("VNUM_CELLS", "0", "VNUM_CELLS must be 1 to 4096"),
        ("VNUM_PROT", "1", "unknown setting VNUM_PROT"),
        ("VNUM_REDIS_URL", "redis://127.0.0.1:1/0", "127.0.0.1"),
        ("VNUM_POSTGRES_DSN", "postgresql://x:secret@127.0.0.1:1/none", "127.0.0.1"),
    ],
)
def test_a_bad_setting_is_named(ready: Shell, setting: str, value: str, words: str) -> None:
    result = ready.run("pool", **{setting: value})
    assert result.exit_code == 1
    assert words in result.output
    assert "secret" not in result.output


def test_a_leap_is_accepted_by_name(ready: Shell) -> None:
    assert "accepted: it is" in ready.good("clock", "accept")


def test_doctor_says_what_is_used(ready: Shell) -> None:
    said = ready.good("doctor")
    assert "PostgreSQL" in said
    assert "key id 1" in said


def test_sample_and_replay_are_two_commands_and_leave_a_summary(ready: Shell, tmp_path: Path) -> None:
    ready.good("sample", "--out", str(tmp_path), "--parcels", "12", "--calls", "20")
    out = tmp_path / "out"
    files = ["--parcels", str(tmp_path / "parcels.csv"), "--calls", str(tmp_path / "calls.csv")]
    said = ready.good("replay", *files, "--start", "2024-02-20", "--out", str(out))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["bindings"] == 12
    assert summary["rental_days"] == 360
    assert not any(summary["audit"].values())
    for name in ("summary.json", "pool.txt", "slots of the pool"):
        assert name in said


def test_a_replay_of_nothing_usable_says_so(ready: Shell, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("order_id,city,region_id,accepted_at\n")
    (tmp_path / "c.csv").write_text("call_id,called_at,outcome,wait_seconds,talk_seconds\n")
    files = ["--parcels", str(tmp_path / "p.csv"), "--calls", str(tmp_path / "c.csv")]
    result = ready.run("replay", *files, "--start", "2024-02-20", "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "no usable parcel" in result.output


def test_another_master_key_is_refused_and_a_lost_one_is_not_replaced(ready: Shell, tmp_path: Path) -> None:
    ready.good("pool")
    other = tmp_path / "other"
    ready.good("keys", "master", str(other))
    for path in (other, tmp_path / "absent"):
        refused = ready.run("pool", VNUM_MASTER_KEY_FILE=str(path))
        assert refused.exit_code == 1
        assert "this database was sealed with" in refused.output
    assert not (tmp_path / "absent").exists()
    ready.good("pool")


def test_a_master_key_is_put_in_the_place_of_another(ready: Shell, tmp_path: Path) -> None:
    ready.good("pool")
    new = tmp_path / "new"
    ready.good("keys", "master", str(new), "--id", "2")
    assert new.read_text().startswith("2:")
    assert ready.run("keys", "master", "rotate").exit_code == 2
    assert "6 data keys are wrapped by key id 2 now" in ready.good("keys", "master", "rotate", "--to-file", str(new))
    assert "nothing to do" in ready.good("keys", "master", "rotate", "--to-file", str(new))
    refused = ready.run("pool")
    assert (refused.exit_code, "wrapped by key id 2, this is key id 1" in refused.output) == (1, True)
    assert ready.run("pool", VNUM_MASTER_KEY_FILE=str(new)).exit_code == 0
    assert ready.run("pool", VNUM_MASTER_KEY_FILE="", VNUM_MASTER_KEY=new.read_text().strip()).exit_code == 0
    both = ready.run("pool", VNUM_MASTER_KEY=new.read_text().strip())
    assert (both.exit_code, "not more" in both.output) == (1, True)


def test_what_is_held_about_a_person_is_told_and_erased(ready: Shell, endpoints: Endpoints) -> None:
    """The phone comes by standard input, and comes out nowhere."""
    uvloop.run(_lend(endpoints, ready.environment["VNUM_SCHEMA"]))

    def say(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, env=ready.environment, input="13912345678\n")

    for arguments in (("export",), ("erase", "--reason", "asked"), ("erase", "--reason", "again"), ("export",)):
        told = say("subject", *arguments)
        assert (told.exit_code, "13912345678" in told.output) == (0, False), told.output
    refused = say("subject", "erase", "--reason", "of 13912345678")
    assert (refused.exit_code, "13912345678" in refused.output) == (1, False)


def test_what_is_kept_until_when_is_shown_and_ended(ready: Shell) -> None:
    shown = ready.good("retention", "show")
    assert "183 days after a binding's end" in shown
    assert re.search(r"until 20\d\d-\d\d-\d\d", shown)
    assert "deleted: 0 audit entries" in ready.good("retention", "run")


def test_usage_and_the_bill_of_a_date(ready: Shell, endpoints: Endpoints, tmp_path: Path) -> None:
    uvloop.run(_lend(endpoints, ready.environment["VNUM_SCHEMA"]))
    shown = ready.good("usage", "--merchant", "shop", "--from", "2026-01-05", "--to", "2026-01-08")
    assert re.search(r"2026-01-05\W+1\W+1\W+1\W+0.00018\W+0\W+0\W+0\W+0.00018\W+█", shown), shown
    assert re.search(r"all\W+1\W+2\W+0.00036", shown), shown
    assert "CNY spent (ok, cap 5)" in shown
    out = tmp_path / "bill.csv"
    assert "written" in ready.good("bills", "--date", "2026-01-06", "--out", str(out))
    rows = out.read_text().splitlines()
    assert rows[1].startswith("shop,2026-01-06,0,1,0.00018,=o".replace("=", "'=")), rows
    assert ready.good("bills", "--date", "2026-01-06", "--merchant", "shop").splitlines() == rows
    assert len(ready.good("bills", "--date", "2026-01-06", "--merchant", "other").splitlines()) == 1


async def _lend(endpoints: Endpoints, schema: str) -> None:
    """A number of two days of January."""
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": schema})
    await connection.execute(
        """
        INSERT INTO merchants (merchant_id, name, created_at, spend_cap) VALUES ('shop', 'Shop', '2026-01-01', 5);
        SELECT ensure_months('2026-01-01+00', '2026-01-31+00');
        INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city_strict, ttl_days,
                              bound_at, expires_at, ended_at, key_id)
        SELECT 0, first_id(at), 'shop', '=o1', '18400913965', '1234', 'axe', false, 2, at, at + interval '48 hours',
               at + interval '48 hours', 1
        FROM (SELECT timestamptz '2026-01-05 04:00+00' AS at) AS bound
        """
    )
    await connection.close()


def test_a_month_that_is_not_closed_gives_no_file(ready: Shell, tmp_path: Path) -> None:
    out = tmp_path / "bill.csv"
    out.write_text("the bill of before")
    refused = ready.run("invoice", "export", "--period", "2020-01", "--out", str(out))
    assert refused.exit_code == 1
    assert "2020-01 has nothing to export" in refused.output
    assert out.read_text() == "the bill of before"


def test_a_closed_month_is_written_in_every_format(ready: Shell, endpoints: Endpoints, tmp_path: Path) -> None:
    uvloop.run(merchant_of_before(endpoints, ready.environment["VNUM_SCHEMA"]))
    assert "2020-01: 0 invoices of 1 merchants" in ready.good("invoice", "close", "--period", "2020-01")
    for form, options, begins in (
        ("csv", ["--bom"], b"\xef\xbb\xbfmerchant_id,"),
        ("fapiao", ["--bom"], "\ufeff账单号 invoice_number,".encode()),
        ("xlsx", [], b"PK"),
        ("pdf", [], b"%PDF-1.7"),
        ("json", [], b'{"period":"2020-01","invoices":[]}'),
    ):
        out = tmp_path / f"bill.{form}"
        said = ready.good("invoice", "export", "--period", "2020-01", "--format", form, *options, "--out", str(out))
        assert "bill." in said
        assert out.read_bytes().startswith(begins), form


async def merchant_of_before(endpoints: Endpoints, schema: str) -> None:
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": schema})
    await connection.execute("INSERT INTO merchants (merchant_id, name, created_at) VALUES ('m1', 'm1', '2020-01-02Z')")
    await connection.close()


def test_hosts_out_of_a_spreadsheet_in_another_encoding_are_refused(ready: Shell, tmp_path: Path) -> None:
    file = tmp_path / "hosts.csv"
    file.write_bytes("host,city\n18500000014,杭州\n18500000015\n18500000016,a,b\n".encode("gb18030"))
    result = ready.run("hosts", "import", str(file))
    assert result.exit_code == 1
    assert "1 hosts registered, 2 refused" in result.output
    assert "hosts.csv:2: not UTF-8" in result.output
    assert "hosts.csv:4: more cells" in result.output


def test_records_that_were_not_taken_are_listed_and_decided(ready: Shell, endpoints: Endpoints) -> None:
    assert "0 open" in ready.good("records", "reviews")
    review_id = uvloop.run(_not_taken(endpoints, ready))
    listed = ready.good("records", "reviews")
    for words in ("1 open", "138****0000", "host_not_found", "184****3965"):
        assert words in listed
    refused = ready.run("records", "decide", review_id, "--retry", "--reason", "host comes today")
    assert refused.exit_code == 1
    assert "still open: host_not_found" in refused.output
    assert "discarded" in ready.good("records", "decide", review_id, "--discard", "--reason", "a test call")
    again = ready.run("records", "decide", review_id, "--discard", "--reason", "a test call")
    assert again.exit_code == 1
    assert "decided" in again.output
    assert "1 discarded" in ready.good("records", "reviews", "--state", "discarded")


async def _not_taken(endpoints: Endpoints, shell: Shell) -> str:
    """A record of a host that nobody registered; the id of its review."""
    parts = Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=Path(shell.environment["VNUM_MASTER_KEY_FILE"]),
        schema=shell.environment["VNUM_SCHEMA"],
        postgres_connections=2,
    )
    async with open_engine(parts) as engine:
        now = await peek(engine.clock, engine.database)
        ended = CallRecord(call_id="c1", host="18400913965", caller="13800000000", call_time=now, release_time=now)
        await engine.records.report([ended])
        (review,) = await engine.reviews.page()
    return str(review.review_id)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["records", "decide", "x", "--discard", "--reason", "r"], "not a valid UUID"),
        (["records", "decide", UNKNOWN, "--discard"], "--reason"),
        (["records", "decide", UNKNOWN, "--reason", "r"], "one of --accept"),
        (["records", "decide", UNKNOWN, "--discard", "--reason", " "], "must not be empty"),
        (["records", "decide", UNKNOWN, "--discard", "--reason", "r"], "review_not_found"),
        (["records", "reviews", "--state", "closed"], "closed"),
        (["disputes", "--state", "closed"], "closed"),
    ],
)
def test_a_decision_that_can_not_be_made_says_why(ready: Shell, arguments: list[str], words: str) -> None:
    result = ready.run(*arguments)
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert "Traceback" not in result.output


def test_price_lists_are_shown_whole(ready: Shell, tmp_path: Path) -> None:
    """Also on a narrow screen, and whatever their names look like."""
    terms = {
        "tariff_id": "[/red]",
        "effective_from": "2026-01-01T00:00:00+08:00",
        "rental": {"model": "calendar_day", "rate": "0.000000271"},
        "calls": {"model": "increments", "minute": "0.03"},
    }
    (tmp_path / "terms.json").write_text(json.dumps(terms))
    assert "tariff [/red] version 1 holds" in ready.good("tariff", "add", str(tmp_path / "terms.json"))
    shown = [[cell.strip() for cell in line.split("│")] for line in ready.good("tariff", "list").splitlines()]
    columns = ["".join(column) for column in zip(*(cells for cells in shown if len(cells) > 1), strict=True)]
    assert columns[1].startswith("[/red]")
    assert columns[4].startswith("0.000000271")


def test_disputes_are_listed(ready: Shell) -> None:
    assert "0 open" in ready.good("disputes")
    assert "0 upheld" in ready.good("disputes", "--state", "upheld", "--merchant", "m1")


def test_what_merchants_write_is_no_markup(ready: Shell, endpoints: Endpoints) -> None:
    """A closing tag that nothing opened would end the listing for everybody."""
    uvloop.run(disputed(endpoints, ready, "[/x]:smile:"))
    assert "[/x]:smile:" in ready.good("disputes", "--merchant", "m-markup")


async def disputed(endpoints: Endpoints, shell: Shell, reason: str, merchant_id: str = "m-markup") -> None:
    owner = await connect_owner(endpoints, shell.environment["VNUM_SCHEMA"])
    try:
        await open_dispute(
            owner,
            merchant_id=merchant_id,
            call_id="c",
            reason=reason,
            author="a",
            now=datetime(2026, 10, 5, tzinfo=UTC),
        )
    finally:
        await owner.close()
