"""`vnum calls`: one call's whole life, and the calls that nobody reported."""

from datetime import datetime

import click
from rich.table import Table

from vnum.cli.session import command, console, engine
from vnum.finance import plain
from vnum.service.call_lives import CallLife
from vnum.service.unrecorded import PAGE, UnrecordedCall


@click.group()
def calls() -> None:
    """Look at single calls; never at who rang."""


@calls.command()
@click.argument("call_id")
@command
async def show(call_id: str) -> None:
    """Show all that became of a call: tries, connection, states, record, marks, disputes, invoice. Times in UTC."""
    async with engine() as opened:
        life = await opened.call_lives.get(call_id)
    table = Table(title=call_id, show_header=False, box=None, padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(overflow="fold")
    for when, what in _story(life):
        table.add_row(when, what)
    console.print(_head(life), soft_wrap=True)
    console.print(table)
    for line in _bill(life):
        console.print(line, soft_wrap=True)


@calls.command()
@command
async def unrecorded() -> None:
    """List connected calls whose record is overdue, the longest first. Reconcile them with the carrier's file: send the
    records that it has, and one without answer_time of a call that never came about."""
    after: tuple[datetime, str] | None = None
    table = Table(title="connected, and never reported")
    for column in ("call", "merchant", "order", "host", "connected (UTC)", "overdue since"):
        table.add_column(column, overflow="fold")
    count = 0
    async with engine() as opened:
        while found := await opened.unrecorded.page(after):
            for one in found:
                table.add_row(*_row(one))
            count += len(found)
            after = (found[-1].overdue_at, found[-1].call_id)
            if len(found) < PAGE:
                break
    if count:
        console.print(table)
    click.echo(f"{count} calls need reconciliation")


def _row(one: UnrecordedCall) -> tuple[str, ...]:
    at = (f"{one.connected_at:%F %T}", f"{one.overdue_at:%F %T}")
    return one.call_id, one.merchant_id or "", one.order_id or "", one.host or "", *at


def _head(life: CallLife) -> str:
    if life.merchant_id is None:
        return f"call {life.call_id}: of no merchant, as far as is known"
    number = f"{life.host}-{life.extension}"
    back = ", the recipient rang back" if life.call_back else ""
    return f"call {life.call_id}: {life.merchant_id}, order {life.order_id}, {number}, binding {life.binding_id}{back}"


def _story(life: CallLife) -> list[tuple[str, str]]:
    """What happened, in order."""
    steps: list[tuple[datetime, str]] = [(one.at, f"refused: {one.code} ({one.caller_class})") for one in life.tries]
    if life.ordered is not None:
        steps.append((life.ordered.at, "ordered, to be dialled for an agent"))
        if life.ordered.code is not None:
            steps.append((life.ordered.changed_at, f"failed: {life.ordered.code}"))
        if life.ordered.taken_at is not None:
            steps.append((life.ordered.taken_at, "taken by a switch"))
    if life.connected_at is not None:
        steps.append((life.connected_at, "connected by route"))
    steps += [(one.at, f"the switch says {one.state}") for one in life.told]
    if (record := life.record) is not None:
        steps.append((record.call_time, "record: dialled"))
        if record.ring_time is not None:
            steps.append((record.ring_time, "record: rings"))
        if record.answer_time is not None:
            steps.append((record.answer_time, "record: answered"))
        steps.append((record.release_time, f"record: released, cause {record.release_cause or '-'}"))
    steps += [(one.at, f"record not taken: {one.status}, {one.code} ({one.state})") for one in life.not_taken]
    steps += [(one.opened_at, f"dispute {one.dispute_id}: {one.state}") for one in life.disputes]
    return [(f"{at:%F %T}", what) for at, what in sorted(steps, key=lambda step: step[0])]


def _bill(life: CallLife) -> list[str]:
    lines = [f"marked {mark}" for mark in life.marks]
    if life.record is not None:
        late = ", late" if life.record.late else ""
        record = life.record
        lines.append(f"rated: {record.seconds} s, {record.minutes} min, CNY {plain(record.cost)}{late}")
        lines.append(f"invoice {life.invoice_number or 'none yet'}" if record.seconds else "nothing to be billed")
    elif life.overdue:
        lines.append("no record, and overdue: needs reconciliation")
    elif life.connected_at is not None:
        lines.append("no record yet")
    return lines
