"""The tariffs file: JSON with tariff versions, who pays which of them, and who the merchants are.

    {"tariffs": [{"tariff_id": "gold", "effective_from": "2026-01-01T00:00:00+08:00",
                  "rental": {"model": "started_day", "rate": "0.00015"},
                  "calls": {"model": "increments", "minute": "0.018", "first_s": 6, "next_s": 6},
                  "free_minutes": 100, "tax": {"mode": "added", "rate": "0.06"}}],
     "assignments": [{"merchant_id": "shop-1", "effective_from": "2026-01-01T00:00:00+08:00", "tariff_id": "gold"}],
     "accounts": [{"merchant_id": "shop-1", "invoice_title": "Shop 1 Ltd", "carried_in": "0.004"}]}

Versions of a tariff are numbered in the order in which they begin. A number of JSON is read digit by digit, never as a
binary fraction. Who is assigned to nothing pays the tariff "default", which the file then has to have; without a file
it is the one that every ledger begins with.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from billing.errors import TariffInvalid
from billing.invoice import Buyer, MerchantId
from billing.money import ZERO
from billing.prices import CallPrice, Increments, RentalPrice, StartedDay
from billing.tariffs import DEFAULT_TARIFF, Assignment, TariffBook, TariffId, TariffVersion, problems
from billing.tax import NO_TAX, Tax

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]

DEFAULT_VERSION: Final = TariffVersion(
    tariff_id=DEFAULT_TARIFF,
    version=1,
    effective_from=datetime(1970, 1, 1, tzinfo=UTC),
    rental=StartedDay(rate=Decimal("0.00018")),
    calls=Increments(minute=Decimal("0.02")),
)


class GivenVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version as the file has it; `version`, if given, must be its number."""

    tariff_id: Name
    version: int | None = None
    effective_from: Instant
    rental: RentalPrice
    calls: CallPrice
    free_minutes: int = 0
    tax: Tax = NO_TAX


class GivenAssignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who pays what, and from when on."""

    merchant_id: Name
    effective_from: Instant
    tariff_id: Name


class GivenAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who pays; `carried_in` is the `carried_out` of his last invoice before the months that are billed."""

    merchant_id: Name
    invoice_title: str | None = None
    tax_no: str | None = None
    carried_in: Decimal = ZERO


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tariffs: list[GivenVersion]
    assignments: list[GivenAssignment] = []
    accounts: list[GivenAccount] = []


class Terms:
    """What everybody pays, by what name, and with what carried over."""

    def __init__(
        self, book: TariffBook, assignments: Iterable[Assignment] = (), accounts: Iterable[GivenAccount] = ()
    ) -> None:
        self.book = book
        self._assignments: dict[str, list[Assignment]] = defaultdict(list)
        for assignment in assignments:
            self._assignments[assignment.merchant_id].append(assignment)
        self._accounts = {account.merchant_id: account for account in accounts}

    def assignments(self, merchant_id: str) -> Sequence[Assignment]:
        """Those of a merchant."""
        return self._assignments.get(merchant_id, ())

    def buyer(self, merchant_id: str) -> Buyer:
        """Who pays."""
        account = self._account(merchant_id)
        return Buyer(merchant_id=MerchantId(merchant_id), invoice_title=account.invoice_title, tax_no=account.tax_no)

    def carried_in(self, merchant_id: str) -> Decimal:
        """What the last invoice before the first month left over, in CNY; usually a part of a cent."""
        return self._account(merchant_id).carried_in

    def _account(self, merchant_id: str) -> GivenAccount:
        return self._accounts.get(merchant_id) or GivenAccount(merchant_id=merchant_id)


DEFAULT_TERMS: Final = Terms(TariffBook([DEFAULT_VERSION]))


def read_terms(content: bytes) -> Terms:
    """Read a tariffs file.

    Raises:
        TariffInvalid: with every problem found, or with the first place where it is not of its shape.
    """
    try:
        given = msgspec.json.decode(content, type=_Given)
    except msgspec.DecodeError as problem:
        raise TariffInvalid(f"the tariffs file can not be read: {problem}") from problem
    versions, found = _numbered(given.tariffs)
    found += [f"{version.tariff_id}: {text}" for version in versions for text in problems(version)]
    found += _loose_ends(given, {version.tariff_id for version in versions})
    if found:
        raise TariffInvalid("the tariffs file: " + "; ".join(found))
    assignments = [
        Assignment(merchant_id=a.merchant_id, effective_from=a.effective_from, tariff_id=TariffId(a.tariff_id))
        for a in given.assignments
    ]
    return Terms(TariffBook(versions), assignments, given.accounts)


def _numbered(given: Iterable[GivenVersion]) -> tuple[list[TariffVersion], list[str]]:
    """The versions, and what is wrong with their order."""
    versions: list[TariffVersion] = []
    found: list[str] = []
    for one in sorted(given, key=lambda version: (version.tariff_id, version.effective_from)):
        last = versions[-1] if versions and versions[-1].tariff_id == one.tariff_id else None
        number = last.version + 1 if last else 1
        if last and last.effective_from == one.effective_from:
            found.append(f"{one.tariff_id}: two versions from {one.effective_from.isoformat()}")
        if one.version not in (None, number):
            found.append(f"{one.tariff_id}: version {one.version} begins as number {number}")
        versions.append(
            TariffVersion(
                tariff_id=TariffId(one.tariff_id),
                version=number,
                effective_from=one.effective_from,
                rental=one.rental,
                calls=one.calls,
                free_minutes=one.free_minutes,
                tax=one.tax,
            )
        )
    return versions, found


def _loose_ends(given: _Given, tariffs: set[TariffId]) -> list[str]:
    unknown = sorted({a.tariff_id for a in given.assignments} - tariffs)
    found = [f"assigned to {name}, which is no tariff of the file" for name in unknown]
    found += [f"{who} is assigned twice from {since}" for who, since in _twice(
        (a.merchant_id, a.effective_from.isoformat()) for a in given.assignments)]  # fmt: skip
    found += [f"{who} has two accounts" for (who,) in _twice((account.merchant_id,) for account in given.accounts)]
    return found + [
        f"{a.merchant_id}: carried_in is no plain amount" for a in given.accounts if not a.carried_in.is_finite()
    ]


def _twice(keys: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Those that stand there again."""
    seen: set[tuple[str, ...]] = set()
    again = []
    for key in keys:
        if key in seen:
            again.append(key)
        seen.add(key)
    return again
