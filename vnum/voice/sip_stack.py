"""The library's stack, with two things that it lacks: when an event happened, and who may speak to it at all."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Final

from baresip import Config, Runtime
from baresip._native import lib  # type: ignore[import-not-found]  # a compiled module
from baresip.events import Event

from vnum.voice.line import Clock
from vnum.voice.sip_socket import SipSocket

HUNG_UP: Final = "Connection reset by peer"
"""What the library says of a leg whose party said BYE."""

BY_MESSAGE: Final = frozenset({Event.CALL_RINGING, Event.CALL_PROGRESS, Event.CALL_ANSWERED, Event.CALL_ESTABLISHED})


class SipStack(Runtime):  # type: ignore[misc]  # the library is not typed
    """`happened` = the instant of the event that listeners are told of, on the clock's monotonic.

    A leg is taken down, which waits for its threads of sound, before its end is told; and events wait for the loop. So
    each is stamped in the stack's own thread, and what a message brought about by the message's arrival.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._socket: SipSocket | None = None
        self.happened = 0.0

    async def listen(self, config: Config, port: int) -> None:
        """Raises BaresipError. Without the kernel's help instants are those of the events."""
        await self.start(config)
        try:
            self._socket = SipSocket(port)
        except OSError:
            self._socket = None

    def allow(self, networks: Iterable[IPv4Network]) -> None:
        """Raises OSError where the kernel can not do that."""
        if self._socket is None:
            raise OSError("no such socket")
        self._socket.allow(networks)

    def unheard(self) -> int:
        kept = self._socket
        return 0 if kept is None else kept.unheard()

    async def close(self) -> None:
        await super().close()
        kept, self._socket = self._socket, None
        if kept is not None:
            kept.close()

    def _on_native_event(self, ev: int, handle: int, payload: bytes | None) -> None:
        """In the stack's thread; never raises."""
        self._call_threadsafe(self._tell, self._instant(ev, payload), ev, handle, payload)

    def _tell(self, at: float, ev: int, handle: int, payload: bytes | None) -> None:
        self.happened = at
        self._dispatch(ev, handle, payload)

    def _instant(self, ev: int, payload: bytes | None) -> float:
        now, kept = self._clock.monotonic(), self._socket
        if kept is None or not _brought_by_a_message(ev, payload):
            return now
        try:
            return now - kept.age_s()
        except OSError:
            return now


def _brought_by_a_message(ev: int, payload: bytes | None) -> bool:
    kind = ev - lib.BP_EV_BASE
    if kind in BY_MESSAGE:
        return True
    if kind != Event.CALL_CLOSED or not payload:
        return False
    try:
        said = json.loads(payload).get("text") or ""
    except ValueError:
        return False
    return said.startswith(HUNG_UP) or said[:3].isdigit()
