"""Tells a story to the service, over HTTP only, and compares every bill and every export with what it should be."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from billing.periods import Period
from tests.api.conftest import Reply, World
from tests.engines import connect_owner, key_folder, open_world, schema
from vnum.api.server import serve
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.keys import Role
from vnum.store.clock import ensure_months

from .story import SHANGHAI, Bill, Step, Story, Sum, instant, read_bills, read_steps

__all__ = ["key_folder", "schema"]

HOST = "18400913965"
CALLER = "13712345678"

# Terms of a price list that are not said: a started day 0.00018, a started minute 0.02, nothing else.
TERMS = {
    "day": "0.00018", "count": "started", "minute": "0.02", "first": "60", "next": "60", "minimum": "0", "free": "0",
    "setup": "0", "free_minutes": "0", "tax": "none",
}  # fmt: skip


WIPE = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT c.oid::regclass FROM pg_class c
                WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                  AND relname NOT IN ('migrations', 'tariffs')
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    DELETE FROM tariffs WHERE tariff_id <> 'default' OR version > 1;
END $$
"""


class Teller:
    """Does what the steps say. `bound` = the answer to each order's latest binding."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bound: dict[str, dict[str, Any]] = {}
        self._month: Period | None = None

    async def tell(self, step: Step) -> None:
        await self.move(step.at)
        reply = await getattr(self, f"_{step.verb}")(*step.words)
        answer = step.answer
        if isinstance(reply, Reply):
            assert (reply.code or "") == answer if answer else reply.status < 300, (step, reply.body)
        elif reply is not None:
            told = f"{reply['status']} {reply.get('code', '')}".strip()
            assert told.startswith(answer or "rated"), (step, reply)

    async def move(self, to: datetime) -> None:
        """Never back; and the store has room for the months ahead, as the service's own care sees to."""
        self.world.clock.instant = max(to, self.world.clock.instant)
        if (month := Period.of(self.world.clock.instant)) != self._month:
            await ensure_months(self.world.engine.database, self.world.clock.instant)
            self._month = month

    async def _merchant(self, merchant: str, tariff: str = "default") -> Reply:
        return await self.world.post("/v1/merchants", {"merchant_id": merchant, "name": merchant, "tariff_id": tariff})

    async def _suspend(self, merchant: str) -> Reply:
        return await self.world.patch(f"/v1/merchants/{merchant}", {"state": "suspended"})

    async def _tariff(self, name: str, since: str, *terms: str) -> Reply:
        of = TERMS | dict(term.split("=") for term in terms)
        mode, _, rate = of["tax"].partition(":")
        new = {
            "tariff_id": name,
            "effective_from": instant(since).isoformat(),
            "rental": {"model": "calendar_day" if of["count"] == "calendar" else "started_day", "rate": of["day"]},
            "calls": {
                "model": "increments",
                "minute": of["minute"],
                "setup_fee": of["setup"],
                **{f"{term}_s": int(of[term]) for term in ("first", "next", "minimum", "free")},
            },
            "free_minutes": int(of["free_minutes"]),
            "tax": {"mode": "included", "rate": "0"} if mode == "none" else {"mode": mode, "rate": rate},
        }
        return await self.world.post("/v1/tariffs", new, role="finance")

    async def _assign(self, merchant: str, tariff: str, since: str | None = None) -> Reply:
        change = {"tariff_id": tariff} | ({} if since is None else {"tariff_from": instant(since).isoformat()})
        return await self.world.patch(f"/v1/merchants/{merchant}", change)

    async def _bind(self, order: str, days: str, merchant: str = "m") -> Reply:
        reply = await self.world.bind(order, merchant_id=merchant, ttl_days=int(days))
        if reply.status == 201:
            self.bound[order] = reply.body
        return reply

    async def _extend(self, order: str, days: str) -> Reply:
        return await self.world.post(f"/v1/bindings/{self.bound[order]['binding_id']}/extend", {"days": int(days)})

    async def _release(self, order: str) -> Reply:
        return await self.world.post(f"/v1/bindings/{self.bound[order]['binding_id']}/release", {"reason": "done"})

    async def _policy(self, *rules: str) -> Reply:
        sent = {name: int(days) for name, _, days in (rule.partition("=") for rule in rules)}
        return await self.world.call("PUT", "/v1/platform/policy", sent, role="admin")

    async def _told(self, order: str, type: str, merchant: str = "m") -> Reply:
        return await self.world.post(f"/v1/orders/{merchant}/{order}/events", {"type": type})

    async def _call(self, order: str, call_id: str, seconds: str) -> dict[str, Any]:
        answered = self.world.clock.instant
        released = answered + timedelta(microseconds=int(Decimal(seconds) * 1_000_000))
        await self.move(released)
        return await self._report(order, call_id, f"answer={answered}", f"release={released}")

    async def _report(self, order: str, call_id: str, *times: str) -> dict[str, Any]:
        """Offsets go through as they were written: equal instants must count as equal."""
        today = self.world.clock.instant.astimezone(SHANGHAI).date()
        said = {name: _written(text, today) for name, _, text in (time.partition("=") for time in times)}
        binding = self.bound[order]
        record = {
            "call_id": call_id,
            "binding_id": binding["binding_id"],
            "host": binding["host"],
            "extension": binding["extension"],
            "caller": CALLER,
            "call_time": said.get("dial") or said.get("answer"),
            "answer_time": said.get("answer"),
            "release_time": said["release"],
        }
        reply = await self.world.post("/v1/calls/records", {"items": [record]}, role="switch")
        assert reply.status == 200, reply.body
        result: dict[str, Any] = reply.body["results"][0]
        return result

    async def _close(self, period: str, merchant: str | None = None) -> Reply:
        asked = {"period": period} | ({} if merchant is None else {"merchant_id": merchant})
        return await self.world.post("/v1/invoices/close", asked, role="finance")

    async def close_through(self, first: Period, last: Period) -> None:
        """Every month, three hours after its end, those that a step closed once more."""
        period = first
        while period <= last:
            await self.move(period.ends_at + timedelta(hours=3))
            drafts = await self.drafts(str(period))
            reply = await self._close(str(period))
            assert reply.status == 200, reply.body
            made = [one for one in await self.invoices() if one["period"] == str(period)]
            assert reply.body["invoices_made"] == len(drafts)
            assert drafts == [shown(one) for one in made if one["merchant_id"] in {d["merchant_id"] for d in drafts}]
            period = period.next

    async def drafts(self, period: str) -> list[dict[str, Any]]:
        """What the month would be, of those whose month is not closed; a close at once must make just that of it."""
        reply = await self.world.get(f"/v1/invoices/draft?period={period}", role="finance")
        assert reply.status == 200, reply.body
        return [shown(draft) for draft in reply.body["invoices"]]

    async def invoices(self) -> list[dict[str, Any]]:
        reply = await self.world.get("/v1/invoices", role="finance")
        found: list[dict[str, Any]] = reply.body["invoices"]
        return found

    async def export(self, path: str) -> Any:
        reply = await self.world.get(f"/v1/invoices/{path}", role="finance")
        assert reply.status == 200, reply.body
        return list(csv.DictReader(io.StringIO(reply.body))) if isinstance(reply.body, str) else reply.body


