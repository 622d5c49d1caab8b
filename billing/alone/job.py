"""One run of `python -m billing`: read, arrange, bill, write; the files appear when all of them are complete."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from billing.alone.gathering import Gathered, Months
from billing.alone.overview import Overview
from billing.alone.run import Series, bill, last_closable
from billing.alone.terms import DEFAULT_TERMS, Terms, read_terms
from billing.alone.writing import Format, write_bills, write_rejected
from billing.details import By
from billing.errors import PeriodNotOver
from billing.periods import Period


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; None of `first` and `last` = as the usage says, of `closed_at` = each month's own end."""

    usage: tuple[Path, ...]
    out: Path
    tariffs: Path | None
    first: Period | None
    last: Period | None
    issuer: str
    first_serial: int
    closed_at: datetime | None
    form: Format
    by: By

    def run(self, console: Console) -> Overview:
        """Do it.

        Raises:
            UsageUnusable: a file without usage.
            BillingRefusal: what a close would refuse as well.
            OSError: files that can not be read or written.
        """
        terms = read_terms(self.tariffs.read_bytes()) if self.tariffs else DEFAULT_TERMS
        self.out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.out, prefix=".billing-") as folder, _progress(console) as progress:
            runs, drafts = Path(folder, "runs"), Path(folder, "drafts")
            runs.mkdir()
            drafts.mkdir()
            gathered = _read(self.usage, runs, progress)
            overview = Overview(gathered.counts)
            if months := self._months(gathered):
                gathered.arrange(months)
                self._bill(gathered, months, terms, drafts, overview, progress)
            write_rejected(gathered.reasons(), drafts)
            overview.rejected = gathered.rejected.count
            for draft in sorted(drafts.iterdir()):
                draft.replace(self.out / draft.name)
        return overview

    def _months(self, gathered: Gathered) -> Months | None:
        found = gathered.months
        if found is None:
            return None
        asked = Months(self.first or found.first, self.last or found.last)
        if self.closed_at is None:
            return asked
        over = last_closable(asked, self.closed_at)
        if self.last and over.last != self.last:
            raise PeriodNotOver(
                f"{self.last} ends at {self.last.ends_at.isoformat()}, after {self.closed_at.isoformat()}"
            )
        return over

    def _bill(
        self, gathered: Gathered, months: Months, terms: Terms, drafts: Path, overview: Overview, progress: Progress
    ) -> None:
        series = Series(self.issuer, self.first_serial)
        total = gathered.rentals.count + gathered.calls.count
        advance = _advancing(progress, "billing", total)
        billed = bill(gathered, months, terms, series, closed_at=self.closed_at, done=advance)
        for invoice in write_bills(billed, drafts, self.form, self.by):
            overview.add(invoice)


def _read(usage: Sequence[Path], folder: Path, progress: Progress) -> Gathered:
    gathered = Gathered(folder)
    advance = _advancing(progress, "reading", sum(path.stat().st_size for path in usage))
    for path in usage:
        gathered.read(path, advance)
    return gathered


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _advancing(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(what, total=total)
    return lambda more: progress.advance(task, more)
