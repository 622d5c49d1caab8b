"""A closed invoice never changes: the application's role has no right to change one (billing rule 6.6)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from billing.invoice import Item
from billing.notes.issue import FreeLine

CLOSED = [
    "invoices", "invoice_lines", "invoice_adjustments", "invoice_taxes", "periods", "closes", "notes", "note_lines",
    "note_carries",
]  # fmt: skip
CHANGES = {
    "invoices": "UPDATE invoices SET amount_due = 0",
    "invoice_lines": "UPDATE invoice_lines SET amount = 0",
    "invoice_adjustments": "UPDATE invoice_adjustments SET amount = 0",
    "periods": "UPDATE periods SET ends_at = '2020-01-01'",
    "closes": "UPDATE closes SET invoice_number = NULL",
    "invoice_taxes": "UPDATE invoice_taxes SET added = 0",
    "tariffs": "UPDATE tariffs SET call_minute = 1",
    "notes": "UPDATE notes SET reason = 'another'",
    "note_lines": "UPDATE note_lines SET amount = 0",
    "note_carries": "UPDATE note_carries SET invoice_number = 'another'",
    "tariff_assignments": "UPDATE tariff_assignments SET tariff_id = 'default'",
}


@pytest.fixture
async def app(world: Any, connect: Callable[..., Any]) -> Any:
    """A session of the application after a close that left a row in every table."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.close("2026-10")
    await world.call("m", "2026-10-05 10:00", "2026-10-05 10:01")
    await world.rental("m", "2026-11-05 10:00", "2026-11-05 10:01")
    await world.close("2026-11")
    await world.note("VNUM-2030-000001", FreeLine(item=Item.CALL, amount=Decimal("-0.001"), text="sorry"))
    await world.call("m", "2026-12-05 10:00", "2026-12-05 10:01")
    await world.close("2026-12")
    for table in CLOSED:
        assert await world.owner.fetchval(f"SELECT count(*) FROM {table}") > 0
    return await connect()


async def test_the_application_is_the_restricted_role(app: Any) -> None:
    row = await app.fetchrow("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    assert tuple(row) == ("vnum_app", False)


@pytest.mark.parametrize("statement", CHANGES.values())
async def test_nothing_closed_can_be_updated(app: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(statement)


@pytest.mark.parametrize("table", [*CLOSED, "tariffs", "tariff_assignments", "invoice_serials", "note_serials"])
@pytest.mark.parametrize("verb", ["DELETE FROM", "TRUNCATE"])
async def test_nothing_can_be_deleted(app: Any, table: str, verb: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(f"{verb} {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE invoices",
        "ALTER TABLE invoices ADD COLUMN x int",
        "CREATE TABLE own (x int)",
    ],
)
async def test_prices_and_shape_are_the_owners(app: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(statement)


async def test_even_the_owner_cannot_write_an_invoice_that_does_not_add_up(world: Any, app: Any) -> None:
    for statement in ("UPDATE invoices SET amount_due = amount_due + 1", "UPDATE invoice_lines SET amount = 1"):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.owner.execute(statement)
