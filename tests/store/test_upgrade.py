"""A database from before price models: what was closed stays as it was, what was rated keeps its price."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engines import World, connect_owner, open_world
from vnum.finance import OfPeriod, Period, apply_migrations, export_csv, export_json
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.store.migrate import drop, migrate, needed

SCHEMA = "before_prices"
NOW = datetime(2026, 12, 2, tzinfo=UTC)
BEFORE = {"billing/0001_ledger", "vnum/0001_core", "vnum/0002_readiness"}

# "m" had three days of rental, a call and a late call in October, closed: 3 x 0.00018 + 0.04 + 0.02 = 0.06054. In
# November he has a call of two minutes. "vip" pays a tariff of his own.
FILL = """
SELECT ensure_months('2026-09-01+00', '2026-12-31+00');
INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute)
VALUES ('vip', 1, '2026-01-01+00', 0.5, 0.3);
INSERT INTO merchants (merchant_id, name, invoice_title, tariff_id, created_at) VALUES
    ('m', 'm', 'M Ltd', 'default', '2026-10-02+00'), ('vip', 'v', 'V Ltd', 'vip', '2026-10-02+00');
INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city_strict, ttl_days, bound_at,
                      expires_at, ended_at, key_id)
SELECT 0, (substr(first_id(bound_at)::text, 1, 14) || '7000-8000-000000000001')::uuid, merchant, 'order', 'h', '1',
       'axe', false, 3, bound_at, bound_at + interval '72 hours', bound_at + interval '72 hours', 1
FROM (VALUES ('m', '2026-10-05 04:00+00'::timestamptz), ('vip', '2026-11-05 04:00+00')) AS v (merchant, bound_at);
INSERT INTO calls (cell, call_id, biz_at, host, binding_id, merchant_id, order_id, key_id, call_time, answer_time,
                   release_time, seconds, minutes, rate, cost, tariff_id, tariff_version, late)
SELECT 0, call_id, at, 'h', gen_random_uuid(), merchant, 'order', 1, at, at, at + seconds * interval '1 second',
       seconds, minutes, rate, rate * minutes, tariff, 1, late
FROM (VALUES ('a', 'm', '2026-10-05 04:00+00'::timestamptz, 61, 2, 0.02, 'default', false),
             ('b', 'm', '2026-09-30 04:00+00', 60, 1, 0.02, 'default', true),
             ('c', 'm', '2026-11-05 04:00+00', 120, 2, 0.02, 'default', false),
             ('unanswered', 'm', '2026-11-06 04:00+00', 0, 0, 0.02, 'default', false),
             ('d', 'vip', '2026-11-05 04:00+00', 1, 1, 0.3, 'vip', false))
     AS v (call_id, merchant, at, seconds, minutes, rate, tariff, late);
INSERT INTO periods SELECT m, '2026-10-01', '2026-10-31 16:00+00', '2026-11-01+00' FROM unnest(ARRAY['m', 'vip']) m;
INSERT INTO invoice_serials VALUES ('VN', 2026, 1);
INSERT INTO invoices VALUES ('VN-2026-000001', 'VN', 2026, 1, 'm', '2026-10-01', 'M Ltd', NULL, '2026-11-01+00', 1,
                             0.02, 0.06054, 0, 0.06054, 0.06, 0.00054);
INSERT INTO invoice_lines VALUES
    ('VN-2026-000001', 1, 0, 'default', 1, 0.00018, '2026-09-30 16:00+00', '2026-10-31 16:00+00', 1, 3, 0.00054),
    ('VN-2026-000001', 2, 1, 'default', 1, 0.02, '2026-09-30 16:00+00', '2026-10-31 16:00+00', 1, 2, 0.04);
INSERT INTO invoice_adjustments
SELECT merchant_id, call_id, 'VN-2026-000001', '2026-09-30', order_id, binding_id, biz_at, release_time, seconds,
       minutes, tariff_id, tariff_version, rate, cost FROM calls WHERE late;
INSERT INTO closes VALUES ('m', '2026-10-01', 'VN-2026-000001', '2026-11-01+00'),
                          ('vip', '2026-10-01', NULL, '2026-11-01+00');
"""


@pytest.fixture
async def upgraded(endpoints: Endpoints, key_folder: Path) -> AsyncIterator[World]:
    owner = await connect_owner(endpoints, SCHEMA)
    try:
        await apply_migrations(owner, SCHEMA, [script for script in needed() if script.name in BEFORE])
        await owner.execute(FILL)
        await migrate(endpoints.postgres_admin_dsn, SCHEMA)
        async with open_world(endpoints, SCHEMA, key_folder, clock=ManualClock(NOW), wipe=False) as world:
            yield world
    finally:
        await owner.close()
        await drop(endpoints.postgres_admin_dsn, SCHEMA)


async def test_a_closed_invoice_can_still_be_recounted(upgraded: World) -> None:
    """The export ends with an error if details, lines and total differ."""
    of = OfPeriod(period=Period.parse("2026-10"))
    async with aclosing(export_csv(upgraded.engine.database, of)) as pieces:
        rows = b"".join([piece async for piece in pieces]).decode().splitlines()
    assert sum(Decimal(row.split(",")[4]) for row in rows[1:]) == Decimal("0.06054")
    async with aclosing(export_json(upgraded.engine.database, of)) as pieces:
        assert b"VN-2026-000001" in b"".join([piece async for piece in pieces])


async def test_the_next_month_goes_on_where_the_last_one_ended(upgraded: World) -> None:
    """What was rated keeps its price, and who paid a tariff of his own pays it still."""
    invoices = upgraded.engine.invoices
    assert (await invoices.close("2026-11")).invoices_made == 2
    found = {invoice.buyer.merchant_id: invoice for invoice in await invoices.page(period="2026-11")}
    assert (found["m"].total_exact, found["m"].carried_in) == (Decimal("0.04"), Decimal("0.00054"))
    assert found["vip"].total_exact == 3 * Decimal("0.5") + Decimal("0.3")
    assert [invoice.serial.serial for invoice in found.values()] == [2, 3]
    (vip,) = await upgraded.engine.tariffs.of_merchant("vip")
    assert (vip.tariff_id, await upgraded.engine.tariffs.of_merchant("m")) == ("vip", [])
