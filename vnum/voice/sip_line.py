"""The line on baresip: SIP over UDP and RTP, one process-wide stack with a thread of its own.

What the library does not do by itself, and is done here: it says 486 to every call it declines; each shown number needs
a SIP identity of its own, and there are 1,023 places for identities and legs together; events of a leg may come before
its `dial` returns; a leg that is gone answers commands with StaleHandleError.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Final

import structlog
from baresip import Account, BaresipError, Config, UserAgent
from baresip.call import Call
from baresip.events import Event, StackEvent

from vnum.settings import SettingsError
from vnum.voice.causes import NO_ANSWER, NO_CIRCUIT, OUT_OF_ORDER, cause_of
from vnum.voice.line import Answered, Arrival, Clock, Failed, Left, Leg, LineTrouble
from vnum.voice.numbers import caller_of, dialled
from vnum.voice.outcome import CALLEE, CALLER, NORMAL, PLATFORM
from vnum.voice.registration import RENEWED_S, Registration
from vnum.voice.settings import SwitchSettings
from vnum.voice.sip_leg import SipLeg, Studio
from vnum.voice.sip_stack import SipStack
from vnum.voice.sound_path import SoundPath
from vnum.voice.sounds import load_prompts

log = structlog.get_logger()

CATCH_ALL: Final = "vnum"
NO_VIDEO: Final = "video_codecs=none"
"""With any, the library sends a re-INVITE as soon as it has answered."""

PLACES: Final = 1_023
SILENT: Final = "rtp stream error"
"""What the library says of a leg that it ended since nothing came from it any more."""

SILENT_S: Final = 1.0
"""A trunk that says nothing for so long is complained of, also if the caller gave up by then."""

WAY_OUT: Final = "VNUM_SWITCH_LISTEN and VNUM_SWITCH_TRUNK: is there a way from the one to the other?"
MOST_EARLY: Final = 1_000
MOST_DECLINING: Final = 20
"""Calls that the switch turns away itself at a time; further ones the library turns away unseen."""

WILDCARD: Final = "0.0.0.0"  # noqa: S104 - compared with, not bound

Incoming = Callable[[SipLeg, Arrival], None]


class SipLine:
    """Listens, and rings. `incoming` is called for every call that comes in; `full` says whether one more may."""

    def __init__(self, settings: SwitchSettings, clock: Clock) -> None:
        self._settings = settings
        self.clock = clock
        self.sound = SoundPath(clock)
        self._studio = Studio(clock, self.sound, load_prompts(settings.prompts))
        self._runtime = SipStack(clock)
        self._shown: dict[str, UserAgent] = {}
        self._legs: dict[int, SipLeg] = {}
        self._early: dict[int, list[tuple[StackEvent, float]]] = {}
        self._incoming: Incoming | None = None
        self._lock = asyncio.Lock()
        self._declining: asyncio.Future[None] | None = None
        self._registration: Registration | None = None

    async def open(self, incoming: Incoming, dead: Callable[[], None]) -> None:
        """Raises BaresipError when the address is taken or not of this machine. `dead` = the stack's thread ended."""
        self._incoming = incoming
        listen = self._settings.listening
        self._runtime.on_dead = dead
        await self._runtime.listen(
            Config(
                net_interface=None if listen.host == WILDCARD else listen.host,
                expose_headers=("To", "From"),
                max_concurrent_calls=2 * self._settings.places + MOST_DECLINING,
                rtp_timeout=self._settings.silence_s,
                native_log_level="error",  # its warnings are many, and may name peers
                extra_config_text=(
                    f"sip_listen {listen}\nsip_transports udp\nrtp_ports {self._settings.rtp_ports}\n"
                    "call_hold_other_calls no\n"
                ),
            ),
            listen.port,
        )
        await self._shut_out_strangers()
        self._runtime.subscribe(self._on_event)
        await self._identity(CATCH_ALL, "catchall=yes")
        if self._settings.trunk_register == "yes":
            self._registration = Registration(await self._registered_identity())

    def unheard(self) -> int:
        """Packets of strangers so far."""
        return self._runtime.unheard()

    async def _shut_out_strangers(self) -> None:
        """Before there is an identity that anybody could ring. Raises SettingsError."""
        settings = self._settings
        try:
            self._runtime.allow((*settings.networks, *await _addresses(settings.trunk_address)))
        except OSError:
            if not settings.on_loopback:
                raise SettingsError(
                    f"VNUM_SWITCH_LISTEN: this system can not keep strangers out of {settings.listen}; "
                    "listen on 127.0.0.1, or run the switch on Linux"
                ) from None
            log.warning("strangers_not_shut_out")

    async def close(self) -> None:
        if self._registration is not None:
            self._registration.close()
        with suppress(BaresipError):
            await self._runtime.close()

    async def ring(self, callee: str, shown: str) -> SipLeg:
        """Raises LineTrouble."""
        user, _, extension = callee.partition(";ext=")
        try:
            agent = await self._as_shown(shown)
            call = await agent.dial(f"sip:{user}@{self._settings.trunk_address}")
        except (BaresipError, ValueError) as trouble:
            log.warning("leg_not_begun", trouble=type(trouble).__name__, look=WAY_OUT)
            raise LineTrouble(type(trouble).__name__, NO_CIRCUIT) from None
        return self._adopt(SipLeg(call, self._studio, ours=True, extension=extension))

    async def picked_up(self, callee: Leg, within_s: float, *, caller: Leg | None) -> Answered | Failed:
        callee, caller = _sip(callee), None if caller is None else _sip(caller)
        waits = {callee.picked, callee.gone} | ({caller.gone} if caller is not None else set())
        began = self.clock.monotonic()
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        answered = callee.picked.done() or callee.gone.done()
        if not answered and callee.rang_at is None and self.clock.monotonic() - began >= SILENT_S:
            log.warning("trunk_silent", trunk=self._settings.trunk_address, look="VNUM_SWITCH_TRUNK: no ringing came")
        if caller is not None and caller.gone.done():
            return Failed(caller.gone.result(), CALLER, NORMAL)
        if callee.picked.done():
            return Answered(callee.picked.result())
        if callee.gone.done():
            return Failed(callee.gone.result(), CALLEE, cause_of(callee.last_words))
        return Failed(self.clock.monotonic(), PLATFORM, NO_ANSWER)

    async def talk(self, caller: Leg, callee: Leg, until: float) -> Left | None:
        caller, callee = _sip(caller), _sip(callee)
        if caller.ear.hears is None and not caller.gone.done() and not callee.gone.done():
            caller.ear.listen_to(callee.ear)
            callee.ear.listen_to(caller.ear)
            callee.key_in()
        within_s = max(0.0, until - self.clock.monotonic())
        await asyncio.wait({caller.gone, callee.gone}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        left = [_left(leg, who) for leg, who in ((caller, CALLER), (callee, CALLEE)) if leg.gone.done()]
        return min(left, key=lambda one: one.at) if left else None

    def warn(self, caller: Leg, callee: Leg) -> None:
        for leg in (_sip(caller), _sip(callee)):
            if not leg.gone.done():
                leg.ear.say(self._studio.prompts["tone"])

    async def _as_shown(self, shown: str) -> UserAgent:
        """The identity whose calls show this number; made when first needed, and never given back."""
        async with self._lock:
            if shown not in self._shown:
                if len(self._shown) + 2 * self._settings.places + 3 > PLACES:
                    log.error("too_many_hosts", hosts=len(self._shown))
                    raise LineTrouble("too many hosts for one switch", NO_CIRCUIT)
                self._shown[shown] = await self._identity(shown)
            return self._shown[shown]

    async def _identity(self, user: str, *parameters: str) -> UserAgent:
        settings = self._settings
        return await self._made(
            Account(
                user=user,
                domain=settings.domain or settings.listening.host,
                password=settings.trunk_password,
                auth_user=settings.trunk_user,
                reg_interval=0,
                extra_params=(NO_VIDEO, *parameters),
            )
        )

    async def _registered_identity(self) -> UserAgent:
        """Calls that come to it are told apart by To, like all others."""
        settings = self._settings
        assert settings.trunk_user is not None
        return await self._made(
            Account(
                user=settings.trunk_user,
                domain=settings.domain or settings.trunk_address,
                registrar=None if settings.domain is None else settings.trunk_address,
                password=settings.trunk_password,
                auth_user=settings.trunk_user,
                reg_interval=RENEWED_S,
                extra_params=(NO_VIDEO,),
            )
        )

    async def _made(self, account: Account) -> UserAgent:
        agent = await UserAgent.create(self._runtime, account, transfer_policy="reject")
        agent.on_incoming(self._on_incoming)
        return agent

    def _on_incoming(self, call: Call) -> None:
        """The library goes on when this raises, and would let the caller ring for ever."""
        leg = self._adopt(SipLeg(call, self._studio, ours=False))
        try:
            host, digits = dialled(call.headers.get("To", ""))
            arrival = Arrival(caller=caller_of(call.headers.get("From", "")), host=host, digits=digits)
            assert self._incoming is not None
            self._incoming(leg, arrival)
        except Exception as trouble:
            log.error("incoming_failed", trouble=type(trouble).__name__)
            self._declining = asyncio.ensure_future(leg.hang_up())

    def _adopt(self, leg: SipLeg) -> SipLeg:
        """From now on it hears of its events, and first of those that came before it was known here."""
        self._legs[leg.handle] = leg
        for event, at in self._early.pop(leg.handle, ()):
            leg.on(event, at)
        if leg.gone.done():  # the library's own object was too late for it, and would listen for ever
            del self._legs[leg.handle]
            with suppress(ValueError):
                self._runtime.unsubscribe(leg.call._on_stack_event)
        return leg

    def _on_event(self, event: StackEvent) -> None:
        if not event.call:
            if self._registration is not None:
                self._registration.on(event)
            return
        leg = self._legs.get(event.call)
        if leg is not None:
            leg.on(event, self._runtime.happened)
            if leg.gone.done():
                del self._legs[event.call]
        elif event.event is not Event.CALL_INCOMING:
            self._early.setdefault(event.call, []).append((event, self._runtime.happened))
            if len(self._early) > MOST_EARLY:
                del self._early[next(iter(self._early))]


async def _addresses(trunk: str) -> list[IPv4Network]:
    """Those of the trunk, as they are now: its answers have to come in."""
    host = trunk.partition(":")[0]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
    except OSError:
        log.warning("trunk_not_resolved", host=host)
        return []
    return [IPv4Network(address) for address in sorted({one[4][0] for one in found})]


def _left(leg: SipLeg, who: int) -> Left:
    if SILENT in leg.last_words:
        return Left(leg.gone.result(), PLATFORM, OUT_OF_ORDER)
    return Left(leg.gone.result(), who, NORMAL)


def _sip(leg: Leg) -> SipLeg:
    assert isinstance(leg, SipLeg), "a line joins legs of its own"
    return leg