def shown(bill: dict[str, Any]) -> dict[str, Any]:
    """What a draft and an invoice have in common."""
    return {name: value for name, value in bill.items() if name not in ("number", "state", "as_of", "closed_at")}


def _written(text: str, today: date) -> str:
    """As RFC 3339 wants it: of today, with seconds, and by Shanghai's clock, unless the text says else."""
    day, hour = text.replace(" ", "T").split("T") if re.match(r"\d{4}-", text) else (today.isoformat(), text)
    whole = day + "T" + re.sub(r"^(\d\d:\d\d)(?!:)", r"\1:00", hour)
    return whole if datetime.fromisoformat(whole).tzinfo else f"{whole}+08:00"


@pytest.fixture
def told(endpoints: Endpoints, schema: str, key_folder: Path) -> Callable[[Story], Awaitable[Teller]]:
    """Tells a whole story and checks its bills."""

    async def tell(story: Story) -> None:
        steps, bills = read_steps(story.steps), read_bills(story.bills)
        async with open_teller(endpoints, schema, key_folder, steps[0].at) as teller:
            if not any(step.verb == "merchant" and step.words[0] == "m" for step in steps):
                await teller._merchant("m")
            for step in steps:
                await teller.tell(step)
            last = max(Period.parse(bill.period) for bill in bills)
            await teller.close_through(Period.of(steps[0].at), last)
            await check(teller, bills)

    return tell


async def wipe(endpoints: Endpoints, schema: str) -> None:
    """Row by row: the stories leave few of them, in partitions of many months, which TRUNCATE would all make anew."""
    owner = await connect_owner(endpoints, schema)
    try:
        await owner.execute(WIPE)
    finally:
        await owner.close()


@asynccontextmanager
async def open_teller(
    endpoints: Endpoints, schema: str, key_folder: Path, begins_at: datetime
) -> AsyncIterator[Teller]:
    clock = ManualClock(begins_at)
    await wipe(endpoints, schema)
    async with (
        open_world(endpoints, schema, key_folder, clock=clock, wipe=False) as opened,
        serve(opened.engine) as serving,
        aiohttp.ClientSession() as session,
    ):
        await opened.engine.pool.drop()
        world = World(opened.engine, clock, session, serving.url, opened.owner, opened.parts)
        for role in (Role.PLATFORM, Role.ADMIN, Role.FINANCE, Role.SWITCH):
            world.keys[role.value] = await world.key_of(role)
        teller = Teller(world)
        await teller.move(begins_at)
        await world.post("/v1/hosts", {"host": HOST, "quarantine_days": 1}, role="admin")
        yield teller


