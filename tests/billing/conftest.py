"""A world for billing: a schema of its own with the usage relations as plain tables, and the ledger.

Time in these tests is text in Asia/Shanghai, "2026-10-03 12:00"; nothing reads a clock.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from billing import migrate
from billing.calls import rate_call
from billing.close import CloseReport, close
from billing.invoice import Invoice
from billing.invoices import list_invoices
from billing.notes.issue import Correction, issue_note
from billing.notes.ledger import list_notes
from billing.notes.note import Cause, Note
from billing.notes.rerate import RerateReport, rerate
from billing.periods import Period, Span
from billing.tariff_ledger import assignments, load_book
from billing.tariffs import stretches

USAGE = """
CREATE TABLE usage_accounts (merchant_id text PRIMARY KEY, opened_at timestamptz NOT NULL,
    invoice_title text, tax_no text);
CREATE TABLE usage_rentals (merchant_id text NOT NULL, order_id text NOT NULL, binding_id uuid NOT NULL,
    bound_at timestamptz NOT NULL, ended_at timestamptz NOT NULL);
CREATE TABLE usage_calls (merchant_id text NOT NULL, order_id text NOT NULL, binding_id uuid NOT NULL,
    call_id text NOT NULL, answered_at timestamptz NOT NULL, released_at timestamptz NOT NULL, seconds int NOT NULL,
    minutes int NOT NULL, units int NOT NULL, unit_s int NOT NULL, rate numeric NOT NULL, setup_fee numeric NOT NULL,
    cost numeric NOT NULL, tariff_id text NOT NULL, tariff_version int NOT NULL, late boolean NOT NULL);
CREATE TABLE free_calls (LIKE usage_calls);
CREATE VIEW usage_answered AS SELECT * FROM usage_calls UNION ALL SELECT * FROM free_calls;
GRANT SELECT, INSERT ON usage_accounts, usage_rentals, usage_calls, free_calls, usage_answered TO vnum_app;
"""

# What a writer owes: whether the month is marked closed is asked in the statement that writes.
WRITE_CALL = """
INSERT INTO usage_calls
SELECT $1, $2, $3, $4, $5::timestamptz, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    EXISTS (SELECT 1 FROM periods p WHERE p.merchant_id = $1 AND p.ends_at > $5::timestamptz)
"""


class Servers(Protocol):
    """What these tests need of the session's servers."""

    postgres_dsn: str
    postgres_admin_dsn: str


