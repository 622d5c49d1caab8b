"""Runs a timeline through the engine: binds, prints, calls, expires, bills; then has it audited."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vnum.engine import Engine, Parts, open_engine
from vnum.finance import (
    Invoice,
    Item,
    Kind,
    OfPeriod,
    Period,
    close,
    export_csv,
    export_statement,
    export_xlsx,
    invoices_of,
)
from vnum.model.orders import OrderStatus
from vnum.model.refusals import UnusableFile
from vnum.replay.audit import audit
from vnum.replay.files import (
    Call,
    Parcel,
    Rejected,
    read_calls,
    read_parcels,
    write_rejected,
)
from vnum.replay.report import PoolDay, show
from vnum.replay.summary import Summary
from vnum.replay.timeline import (
    TTL_DAYS,
    Bind,
    Close,
    Dial,
    Event,
    Post,
    Tend,
    batches,
    phone_of,
    timeline,
)
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.clock import ManualClock
from vnum.service.hosts import NewHost
from vnum.service.labels import Label, LabelItem
from vnum.service.merchants import NewMerchant
from vnum.service.orders import BindRequest
from vnum.service.records import CallRecord, Status
from vnum.service.route import Action, Policy, RouteRequest
from vnum.store import history
from vnum.store.database import Database
from vnum.store.migrate import drop, migrate
from vnum.vault import KeyPlace

PARCELS_A_HOST = 2_500
"""Hosts are a quarter full at most, as a guesser should find them."""

QUARANTINE_DAYS = 90
NO_POLICIES = Policy(guards=False, max_seconds=86_400)

Export = Callable[[Database, OfPeriod], AsyncGenerator[bytes, None]]
FILES: Sequence[tuple[str, Export]] = (("csv", export_csv), ("xlsx", export_xlsx), ("pdf", export_statement))
"""What a closed month is written to; the first always, all with `statements`."""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    parcels: Sequence[Parcel]
    calls: Sequence[Call]
    rejected: list[Rejected]


def read_input(parcels_file: Path, calls_file: Path) -> Input:
    """Raises UnusableFile."""
    parcels, bad_parcels = read_parcels(parcels_file)
    calls, bad_calls = read_calls(calls_file)
    if not parcels:
        raise UnusableFile(f"{parcels_file}: no usable parcel in it")
    return Input(parcels=parcels, calls=calls, rejected=bad_parcels + bad_calls)


async def replay(
    given: Input,
    start: date,
    out: Path,
    endpoints: Endpoints,
    keys: KeyPlace,
    *,
    keep: bool,
    console: Console,
    statements: bool = False,
) -> Summary:
    """Everything, in a schema and Redis prefix of its own."""
    schema = f"replay_{secrets.token_hex(4)}"
    (out / "invoices").mkdir(parents=True, exist_ok=True)
    for old in (out / "invoices").glob("*.csv"):
        old.unlink()
    events = timeline(given.parcels, given.calls, start)
    clock = ManualClock(events[0].at)
    parts = Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=keys.file,
        key_text=keys.text,
        key_command=keys.command,
        schema=schema,
        policy=NO_POLICIES,
    )
    await migrate(endpoints.postgres_admin_dsn, schema)
    try:
        async with open_engine(parts, clock=clock) as engine:
            run = _Run(engine, clock, given, out, FILES if statements else FILES[:1])
            try:
                await run.prepare()
                with _bars(console, events) as bars:
                    for group in batches(events):
                        await run.step(group)
                        bars.advance(group)
                summary = await run.finish(console)
                days = await run.pool_by_day()
                show(console, summary, days, out, statements=statements)
                return summary
            finally:
                if not keep:
                    await engine.pool.drop()
    finally:
        if keep:
            console.print(f"kept: schema {schema} and its Redis keys; look at it with VNUM_SCHEMA={schema} vnum ...")
        else:
            await drop(endpoints.postgres_admin_dsn, schema)


class _Run:
    def __init__(
        self, engine: Engine, clock: ManualClock, given: Input, out: Path, files: Sequence[tuple[str, Export]]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._parcels = given.parcels
        self._rejected = list(given.rejected)
        self._out = out
        self._files = files
        self._labels: dict[int, Label] = {}
        self._routed: dict[str, Action] = {}
        self.summary = Summary()

    async def prepare(self) -> None:
        """Merchants, and enough hosts of each city."""
        merchants = sorted({parcel.merchant_id for parcel in self._parcels})
        for merchant_id in merchants:
            await self._engine.merchants.add(NewMerchant(merchant_id=merchant_id, name=merchant_id))
        cities: dict[str, int] = {}
        for parcel in self._parcels:
            cities[parcel.city] = cities.get(parcel.city, 0) + 1
        wanted = [city for city in sorted(cities) for _ in range(-(-cities[city] // PARCELS_A_HOST))]
        for n, city in enumerate(wanted):
            number = f"184{n:08d}"
            await self._engine.hosts.add(NewHost(host=number, city=city, quarantine_days=QUARANTINE_DAYS))
        self.summary.merchants, self.summary.hosts = len(merchants), len(wanted)

    async def step(self, events: Sequence[Event]) -> None:
        """One event, or calls that follow one another with nothing between: each at its own instant, all at once."""
        self._clock.instant = events[-1].at
        await asyncio.gather(*map(self._one, events))

    async def _one(self, event: Event) -> None:
        match event:
            case Bind():
                await self._bind(event)
            case Dial():
                await self._dial(event)
            case Post():
                await self._post(event)
            case Tend():
                await self._engine.care.tend()
            case Close():
                await self._close(event.period)

    async def finish(self, console: Console) -> Summary:
        """Past the last quarantine, and the audit."""
        summary = self.summary
        assert summary.last_ended_at is not None
        summary.call_minutes += await history.late_minutes(self._engine.database)
        self._clock.instant = summary.last_ended_at + timedelta(days=QUARANTINE_DAYS + 1)
        await self._engine.care.tend()
        with console.status("auditing"):
            summary.audit = await audit(self._engine, self._out / "invoices", self._clock.instant)
        summary.rejected_rows = len(self._rejected)
        write_rejected(self._out / "rejected.csv", self._rejected)
        summary.write(self._out / "summary.json")
        return summary

    async def pool_by_day(self) -> list[PoolDay]:
        first, last = self.summary.first_bound_at, self.summary.last_ended_at
        assert first is not None
        assert last is not None
        return await history.pool_by_day(self._engine.database, first, last + timedelta(days=30), QUARANTINE_DAYS)

    async def _bind(self, event: Bind) -> None:
        outcomes = await self._engine.binder.bind([_request(self._parcels[n]) for n in event.parcels])
        items = []
        for n, outcome in zip(event.parcels, outcomes, strict=True):
            parcel = self._parcels[n]
            if isinstance(outcome, Bound):
                self.summary.bindings += outcome.created
                items.append(LabelItem(merchant_id=parcel.merchant_id, order_id=parcel.order_id))
                self._span(outcome)
            else:
                self._reject("parcels", f"{outcome.code}: {outcome.detail}", parcel.order_id)
        found = await self._engine.labels.current(items)
        by_order = {
            (label.binding.merchant_id, label.binding.order_id): label for label in found if isinstance(label, Label)
        }
        for n in event.parcels:
            label = by_order.get((self._parcels[n].merchant_id, self._parcels[n].order_id))
            if label is not None:
                self._labels[n] = label
                self.summary.labels += 1

    async def _dial(self, event: Dial) -> None:
        """The agent dials the number on the label: first the host, then, asked for it, the extension."""
        label = self._labels.get(event.parcel)
        if label is None:
            self._reject("calls", "its parcel was not bound", event.call.call_id)
            return
        asked = RouteRequest(
            call_id=event.call.call_id, caller=phone_of(f"agent {event.call.agent}"), host=label.binding.host
        )
        decision = await self._engine.routes.route(asked, event.at)
        if decision.action is Action.COLLECT:
            keyed = msgspec.structs.replace(asked, digits=label.binding.extension)
            decision = await self._engine.routes.route(keyed, event.at)
        self._routed[event.call.call_id] = decision.action
        if decision.action is not Action.CONNECT:
            self._reject("calls", f"not connected: {decision.code}", event.call.call_id)

    async def _post(self, event: Post) -> None:
        dials = [dial for dial in event.dials if self._routed.pop(dial.call.call_id, None) is Action.CONNECT]
        records = [self._record(dial) for dial in dials]
        for dial, reported in zip(dials, await self._engine.records.report(records), strict=True):
            if reported.status is not Status.RATED:
                self._reject("calls", f"{reported.status}: {reported.code}", dial.call.call_id)
            elif dial.answered_at is None:
                self.summary.calls_unanswered += 1
            else:
                self.summary.calls_answered += 1

    def _record(self, dial: Dial) -> CallRecord:
        binding = self._labels[dial.parcel].binding
        return CallRecord(
            call_id=dial.call.call_id,
            host=binding.host,
            extension=binding.extension,
            caller=phone_of(f"agent {dial.call.agent}"),
            call_time=dial.at,
            answer_time=dial.answered_at,
            release_time=dial.released_at,
        )

    async def _close(self, period: Period) -> None:
        engine = self._engine
        report = await close(engine.database, period, now=self._clock.instant, issuer=engine.issuer)
        summary = self.summary
        summary.invoices += report.invoices_made
        summary.total_exact += report.total_exact
        summary.amount_due += report.amount_due
        if not report.invoices_made:
            return
        for suffix, export in self._files:
            with (self._out / "invoices" / f"{period}.{suffix}").open("wb") as file:
                async for piece in export(engine.database, OfPeriod(period=period)):
                    file.write(piece)
        async for invoice in invoices_of(engine.database, period):
            self._add(invoice)

    def _add(self, invoice: Invoice) -> None:
        """Lines; and late calls, which are there if one lasts past the close of its month."""
        self.summary.call_cost += invoice.late_total
        for line in invoice.lines:
            if line.item is Item.RENTAL:
                self.summary.rental_days += line.quantity
                self.summary.rental_cost += line.amount
            else:
                self.summary.call_minutes += line.quantity if line.kind is Kind.CALL else 0
                self.summary.call_cost += line.amount

    def _span(self, outcome: Bound) -> None:
        binding, summary = outcome.binding, self.summary
        summary.first_bound_at = min(summary.first_bound_at or binding.bound_at, binding.bound_at)
        summary.last_ended_at = max(summary.last_ended_at or binding.ended_at, binding.ended_at)

    def _reject(self, file: str, reason: str, row: str) -> None:
        self._rejected.append(Rejected(file=file, line=0, reason=reason, row=row))
        if file == "calls":
            self.summary.calls_rejected += 1


def _request(parcel: Parcel) -> BindRequest:
    return BindRequest(
        merchant_id=parcel.merchant_id,
        order_id=parcel.order_id,
        recipient_phone=phone_of(parcel.order_id),
        order_status=OrderStatus.SHIPPED,
        ttl_days=TTL_DAYS,
        city=parcel.city,
        city_strict=True,
    )


class _Bars:
    """A bar for each kind of event that people wait for."""

    def __init__(self, progress: Progress, events: Sequence[Event]) -> None:
        self._progress = progress
        self._tasks: dict[type, TaskID] = {}
        for kind, title in ((Bind, "parcels bound"), (Dial, "calls dialled"), (Close, "months closed")):
            total = sum(_weight(event) for event in events if isinstance(event, kind))
            self._tasks[kind] = progress.add_task(title, total=total)

    def advance(self, events: Sequence[Event]) -> None:
        if type(events[0]) in self._tasks:
            self._progress.advance(self._tasks[type(events[0])], sum(map(_weight, events)))


def _weight(event: Event) -> int:
    return len(event.parcels) if isinstance(event, Bind) else 1


@contextmanager
def _bars(console: Console, events: Sequence[Event]) -> Iterator[_Bars]:
    columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, events)
