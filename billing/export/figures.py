"""How papers write numbers and instants: in groups of three, by Asia/Shanghai."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from billing.money import EXACT, ZERO, plain, two_places
from billing.periods import ZONE
from billing.tax import Split, TaxShare, split

Text = dict[str, str | None]


def exact(amount: Decimal) -> str:
    """All its digits: 1,234.00018."""
    return f"{Decimal(plain(amount)):,f}"


def cents(amount: Decimal) -> str:
    """An amount due: 1,234.00."""
    return f"{Decimal(two_places(amount)):,f}"


def percent(rate: Decimal) -> str:
    """0.06 as 6%."""
    return f"{plain(EXACT.multiply(rate, Decimal(100)))}%"


def minute(instant: datetime) -> str:
    return f"{instant.astimezone(ZONE):%Y-%m-%d %H:%M}"


def second(instant: datetime) -> str:
    return f"{instant.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"


def tax_rows(shares: Iterable[TaxShare], carried_in: Decimal = ZERO) -> list[Text]:
    """Exact amounts by tax, and how the amount due is split."""
    shares = list(shares)
    return [_tax(of, part) for of, part in zip(shares, split(shares, carried_in), strict=True)]


def _tax(of: TaxShare, part: Split) -> Text:
    return {
        "mode": of.tax.mode,
        "rate": percent(of.tax.rate),
        "base": exact(of.base),
        "added": exact(of.added),
        "gross": cents(part.gross),
        "net": cents(part.net),
        "tax": cents(part.tax_amount),
    }
