"""`vnum records reviews` and `vnum records decide`: call records that were not taken, looked at and decided."""

from uuid import UUID

import click

from vnum.cli.options import author_option, choice
from vnum.cli.session import command, engine
from vnum.finance import plain
from vnum.service.decide import Decided, Decision
from vnum.service.reviews import FIRST, PAGE, Charged, Review, ReviewState


@click.command()
@choice(
    "--state",
    among=ReviewState,
    default=ReviewState.OPEN.value,
    help="open = waits for a decision; the others: what was decided.",
)
@click.option("--after", type=click.UUID, default=FIRST, help="The last review of the page before.")
@command
async def reviews(state: str, after: UUID) -> None:
    """Records that were not taken, oldest first, the caller masked, beside what is charged in their place."""
    async with engine() as opened:
        found = await opened.reviews.page(state=ReviewState(state), after=after)
    click.echo(f"{len(found)} {state}, times in UTC")
    for review in found:
        click.echo("\n".join(_lines(review)))
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].review_id}")


def _lines(review: Review) -> list[str]:
    """Not a table: the id is there to be copied."""
    lines = [
        f"\n{review.review_id}  call {review.call_id or '(no id)'}, came {review.received_at:%F %T}",
        f"  {review.status} {review.code}: {review.detail}",
        f"  record:  {_record(review)}",
    ]
    if review.charged is not None:
        lines.append(f"  charged: {_charged(review.charged)}")
    if review.decided_at is not None:
        lines.append(f"  decided: {review.decided_at:%F %T} by {review.decided_by}: {review.reason}")
    return lines


def _record(review: Review) -> str:
    record = review.record
    if record is None:
        return f"not readable, {review.size} bytes"
    answered = f"{record.answer_time:%F %T}" if record.answer_time else f"{record.call_time:%F %T} (not answered)"
    return f"{record.caller} to {record.host} {record.extension or ''}, {answered} to {record.release_time:%F %T}"


def _charged(charged: Charged) -> str:
    closed = ", month closed" if charged.month_closed else ""
    instant = charged.answer_time or charged.call_time
    return (
        f"{charged.merchant_id}: {charged.caller}, {instant:%F %T} to {charged.release_time:%F %T}, "
        f"{charged.minutes} minutes, {plain(charged.cost)} CNY{closed}"
    )


@click.command()
@click.argument("review_id", type=click.UUID)
@click.option(
    "--accept", "decision", flag_value=Decision.ACCEPT.value, help="A conflict takes the charged call's place."
)
@click.option("--retry", "decision", flag_value=Decision.RETRY.value, help="A rejected record is reported again.")
@click.option("--discard", "decision", flag_value=Decision.DISCARD.value, help="Nothing is charged.")
@click.option("--reason", required=True, help="Why; stays with the review.")
@author_option("stays with the review")
@command
async def decide(review_id: UUID, decision: str | None, reason: str, author: str) -> None:
    """Decide a record that was not taken, once. REVIEW_ID is what `vnum records reviews` begins with."""
    if decision is None:
        raise click.UsageError("give one of --accept, --retry and --discard")
    if not reason.strip():
        raise click.UsageError("--reason must not be empty")
    async with engine() as opened:
        decided = await opened.decider.decide(review_id, Decision(decision), reason=reason, by=author)
    if decided.state is ReviewState.OPEN:
        raise click.ClickException(f"still open: {decided.code}: {decided.detail}")
    click.echo(f"{review_id} {decided.state}{_price(decided)}")


def _price(decided: Decided) -> str:
    if decided.cost is None:
        return ""
    return f": {decided.status}, {decided.minutes} minutes, {plain(decided.cost)} CNY"
