"""The language of the stories: dated steps, and the bills that they must come to, with the sums written out.

A step is `DATE TIME VERB ...`, by Shanghai's clock; `-> code` at its end says that it must be answered so:

    merchant M [TARIFF]                          opened now; "m" is opened at the first step unless a step says so
    tariff NAME FROM term=value ...              the next version of a price list, see TERMS
    assign M TARIFF [FROM]                       another price list for a merchant
    suspend M
    bind ORDER DAYS [M]                          extend ORDER DAYS          release ORDER
    policy RULE=DAYS ...                         of a number's life     told ORDER EVENT [M]
    call ORDER ID SECONDS                        answered now, and reported when it is released
    report ORDER ID release=T [answer=T] [dial=T]  a record that arrives now; without `dial` it is the answer. T = TIME
                                                 or DATETTIME, with an offset or by Shanghai's clock
    close PERIOD [M]

A bill is `[M] PERIOD: SUM = TOTAL[, tax SUM = TAX], due AMOUNT[, carry AMOUNT]`, the sum a row of `QUANTITY x RATE`,
each of them one line of the invoice, and of `late COUNT x AMOUNT` for its adjustments; or `[M] PERIOD: nothing`.
"""

import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
TERM = re.compile(r"([+-]) (late )?([0-9.]+) x ([0-9.]+) ?")


class Story(NamedTuple):
    name: str
    steps: str
    bills: str


class Step(NamedTuple):
    at: datetime
    verb: str
    words: list[str]
    answer: str


class Sum(NamedTuple):
    """A sum as written: its lines (quantity, rate), and its late calls (count, amount of one)."""

    lines: Counter[tuple[Fraction, Fraction]]
    late: list[tuple[Fraction, Fraction]]

    @property
    def total(self) -> Fraction:
        ordinary = sum((quantity * rate * times for (quantity, rate), times in self.lines.items()), Fraction())
        return ordinary + sum((count * amount for count, amount in self.late), Fraction())


class Bill(NamedTuple):
    merchant: str
    period: str
    sum: Sum | None
    """None = no invoice."""
    tax: Fraction = Fraction()
    due: str = ""
    carry: Fraction | None = None


def instant(text: str) -> datetime:
    """By Shanghai's clock where the text has no offset."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=SHANGHAI)).astimezone(UTC)


def read_steps(text: str) -> list[Step]:
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        told, _, answer = line.partition(" -> ")
        day, time, verb, *words = told.split()
        found.append(Step(instant(f"{day} {time}"), verb, words, answer.strip()))
    return found


def read_bills(text: str) -> list[Bill]:
    return [_bill(line) for line in filter(None, map(str.strip, text.splitlines()))]


def _bill(line: str) -> Bill:
    who, _, what = line.partition(": ")
    merchant, period = who.split() if " " in who else ("m", who)
    if what == "nothing":
        return Bill(merchant, period, None)
    parts = dict(_part(n, part) for n, part in enumerate(what.split(", ")))
    tax = read_sum(parts["tax"]).total if "tax" in parts else Fraction()
    carry = Fraction(parts["carry"]) if "carry" in parts else None
    return Bill(merchant, period, read_sum(parts["sum"]), tax, parts["due"], carry)


def _part(n: int, part: str) -> tuple[str, str]:
    name, _, rest = part.partition(" ")
    return ("sum", part) if n == 0 else (name, rest)


def read_sum(text: str) -> Sum:
    """Checks the arithmetic of the one who wrote it down as well."""
    written, _, result = text.partition(" = ")
    terms = ("" if written.startswith("- ") else "+ ") + written
    assert "".join(match[0] for match in TERM.finditer(terms)) == terms, f"cannot read {text!r}"
    found = Sum(Counter(), [])
    for sign, late, quantity, rate in TERM.findall(terms):
        if late:
            found.late.append((Fraction(quantity), Fraction(rate)))
        else:
            found.lines[Fraction(sign + quantity), Fraction(rate)] += 1
    assert found.total == Fraction(Decimal(result)), f"{text!r}: that makes {float(found.total)}"
    return found
