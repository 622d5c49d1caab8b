"""How long what is kept: personal data by the law's months, money by the invoices' years."""

from datetime import UTC, date, datetime, timedelta

import msgspec

from vnum.model.bindings import MAX_LIFE

MOST_DAYS = 36_525


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Days (of 24 h): of a binding, after its end; of a call, a refused one too, after its answer (or dial); of logs in
    the database (audit entries, prints, what was told of orders), after they were written; of what invoices rest on,
    after its month."""

    bindings_days: int = 183
    calls_days: int = 183
    logs_days: int = 731
    invoices_days: int = 3_653

    def keeps_caller(self, called_at: datetime, now: datetime) -> bool:
        """Whether who rang is still to be kept."""
        return now < called_at + timedelta(days=self.calls_days)

    def calls_until(self, month: date) -> datetime:
        """When the last call of a month is past its term."""
        return after(month) + timedelta(days=self.calls_days)

    def bindings_until(self, month: date) -> datetime:
        """When the last binding of a month is past its term, however long it was extended."""
        return after(month) + MAX_LIFE + timedelta(days=self.bindings_days)

    def rows_until(self, month: date) -> datetime:
        """When the rows of a month, which hold no person any more, may go: the last days of its bindings are charged
        half a year later."""
        return after(month) + MAX_LIFE + timedelta(days=self.invoices_days)


def after(month: date) -> datetime:
    """The end of a month (UTC)."""
    year, place = divmod(month.year * 12 + month.month, 12)
    return datetime(year, place + 1, 1, tzinfo=UTC)