class World:
    """The host's side of a story: merchants, bindings, calls; and closing months."""

    def __init__(self, pool: Any, owner: Any) -> None:
        self.pool = pool
        self.owner = owner
        self._ids = 0

    @staticmethod
    def at(text: str) -> datetime:
        """An instant from Shanghai's wall clock."""
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    async def account(self, merchant: str, opened: str = "2026-01-01 00:00", tariff: str = "default") -> None:
        await self.owner.execute(
            "INSERT INTO usage_accounts VALUES ($1, $2, $3, $4)",
            merchant, self.at(opened), f"{merchant} Ltd", "91330100MA2",
        )  # fmt: skip
        if tariff != "default":
            await self.assign(merchant, tariff, "1970-01-01 08:00")

    async def assign(self, merchant: str, tariff: str, since: str) -> None:
        """Has a merchant pay a tariff from an instant on, past ones as well."""
        await self.owner.execute(
            "INSERT INTO tariff_assignments (merchant_id, effective_from, tariff_id, assigned_at, assigned_by) "
            "VALUES ($1, $2, $3, $2, 'test')",
            merchant,
            self.at(since),
            tariff,
        )

    async def tariff(
        self, version: int, since: str, day: str, minute: str, tariff: str = "default", **terms: object
    ) -> None:
        """A version from an instant on, past ones as well; `terms` = other columns of the table."""
        columns = {"tariff_id": tariff, "version": version, "effective_from": self.at(since), **terms}
        columns |= {"rental_day": Decimal(day), "call_minute": Decimal(minute)}
        holes = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await self.owner.execute(f"INSERT INTO tariffs ({', '.join(columns)}) VALUES ({holes})", *columns.values())

    async def rental(self, merchant: str, bound: str, ended: str, order: str = "order") -> None:
        await self.owner.execute(
            "INSERT INTO usage_rentals VALUES ($1, $2, $3, $4, $5)",
            merchant, order, UUID(int=self.next_id()), self.at(bound), self.at(ended),
        )  # fmt: skip

    async def call_row(self, merchant: str, answered: str, released: str, call: str) -> list[object]:
        """A rated call as the arguments of WRITE_CALL."""
        start, end = self.at(answered), self.at(released)
        given = await assignments(self.owner, [merchant])
        ((_, version),) = stretches(await load_book(self.owner), given, Span(start, start + timedelta(microseconds=1)))
        rated = rate_call(start, end, version)
        return [
            merchant, f"order-{call}", UUID(int=self.next_id()), call, start, end, rated.seconds, rated.minutes,
            rated.units, rated.unit_s, rated.rate, rated.setup_fee, rated.cost, rated.tariff_id, rated.tariff_version,
        ]  # fmt: skip

    async def call(self, merchant: str, answered: str, released: str, call: str = "") -> None:
        """A call record that arrives now, whenever the call was."""
        row = await self.call_row(merchant, answered, released, call or f"call-{self.next_id()}")
        charged = row[8] != 0
        await self.owner.execute(WRITE_CALL if charged else WRITE_CALL.replace("usage_calls", "free_calls"), *row)

    async def close(self, period: str, at: str = "2030-01-01 00:00", **options: Any) -> CloseReport:
        return await close(self.pool, Period.parse(period), now=self.at(at), **options)

    async def note(self, number: str, *corrections: Correction, at: str = "2030-02-01 00:00", **cause: Any) -> Note:
        """A manual note by "ann", because "wrong"."""
        async with self.pool.acquire() as connection:
            return await issue_note(connection, number, corrections, self.cause(at, **cause))

    async def rerate(
        self, period: str, tariff: str | None = None, *, at: str = "2030-02-01 00:00", **options: Any
    ) -> RerateReport:
        given = {name: options.pop(name) for name in ("reason", "author") if name in options}
        return await rerate(self.pool, Period.parse(period), self.cause(at, tariff_id=tariff, **given), **options)

    def cause(self, at: str, **more: Any) -> Cause:
        return Cause(**{"reason": "wrong", "author": "ann", "issued_at": self.at(at)} | more)

    async def notes(self) -> list[Note]:
        """All notes in order of their numbers."""
        return await list_notes(self.owner)

    async def invoices(self, period: str | None = None) -> list[Invoice]:
        """All invoices by period and merchant."""
        return await list_invoices(self.owner, period=Period.parse(period) if period else None)

    async def dues(self) -> dict[str, tuple[str, str, str]]:
        """(total_exact, amount_due, carried_out) by "merchant period", as text; zeros at the end do not count."""
        return {
            f"{i.buyer.merchant_id} {i.period}": (
                format(i.total_exact.normalize(), "f"),
                str(i.amount_due),
                format(i.carried_out.normalize(), "f"),
            )
            for i in await self.invoices()
        }


@pytest.fixture
async def schema(endpoints: Servers) -> AsyncIterator[str]:
    """The name of a schema of its own, dropped at the end."""
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn)
    name = f"billing_{await connection.fetchval('SELECT txid_current()')}"
    try:
        yield name
        await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    finally:
        await connection.close()


@pytest.fixture
async def connect(endpoints: Servers, schema: str) -> AsyncIterator[Callable[..., Any]]:
    """Opens sessions on the schema: `await connect()` as the application, `await connect(owner=True)`."""
    opened: list[Any] = []

    async def new(*, owner: bool = False) -> Any:
        dsn = endpoints.postgres_admin_dsn if owner else endpoints.postgres_dsn
        # A session in another zone and with a short limit: neither may change a bill.
        settings = {"search_path": schema, "timezone": "America/New_York", "statement_timeout": "30s"}
        opened.append(await asyncpg.connect(dsn, server_settings=settings))
        return opened[-1]

    yield new
    for connection in opened:
        await connection.close()


@pytest.fixture
async def world(endpoints: Servers, schema: str) -> AsyncIterator[World]:
    """An empty world: tariff "default" 0.00018 a day and 0.02 a minute, no merchant."""
    async with open_world(endpoints, schema) as opened:
        yield opened


@asynccontextmanager
async def open_world(endpoints: Servers, schema: str, *, empty: bool = True) -> AsyncIterator[World]:
    """A world on a schema that is made, or with `empty=False` on one that was made before."""
    settings = {"search_path": schema, "timezone": "America/New_York", "statement_timeout": "30s"}
    owner = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings=settings)
    try:
        if empty:
            await migrate.apply(owner, schema, migrate.load("billing", "billing"))
            await owner.execute(USAGE)
        pool = await asyncpg.create_pool(endpoints.postgres_dsn, min_size=1, max_size=4, server_settings=settings)
        async with pool:
            yield World(pool, owner)
    finally:
        await owner.close()