async def check(teller: Teller, bills: list[Bill]) -> None:
    """The invoices are those of the story, numbered without a gap; and every export adds up to them."""
    invoices = await teller.invoices()
    by_key = {(invoice["merchant_id"], invoice["period"]): invoice for invoice in invoices}
    assert sorted(by_key) == sorted((bill.merchant, bill.period) for bill in bills if bill.sum)
    carried: dict[str, Fraction] = defaultdict(Fraction)
    for bill in bills:
        if bill.sum is not None:
            carried[bill.merchant] = check_bill(bill, bill.sum, by_key[bill.merchant, bill.period], carried)
    check_numbers([invoice["number"] for invoice in invoices])
    for period in sorted({bill.period for bill in bills}):
        await check_exports(teller, period, [i for i in invoices if i["period"] == period])


def check_bill(bill: Bill, expected: Sum, invoice: dict[str, Any], carried: dict[str, Fraction]) -> Fraction:
    """What it carries over."""
    lines = sorted((Fraction(line["quantity"]), Fraction(line["rate"])) for line in invoice["lines"])
    assert lines == sorted(expected.lines.elements()), (bill, invoice["lines"])
    assert all(Fraction(line["amount"]) == line["quantity"] * Fraction(line["rate"]) for line in invoice["lines"])
    late = (sum(count for count, _ in expected.late), sum(count * amount for count, amount in expected.late))
    assert (invoice["adjustments_count"], Fraction(invoice["adjustments_total"])) == late
    balance = carried[bill.merchant] + expected.total + bill.tax
    found = {name: Fraction(invoice[name]) for name in ("total_exact", "tax_exact", "carried_in", "balance")}
    assert found == {
        "total_exact": expected.total,
        "tax_exact": bill.tax,
        "carried_in": carried[bill.merchant],
        "balance": balance,
    }
    assert invoice["amount_due"] == bill.due, (bill, float(balance))
    rest = balance - Fraction(bill.due)
    assert abs(rest) <= Fraction(1, 200)
    assert Fraction(invoice["carried_out"]) == rest
    assert bill.carry in (None, rest), (bill, float(rest))
    return rest


def check_numbers(numbers: list[str]) -> None:
    by_year: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        _, year, serial = number.split("-")
        by_year[year].append(int(serial))
    for year, serials in by_year.items():
        assert sorted(serials) == list(range(1, len(serials) + 1)), year


async def check_exports(teller: Teller, period: str, invoices: list[dict[str, Any]]) -> None:
    whole = await teller.export(f"export?period={period}&format=csv")
    listed = (await teller.export(f"export?period={period}&format=json"))["invoices"]
    assert [one["number"] for one in listed] == [one["number"] for one in invoices]
    for invoice, also in zip(invoices, listed, strict=True):
        one = await teller.export(f"{invoice['number']}/export?format=json")
        rows = await teller.export(f"{invoice['number']}/export?format=csv")
        assert {name: one[name] for name in invoice} == invoice
        assert one == also
        assert rows == [row for row in whole if row["invoice_number"] == invoice["number"]]
        assert [_text(row) for row in one["details"]] == rows
        check_rows(invoice, one["details"], one["adjustments"])
    assert len(whole) == sum(len(one["details"]) for one in listed)


def _text(row: dict[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def check_rows(invoice: dict[str, Any], rows: list[dict[str, Any]], adjustments: list[dict[str, Any]]) -> None:
    """Each line by itself out of the rows; the rows to the total; the taxes of what they were charged on."""
    quantities: dict[tuple[object, ...], int] = defaultdict(int)
    bases: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for row in rows:
        bases[row["tax_mode"], row["tax_rate"]] += Fraction(row["cost"])
        if row["kind"] == "late_call":
            continue
        of = (row["tariff_id"], row["tariff_version"])
        quantities[row["kind"], *of, row["rate"]] += row["units"]
        if row["free_units"]:
            quantities["free_minutes", *of, row["rate"]] -= row["free_units"]
        if row["setup_fee"] != "0":
            quantities["call_setup", *of, row["setup_fee"]] += 1
    lines: dict[tuple[object, ...], int] = defaultdict(int)
    for line in invoice["lines"]:
        lines[line["kind"], line["tariff_id"], line["tariff_version"], line["rate"]] += line["quantity"]
    assert quantities == lines
    late = [row for row in rows if row["kind"] == "late_call"]
    assert late == adjustments
    assert len(late) == invoice["adjustments_count"]
    assert sum(Fraction(row["cost"]) for row in late) == Fraction(invoice["adjustments_total"])
    assert sum(Fraction(row["cost"]) for row in rows) == Fraction(invoice["total_exact"])
    assert {(t["mode"], t["rate"]): Fraction(t["base"]) for t in invoice["taxes"]} == bases
    added = sum(base * Fraction(rate) for (mode, rate), base in bases.items() if mode == "added")
    assert added == Fraction(invoice["tax_exact"])
    for row in rows:
        assert row["merchant_id"] == invoice["merchant_id"]
        first = datetime.fromisoformat(row["starts_at"]).astimezone(UTC)
        assert row["biz_date"] == (first + timedelta(hours=8)).date().isoformat()
