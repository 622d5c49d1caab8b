"""Calls by increments (billing rule 6.4): 60/60 is the started minute; 6/6, 1/1, 30/6 are usual as well.

    talked    whole seconds from answer to release, the rest cut off
    billed    talked less the free seconds; nothing left: the call is free, without a set-up fee
    charged   at least the minimum; the first increment, then as many of the next as are begun
    cost      set-up fee + charged / 60 x price of a minute

Everything is counted in units: the greatest common divisor of the two increments, 60 s for 60/60 and 6 s for 30/6. The
price of a unit has to be exact, so that an amount is; a price that is not (0.02 a minute in units of 1 s) is refused
when the tariff is made.
"""

from datetime import datetime
from decimal import Decimal, Inexact
from math import gcd
from typing import Final

import msgspec

from billing.money import EXACT, MOST_PLACES, ZERO, plain, times, total

MINUTE_S: Final = 60
LONGEST_S: Final = 3600


class CallWorking(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a call's price came about: cost = setup_fee + units x rate; charged_s = units x unit_s.

    `minutes` = charged seconds as started minutes, which is what bills show as a call's duration.
    """

    seconds: int
    billed_s: int
    charged_s: int
    minutes: int
    units: int
    unit_s: int
    rate: Decimal
    setup_fee: Decimal
    cost: Decimal


class Increments(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="model", tag="increments", forbid_unknown_fields=True
):
    """`minute` and `setup_fee` in CNY; the others in seconds: first and next increment, minimum, free seconds."""

    minute: Decimal
    first_s: int = MINUTE_S
    next_s: int = MINUTE_S
    minimum_s: int = 0
    free_s: int = 0
    setup_fee: Decimal = ZERO

    @property
    def unit_s(self) -> int:
        """What is counted, in seconds."""
        return gcd(self.first_s, self.next_s)

    @property
    def unit_price(self) -> Decimal:
        """CNY. Raises decimal.Inexact where it has no end; such a tariff is never made."""
        return EXACT.divide(times(self.minute, self.unit_s), Decimal(MINUTE_S))

    def rate(self, answered_at: datetime | None, released_at: datetime) -> CallWorking:
        """Price one call; None = nobody answered.

        Raises:
            ValueError: released before it was answered; such a record is rejected before it is rated.
        """
        talked = seconds(answered_at, released_at)
        billed = max(0, talked - self.free_s)
        charged = self._charged(max(billed, self.minimum_s)) if billed else 0
        units = charged // self.unit_s
        fee = self.setup_fee if billed else ZERO
        price = self.unit_price
        return CallWorking(
            seconds=talked,
            billed_s=billed,
            charged_s=charged,
            minutes=-(-charged // MINUTE_S),
            units=units,
            unit_s=self.unit_s,
            rate=price,
            setup_fee=fee,
            cost=total([fee, times(price, units)]),
        )

    def _charged(self, billed: int) -> int:
        beyond = max(0, billed - self.first_s)
        return self.first_s - beyond // -self.next_s * self.next_s

    def problems(self) -> list[str]:
        """Everything that speaks against these terms; the amounts are plain ones already."""
        found = [
            f"{name} must be {least} to {LONGEST_S} seconds"
            for name, least in (("first_s", 1), ("next_s", 1), ("minimum_s", 0), ("free_s", 0))
            if not least <= getattr(self, name) <= LONGEST_S
        ]
        return found or self._price_problems()

    def _price_problems(self) -> list[str]:
        try:
            _ = self.unit_price
        except Inexact:
            steps = f"{self.first_s}/{self.next_s}"
            return [
                f"a minute at {plain(self.minute)} has no exact price for a unit of {self.unit_s} s ({steps}); "
                f"take a price that can be divided by 3, such as {plain(_nearest(self.minute))}"
            ]
        return []


def seconds(answered_at: datetime | None, released_at: datetime) -> int:
    """Whole seconds from answer to release, the rest cut off; 0 when nobody answered.

    Raises:
        ValueError: released before it was answered.
    """
    if answered_at is None:
        return 0
    span = released_at - answered_at
    if span.days < 0:
        raise ValueError("a call cannot be released before it was answered")
    return span.days * 86_400 + span.seconds


def _nearest(price: Decimal) -> Decimal:
    """A price close by, with two more places while a tariff may have them, that has an exact sixtieth."""
    step = Decimal((0, (3,), max(-MOST_PLACES, min(-2, int(price.as_tuple().exponent)) - 2)))
    return max(Decimal(1), (price / step).to_integral_value()) * step
