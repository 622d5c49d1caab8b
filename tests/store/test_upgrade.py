"""A database from before price models: what was closed stays as it was, what was rated keeps its price."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.engines import World, connect_owner, open_world, phone
from tests.vault.keys import of_before
from vnum.engine import open_engine
from vnum.finance import OfPeriod, Period, apply_migrations, export_csv, export_json
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.data_keys import open_vault
from vnum.service.hosts import NewHost
from vnum.service.route import RouteRequest
from vnum.store import data_keys
from vnum.store.migrate import drop, migrate, needed
from vnum.vault import KeyFileError, KeyPlace, parse_key
from vnum.vault.keys import derive

MASTER = "3:" + "0f" * 32
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


PHONE = "+8613812345678"


async def sealed_before(owner: Any) -> None:
    """A live binding of November, sealed as it was when one master key was derived into all there was."""
    before = of_before(parse_key(MASTER, "test"))
    binding_id = UUID("01a1833d-6000-7000-8000-000000000001")
    proof = blake2b(b"vnum", key=derive(parse_key(MASTER, "test"), b"hash"), digest_size=16, person=b"proof").digest()
    await owner.execute("INSERT INTO master_keys VALUES (3, $1)", proof)
    await owner.execute(
        """INSERT INTO hosts (host, cell, plan, ext_digits, ext_check, state, created_at)
           VALUES ('18400913965', 0, 'host_ext', 4, 'none', 'active', '2026-10-01+00')"""
    )
    await owner.execute(
        """INSERT INTO slots (cell, host, extension, binding_id, ended_at, held_until)
           VALUES (0, '18400913965', '0001', $1, '2026-12-20+00', '2027-03-20+00')""",
        binding_id,
    )
    await owner.execute(
        """INSERT INTO orders (cell, merchant_id, order_id, binding_id, host, extension, mode, order_status, bound_at,
                               ended_at)
           VALUES (0, 'k', 'order', $1, '18400913965', '0001', 'axe', 'shipped', '2026-10-28 16:00+00',
                   '2026-12-20+00')""",
        binding_id,
    )
    await owner.execute(
        """INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city_strict, ttl_days,
                                 bound_at, expires_at, ended_at, key_id, recipient, recipient_hash)
           VALUES (0, $1, 'k', 'order', '18400913965', '0001', 'axe', false, 30, '2026-10-28 16:00+00',
                   '2026-12-20+00', '2026-12-20+00', 3, $2, $3)""",
        binding_id,
        before.seal(PHONE, binding_id),
        before.fingerprint(PHONE),
    )


@pytest.fixture
async def upgraded(endpoints: Endpoints, key_folder: Path) -> AsyncIterator[World]:
    owner = await connect_owner(endpoints, SCHEMA)
    try:
        await apply_migrations(owner, SCHEMA, [script for script in needed() if script.name in BEFORE])
        await owner.execute(FILL)
        await sealed_before(owner)
        await migrate(endpoints.postgres_admin_dsn, SCHEMA)
        async with open_world(
            endpoints, SCHEMA, key_folder, clock=ManualClock(NOW), wipe=False, key_text=MASTER
        ) as world:
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


async def test_phones_of_before_are_read_and_compared_as_ever(upgraded: World) -> None:
    """Their key is filed under the id that stands beside them; what comes now is sealed by the key of its month."""
    engine = upgraded.engine
    asked = RouteRequest(call_id="c", caller="13700000000", host="18400913965", digits="0001")
    assert (await engine.routes.route(asked)).callee == PHONE
    stored = await upgraded.owner.fetchval("SELECT recipient_hash FROM bindings WHERE recipient_hash IS NOT NULL")
    assert engine.vault.fingerprint(PHONE) == stored
    rows = await data_keys.all_of(engine.database)
    assert {row.purpose: row.key_id for row in rows if row.month is None} == {"standing": 3, "index": 1}
    await upgraded.engine.hosts.add(NewHost(host="18400913966"))
    binding = await upgraded.bind("new", merchant="m")
    key_id = await upgraded.owner.fetchval("SELECT key_id FROM bindings WHERE binding_id = $1", binding.binding_id)
    assert key_id == {row.month: row.key_id for row in rows}[date(2026, 12, 1)]
    assert (await upgraded.dial(binding)).callee == "+86" + phone(1)


async def test_a_second_start_finds_the_keys_filed(upgraded: World) -> None:
    rows = await data_keys.all_of(upgraded.engine.database)
    async with open_engine(upgraded.parts, clock=upgraded.clock) as again:
        assert again.vault.fingerprint(PHONE) == upgraded.engine.vault.fingerprint(PHONE)
    assert await data_keys.all_of(upgraded.engine.database) == rows


async def test_another_master_key_opens_no_database_of_before(endpoints: Endpoints, upgraded: World) -> None:
    await upgraded.owner.execute("DELETE FROM data_keys")
    for text in ("3:" + "1f" * 32, "4:" + "0f" * 32):
        with pytest.raises(KeyFileError, match="not the master key that this database was sealed with"):
            await open_vault(upgraded.engine.database, KeyPlace(file=Path(), text=text), may_make=False)
    with pytest.raises(KeyFileError, match=r"out of a file \(key id 3\)"):
        await open_vault(upgraded.engine.database, KeyPlace(file=Path(), command="kms"), may_make=False)
    assert await data_keys.all_of(upgraded.engine.database) == []
