"""`vnum webhooks`: subscriptions to events, what could not be delivered, and sending it once more."""

from typing import Final
from uuid import UUID

import click
from rich.table import Table

from vnum.cli.session import command, console, engine
from vnum.model.webhooks import DeliveryState
from vnum.service.keys import Caller, Role
from vnum.service.webhooks import FIRST, PAGE

OPERATOR: Final = Caller(key_id="operator", role=Role.ADMIN)


@click.group()
def webhooks() -> None:
    """Subscriptions to events, and what could not be delivered."""


@webhooks.command("list")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--after", type=click.UUID, default=FIRST, help="The last subscription of the page before.")
@command
async def list_(merchant_id: str | None, after: UUID) -> None:
    """List subscriptions, with how many of their deliveries wait and how many are dead."""
    async with engine() as opened:
        found = await opened.webhooks.page(OPERATOR, merchant_id=merchant_id, after=after)
        backlogs = await opened.deliveries.backlogs(found)
    table = Table(title=f"{len(found)} webhooks")
    table.add_column("webhook", no_wrap=True)
    for column in ("merchant", "url", "events", "active", "waiting", "dead"):
        table.add_column(column, overflow="fold")
    for one in backlogs:
        webhook = one.webhook
        active = "yes" if webhook.active else "no"
        row = (str(webhook.webhook_id), webhook.merchant_id or "(all)", webhook.url, ", ".join(webhook.events), active)
        table.add_row(*row, str(one.waiting), str(one.dead))
    console.print(table)
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].webhook_id}")


@webhooks.command()
@click.argument("webhook_id", type=click.UUID)
@click.option("--after", type=click.UUID, default=FIRST, help="The last delivery of the page before.")
@command
async def dead(webhook_id: UUID, after: UUID) -> None:
    """List deliveries that were given up, the oldest first. WEBHOOK_ID is what `vnum webhooks list` begins with."""
    async with engine() as opened:
        found = await opened.deliveries.page(webhook_id, DeliveryState.DEAD, OPERATOR, after=after)
    click.echo(f"{len(found)} dead, times in UTC")
    for one in found:
        tried = f"{one.tried_at:%F %T}" if one.tried_at else "never"
        click.echo(f"{one.delivery_id}  {one.event}, {one.at:%F %T}, last tried {tried}: {one.failure}")
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].delivery_id}")


@webhooks.command()
@click.argument("webhook_id", type=click.UUID)
@click.argument("delivery_ids", type=click.UUID, nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every dead delivery.")
@command
async def replay(webhook_id: UUID, delivery_ids: tuple[UUID, ...], *, all_: bool) -> None:
    """Send dead deliveries once more: those named, or all; a running `vnum serve` does it."""
    if bool(delivery_ids) == all_:
        raise click.UsageError("name deliveries, or give --all")
    async with engine() as opened:
        await opened.audit.note("webhook.replayed", [str(webhook_id)])
        if all_:
            replayed = await opened.deliveries.replay_dead(webhook_id, OPERATOR)
        else:
            for delivery_id in delivery_ids:
                await opened.deliveries.replay(webhook_id, delivery_id, OPERATOR)
            replayed = len(delivery_ids)
    click.echo(f"{replayed} replayed")
