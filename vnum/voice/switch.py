"""The switch put together: the one place that opens its line, its spool, its client and its meters."""

import asyncio
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from baresip import BaresipError
from prometheus_client import start_http_server

from vnum.model.beside import ended
from vnum.settings import SettingsError
from vnum.voice import meters
from vnum.voice.clock import MachineClock
from vnum.voice.contract import Dial, Vnum
from vnum.voice.dials import Teller, take_orders
from vnum.voice.flow import Call, Parts, Terms
from vnum.voice.line import Arrival, Leg
from vnum.voice.post import Records
from vnum.voice.settings import SwitchSettings
from vnum.voice.sip_line import SipLine
from vnum.voice.spool import open_spool

log = structlog.get_logger()

LAST_POST_S: Final = 10.0
MOST_REMEMBERED: Final = 10_000
"""Ids of orders."""


class Switch:
    """Takes calls and orders as there are places, and ends them all when it stops."""

    def __init__(self, settings: SwitchSettings, line: SipLine, records: Records, vnum: Vnum) -> None:
        self._settings = settings
        self._line = line
        self._records = records
        self._vnum = vnum
        self._teller = Teller(vnum)
        self._clock = line.clock
        self._running: set[asyncio.Task[None]] = set()
        self._declining: set[asyncio.Task[None]] = set()
        self._ordered: dict[str, None] = {}
        self._draining = False
        self.stopped = asyncio.Event()
        self.dead = False

    async def run(self) -> None:
        """Until `stopped`; then running calls may end by themselves for a while, and are ended."""
        orders = asyncio.create_task(take_orders(self._vnum, self._free, self._order))
        states = asyncio.create_task(self._teller.run())
        vital = [
            asyncio.create_task(work) for work in (self._line.sound.run(), self._records.beat(), self._records.post())
        ]
        for task in vital:
            task.add_done_callback(self._ended_early)
        try:
            await self.stopped.wait()
            orders.cancel()
            await self._drain()
        finally:
            for task in vital:
                task.remove_done_callback(self._ended_early)
            await asyncio.gather(*(ended(task) for task in (orders, states, *vital)))

    def incoming(self, leg: Leg, arrival: Arrival) -> None:
        if self._draining or self._free() <= 0:
            meters.FULL.inc()
            self._begin(leg.hang_up(), self._declining)
            return
        self._begin(self._call(_new_id()).incoming(leg, arrival), self._running)

    def died(self) -> None:
        """The stack's thread ended: nothing can be done but to begin anew, and to report what was running."""
        self.dead = True
        self.stopped.set()

    def _order(self, dial: Dial) -> None:
        """An order whose states did not come through is given out again: it is rung once."""
        if dial.call_id in self._ordered:
            return
        self._ordered[dial.call_id] = None
        if len(self._ordered) > MOST_REMEMBERED:
            del self._ordered[next(iter(self._ordered))]
        self._begin(self._call(dial.call_id).ordered(dial), self._running)

    def _call(self, call_id: str) -> Call:
        parts = Parts(
            router=self._vnum,
            journal=self._records,
            line=self._line,
            clock=self._clock,
            states=self._teller,
            terms=_terms(self._settings),
        )
        return Call(parts, call_id)

    def _free(self) -> int:
        return 0 if self._draining else self._settings.places - len(self._running)

    def _begin(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    def _ended_early(self, task: asyncio.Task[None]) -> None:
        """A task that should run for ever did not: better no switch than one that bills nothing."""
        trouble = None if task.cancelled() else task.exception()
        log.critical("switch_task_ended", trouble=type(trouble).__name__)
        self.died()

    async def _drain(self) -> None:
        self._draining = True
        if self._running and not self.dead:
            log.info("draining", calls=len(self._running))
            await asyncio.wait(self._running, timeout=self._settings.drain_s)
        for task in tuple(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=LAST_POST_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_POST_S):
                await self._records.until_settled()
        if self._records.waiting:
            log.warning("records_left", count=self._records.waiting)


@asynccontextmanager
async def open_switch(settings: SwitchSettings) -> AsyncIterator[Switch]:
    """A switch that listens; `run` it. Raises SettingsError, SpoolTrouble."""
    clock = MachineClock()
    vnum = Vnum(settings.api, settings.api_key, route_s=settings.route_timeout_s)
    _ = settings.trunk_password
    spool = open_spool(settings.spool_folder)
    try:
        records = Records(spool, vnum, clock)
        await records.recover()
        _check_free(settings)
        _measure(settings)
        line = SipLine(settings, clock)
        switch = Switch(settings, line, records, vnum)
        try:
            await line.open(switch.incoming, switch.died)
        except BaresipError as trouble:
            raise SettingsError(f"VNUM_SWITCH_LISTEN: SIP does not start on {settings.listen}: {trouble}") from None
        meters.UNHEARD.asked = line.unheard
        try:
            yield switch
        finally:
            await line.close()
    finally:
        await vnum.close()
        spool.close()


async def run_switch(settings: SwitchSettings, announce: Callable[[], None]) -> bool:
    """Until SIGTERM or SIGINT; whether it ended as it should. `announce` = it listens."""
    async with open_switch(settings) as switch:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, switch.stopped.set)
        announce()
        await switch.run()
        return not switch.dead


def _terms(settings: SwitchSettings) -> Terms:
    return Terms(
        ring_s=settings.ring_s,
        first_digit_s=settings.first_digit_s,
        digit_s=settings.digit_s,
        warning_s=settings.warning_s,
        mark_s=settings.mark_s,
    )


def _measure(settings: SwitchSettings) -> None:
    """Raises SettingsError."""
    address = settings.measured
    try:
        start_http_server(address.port, address.host, registry=meters.REGISTRY)
    except OSError as trouble:
        raise SettingsError(
            f"VNUM_SWITCH_METRICS: cannot listen on {address}: {trouble.strerror}; name a free port"
        ) from trouble


def _check_free(settings: SwitchSettings) -> None:
    """The SIP stack starts on an address that is none of this machine's, and hears nothing. Raises SettingsError."""
    address = settings.listening
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
            tried.bind((address.host, address.port))
    except OSError as trouble:
        raise SettingsError(
            f"VNUM_SWITCH_LISTEN: SIP can not listen on {address}: {trouble.strerror}; "
            "name an address of this machine and a free port"
        ) from trouble


def _new_id() -> str:
    """Not the SIP Call-ID: callers choose that, and could choose another's."""
    return f"sw-{secrets.token_hex(16)}"
