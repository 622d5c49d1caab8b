"""Tax: included in the prices, or added to them (billing rule 6.11).

Added tax is exact (base x rate) and is part of the balance. Included tax is no part of any sum: it is told of an amount
that was rounded already, when that is split for the tax invoice.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal

import msgspec

from billing.money import EXACT, ZERO, difference, half_up, total

Mode = Literal["included", "added"]
MOST_PLACES: Final = 6


class Tax(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate` 0.06 = 6 %. `mode` says whether prices are with or without it."""

    mode: Mode = "included"
    rate: Decimal = ZERO

    def problems(self) -> list[str]:
        """Everything that speaks against these terms."""
        plain = self.rate.is_finite() and 0 <= self.rate < 1 and -MOST_PLACES <= int(self.rate.as_tuple().exponent) <= 0
        return [] if plain else [f"the rate must be at least 0, below 1, and have at most {MOST_PLACES} places"]


NO_TAX = Tax()


class TaxShare(msgspec.Struct, frozen=True, kw_only=True):
    """What of an invoice comes under one tax: base = the amounts, tax = what is added to them. Both exact, in CNY."""

    tax: Tax
    base: Decimal
    added: Decimal


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A rounded amount as a tax invoice writes it: gross = net + tax, each with two places."""

    tax: Tax
    gross: Decimal
    net: Decimal
    tax_amount: Decimal


def share(tax: Tax, amounts: Iterable[Decimal]) -> TaxShare:
    """Sum what comes under one tax."""
    base = total(amounts)
    return TaxShare(tax=tax, base=base, added=added(tax, base))


def added(tax: Tax, base: Decimal) -> Decimal:
    """The exact tax on top of a base; zero where prices include it."""
    return EXACT.multiply(base, tax.rate) if tax.mode == "added" else ZERO


def split(shares: Iterable[TaxShare], carried_in: Decimal = ZERO) -> list[Split]:
    """Split an amount due by tax rate; the gross amounts add up to it to the cent.

    What was carried over goes with the first share; each further one takes what the rounded running sum grows by.
    """
    found, running, before = [], carried_in, ZERO
    for part in shares:
        running = total([running, part.base, part.added])
        gross = difference(half_up(running), before)
        before = half_up(running)
        net = half_up(gross / (1 + part.tax.rate))
        found.append(Split(tax=part.tax, gross=gross, net=net, tax_amount=difference(gross, net)))
    return found
