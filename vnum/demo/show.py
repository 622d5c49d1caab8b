"""What the call came to, for people: its ladder, what the phones measured, and its line on the invoice."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from vnum.demo.call import AGENT, RECIPIENT, Shown
from vnum.demo.relay import RECORDS, Asked
from vnum.voice.contract import Answer
from vnum.voice.ladder import CALLER, SWITCH, VNUM, WIDTH, Event, dots, ladder, svg
from vnum.voice.ladder import RECIPIENT as CALLEE
from vnum.voice.softphone.picture import keyed, said
from vnum.voice.softphone.sip import user_in

DIFFERENCE_S: Final = 0.2
"""Seconds by which the record may differ from what the phones measured."""

LEAST_WIDTH: Final = 80
"""Cells of a terminal below which the picture is cut by it."""

LEGEND: Final = (
    "INVITE asks for a call, 180 says that it rings, 200 that it is answered (or done), BYE that somebody hung up; "
    "route, connect and record are what switch and vnum tell each other over HTTP."
)


class _Question(msgspec.Struct, frozen=True):
    digits: str | None = None


def show(console: Console, shown: Shown, out: Path) -> bool:
    """Prints the report and writes its files; whether all that it checks holds."""
    out.mkdir(parents=True, exist_ok=True)
    events = events_of(shown)
    picture = ladder(events, x=shown.number.host)
    (out / "ladder.txt").write_text(picture + "\n", encoding="utf-8")
    (out / "ladder.svg").write_text(svg(events, x=shown.number.host), encoding="utf-8")
    console.print(f"\nThe call, X = {shown.number.host}\n", style="bold", highlight=False)
    narrow = ladder(events, x=shown.number.host, width=max(LEAST_WIDTH, min(WIDTH, console.width)))
    console.print(narrow, highlight=False, soft_wrap=True)
    console.print(f"\n{LEGEND}\n", highlight=False)
    checks = list(_checks(shown))
    console.print(_table(checks), _invoice(shown), sep="\n")
    console.print(_detail(shown), highlight=False, soft_wrap=True)
    console.print(f" {out / 'ladder.svg'}: the call as a picture, to be opened in a browser", soft_wrap=True)
    return all(holds for _, _, holds in checks)


def events_of(shown: Shown) -> list[Event]:
    host = shown.number.host
    events = said(shown.told.call, CALLER, SWITCH, host) + said(shown.rung, CALLEE, SWITCH, host)
    events += keyed(shown.told, shown.script, CALLER, SWITCH, _prompt(shown))
    for asked in shown.asked:
        events += _exchange(asked, shown)
    talk = f"both talk {shown.recipient.talk_s:.1f} s"
    return [*events, Event(at=shown.told.heard_at, source=CALLER, target=CALLER, text=talk)]


def _exchange(asked: Asked, shown: Shown) -> list[Event]:
    if asked.path == RECORDS:
        question, answer = "record", f"{shown.result.minutes} min, {shown.result.cost} CNY"
    else:
        digits = msgspec.json.decode(asked.question, type=_Question).digits
        question = f"route X {dots(digits)}" if digits else "route X"
        answer = _told(msgspec.json.decode(asked.answer, type=Answer))
    return [
        Event(at=asked.asked_at, source=SWITCH, target=VNUM, text=question),
        Event(at=asked.answered_at, source=VNUM, target=SWITCH, text=answer),
    ]


def _prompt(shown: Shown) -> str:
    """What the switch was told to play first."""
    return msgspec.json.decode(shown.asked[0].answer, type=Answer).prompt or ""


def _told(answer: Answer) -> str:
    """Never the callee."""
    if answer.connects:
        return "connect"
    asks = f" {answer.digits} digits" if answer.digits else f", cause {answer.cause}"
    return answer.action + asks


def _checks(shown: Shown) -> Iterator[tuple[str, str, bool]]:
    """(what, what was found, whether it is as it should be)."""
    agent, recipient, record = shown.agent, shown.recipient, shown.record
    assert record.answer_time is not None
    seconds = (record.release_time - record.answer_time).total_seconds()
    shows = user_in(shown.recipient_saw).removeprefix("+86")
    leaked = [message for message in shown.told.call.seen if RECIPIENT in message.text] + [
        message for message in shown.rung.seen if AGENT in message.text
    ]
    yield "the agent heard the recipient", f"{agent.heard_s:.1f} s", agent.heard_s > 1
    yield "the recipient heard the agent", f"{recipient.heard_s:.1f} s", recipient.heard_s > 1
    yield "the recipient's phone shows", "X" if shows == shown.number.host else "another", shows == shown.number.host
    yield "messages with the other's number", str(len(leaked)), not leaked
    yield "talk, by the recipient's phone", f"{recipient.talk_s:.2f} s", True
    yield "talk, by the record", f"{seconds:.2f} s", abs(seconds - recipient.talk_s) < DIFFERENCE_S


def _table(checks: list[tuple[str, str, bool]]) -> Table:
    table = Table(title="What the phones found", show_header=False)
    for what, found, holds in checks:
        table.add_row(what, found, "ok" if holds else "WRONG", style=None if holds else "red")
    return table


def _invoice(shown: Shown) -> Table:
    invoice = shown.invoice
    table = Table(title=f"Invoice {invoice['number']} of {invoice['period']}, {invoice['merchant_id']}")
    for column in ("item", "quantity", "rate", "CNY, exact"):
        table.add_column(column, justify="left" if column == "item" else "right")
    for line in invoice["lines"]:
        item, unit = ("calls", "min") if line["bill_item"] else ("number rental", "days")
        table.add_row(item, f"{line['quantity']} {unit}", line["rate"], line["amount"])
    table.add_section()
    table.add_row("total", "", "", invoice["total_exact"], style="bold")
    return table


def _detail(shown: Shown) -> str:
    columns, detail = csv.reader([shown.columns, shown.detail])
    row = dict(zip(columns, detail, strict=True))
    return (
        f" its detail of this call: order {row['order_id']}, {row['biz_date']}, {row['seconds']} s = "
        f"{row['bill_duration']} min, {row['cost']} CNY"
    )
