"""What the application's role may not do, whatever a bug or an intruder makes it send."""

import asyncpg
import pytest

from tests.engines import World

FORBIDDEN = {
    "a closed invoice is changed": "UPDATE invoices SET amount_due = 0",
    "an invoice is deleted": "DELETE FROM invoices",
    "a line is changed": "UPDATE invoice_lines SET amount = 0",
    "a note is changed": "UPDATE notes SET amount_due = 0",
    "a note is deleted": "DELETE FROM notes",
    "a note's line is changed": "UPDATE note_lines SET amount = 0",
    "a note's rest may be taken again": "DELETE FROM note_carries",
    "a completed close is undone": "DELETE FROM closes",
    "a completed close is changed": "UPDATE closes SET invoice_number = NULL",
    "a mark is taken off": "DELETE FROM periods",
    "a price is changed": "UPDATE tariffs SET call_minute = 0",
    "a call becomes another": "UPDATE calls SET call_id = ''",
    "a call is put on another merchant": "UPDATE calls SET merchant_id = ''",
    "a call is put on another order": "UPDATE calls SET order_id = ''",
    "a call is put on another binding": "UPDATE calls SET binding_id = gen_random_uuid()",
    "a call is put on another host": "UPDATE calls SET host = ''",
    "a call is put on another extension": "UPDATE calls SET extension = ''",
    "a call is put in another cell": "UPDATE calls SET cell = 1",
    "a call is deleted": "DELETE FROM calls",
    "a record kept for review is deleted": "DELETE FROM call_reviews",
    "a record kept for review is changed": "UPDATE call_reviews SET record = ''",
    "a record kept for review is taken for another": "UPDATE call_reviews SET content = ''",
    "a record kept for review is put on another call": "UPDATE call_reviews SET call_id = ''",
    "a dispute is deleted": "DELETE FROM disputes",
    "what was disputed is changed": "UPDATE disputes SET reason = 'x'",
    "a binding is deleted": "DELETE FROM bindings",
    "what was told of an order is changed": "UPDATE order_events SET type = 'signed'",
    "what was told of an order is deleted": "DELETE FROM order_events",
    "a print is deleted": "DELETE FROM prints",
    "a change of recipient is hidden": "DELETE FROM recipient_changes",
    "a slot is forgotten": "DELETE FROM slots",
    "an order is forgotten": "DELETE FROM orders",
    "a host is deleted": "DELETE FROM hosts",
    "a call may be charged again": "DELETE FROM call_keys",
    "the highest instant is forgotten": "DELETE FROM clocks",
    "a key is deleted": "DELETE FROM api_keys",
    "a template's text is changed": "UPDATE message_templates SET text = 'x'",
    "a template is deleted": "DELETE FROM message_templates",
    "a message is deleted": "DELETE FROM messages",
    "a message is put on another order": "UPDATE messages SET order_id = ''",
    "what was told is told again": "DELETE FROM webhook_sweeps",
    "a grant is deleted": "DELETE FROM grants",
    "a grant is put on another merchant": "UPDATE grants SET merchant_id = ''",
    "a grant is put on another key": "UPDATE grants SET isv = ''",
    "a nonce is made good again": "UPDATE nonces SET until = 'infinity'",
    "an ordered call is put on another merchant": "UPDATE dials SET merchant_id = ''",
    "an ordered call is another's number": "UPDATE dials SET extension = ''",
    "what a switch told is changed": "UPDATE call_states SET at = now()",
    "a data key is deleted": "DELETE FROM data_keys",
    "a data key becomes another month's": "UPDATE data_keys SET month = '2026-01-01'",
    "a month is said to be dropped": "UPDATE ended_months SET dropped_at = now()",
    "a partition is dropped": "DROP TABLE bindings_2026_10",
    "a table is emptied": "TRUNCATE slots",
    "a table is dropped": "DROP TABLE slots",
    "a table is altered": "ALTER TABLE bindings DROP COLUMN recipient",
    "a table is made": "CREATE TABLE mine (x int)",
    "a function is replaced": "CREATE OR REPLACE FUNCTION first_id(timestamptz) RETURNS uuid LANGUAGE sql AS ''",
    "a view is replaced": "CREATE OR REPLACE VIEW usage_calls AS SELECT 1",
    "the list of migrations is changed": "DELETE FROM migrations",
    "a partition is detached": "ALTER TABLE bindings DETACH PARTITION bindings_2026_10",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_it_is_refused_that(bare_world: World, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bare_world.engine.database.execute(statement)


async def test_partitions_are_reached_through_their_table_only(bare_world: World) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bare_world.engine.database.execute("DELETE FROM calls_2026_10")


async def test_it_may_have_partitions_made_and_no_more(bare_world: World) -> None:
    """Through a function of the owner's, which any number of workers may call at once."""
    made = await bare_world.engine.database.fetchval("SELECT ensure_months('2031-01-01+00', '2031-03-31+00')")
    again = await bare_world.engine.database.fetchval("SELECT ensure_months('2031-01-01+00', '2031-03-31+00')")
    assert (made, again) == (3, 0)
    names = await bare_world.owner.fetch(
        "SELECT relname FROM pg_class WHERE relname LIKE '%\\_2031\\_%' AND relkind = 'r' "
        "AND relnamespace = current_schema()::regnamespace"
    )
    assert len(names) == 6


async def test_the_owners_functions_take_nobodys_tables_for_theirs(bare_world: World) -> None:
    """Whoever calls one may make temporary tables, with triggers that would run as the owner."""
    found = await bare_world.owner.fetch(
        "SELECT proname, proconfig, current_schema() AS here, "
        "has_function_privilege('vnum_tenant', oid, 'EXECUTE') AS tied, "
        "has_function_privilege('public', oid, 'EXECUTE') AS anybody FROM pg_proc "
        "WHERE prosecdef AND pronamespace = current_schema()::regnamespace"
    )
    assert len(found) >= 5
    for row in found:
        assert f"search_path={row['here']}, pg_temp" in row["proconfig"], row["proname"]
        assert not row["tied"], row["proname"]
        assert not row["anybody"], row["proname"]


async def test_the_rows_of_a_month_are_not_dropped_before_their_time(bare_world: World) -> None:
    """Not by the one function that may: nor while they name somebody, nor while they are not billed."""
    database = bare_world.engine.database
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await database.execute("SELECT drop_month(date_trunc('month', now())::date, now())")
    assert await database.fetchval("SELECT drop_month('1999-01-01', now())") is False, "there is none"
