"""The one door to `billing`: what the rest of vnum may use of it."""

from asyncpg import Pool

from billing.calls import Rated, rate_call
from billing.close import CloseReport, close
from billing.errors import BillingRefusal
from billing.migrate import Migration
from billing.migrate import apply as apply_migrations
from billing.migrate import load as load_migrations
from billing.money import plain
from billing.periods import Period
from billing.tariffs import TariffBook, TariffId
from billing.tariffs import load_book as _load_book

__all__ = [
    "BillingRefusal",
    "CloseReport",
    "Migration",
    "Period",
    "Rated",
    "TariffBook",
    "TariffId",
    "apply_migrations",
    "close",
    "load_book",
    "load_migrations",
    "plain",
    "rate_call",
]


async def load_book(database: Pool) -> TariffBook:
    """Every tariff version there is now."""
    async with database.acquire() as connection:
        return await _load_book(connection)
