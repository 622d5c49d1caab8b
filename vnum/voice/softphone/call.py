"""One side of a SIP call, as its caller or as who is rung.

It has a tone of its own and an ear for the other's, and measures its talk by its own clock. Times are seconds since
1970; 0.0 = it did not happen.
"""

import asyncio
import time
from dataclasses import dataclass, field
from enum import Enum

from vnum.voice.softphone.dialog import Dialog, named
from vnum.voice.softphone.sip import (
    CODECS,
    EVENTS,
    Address,
    Media,
    Message,
    routes_in,
    sdp,
    token,
    uri_in,
)
from vnum.voice.softphone.sound import Sound


class Keys(Enum):
    """How a phone sends digits."""

    RFC4733 = "rfc4733"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a phone does when it is rung: rings for so long, answers or refuses by `final` (None: it rings for ever),
    hangs up after `talk_s` of talk (None: not by itself)."""

    ring_s: float = 0.2
    final: int | None = 200
    talk_s: float | None = None
    codecs: tuple[str, ...] = ("PCMU", "PCMA")


@dataclass
class Call(Dialog):
    """One side of a call."""

    sound: Sound = field(kw_only=True)
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    invite: Message | None = None
    media: Media | None = None
    final: int = 0
    dialled: float = 0.0
    rang: float = 0.0
    answered: float = 0.0  # the 200 was sent, or came
    acknowledged: float = 0.0  # the ACK came, or was sent
    bye_sent: float = 0.0
    bye_came: float = 0.0
    ended: float = 0.0  # also the moment of the answer to our BYE
    info: float = 0.0
    taken_info: set[int] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, moment: str) -> None:
        """Until `rang`, `answered`, `acknowledged`, `ended` or so is not 0 any more; at the end of the call at last."""
        while not getattr(self, moment) and not self.ended:
            await self.changed.wait()
        assert getattr(self, moment), f"ended with {self.final} before {moment}"

    def mark(self, moment: str, at: float) -> None:
        if not getattr(self, moment, 0.0):
            setattr(self, moment, at)
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def talking(self) -> bool:
        return bool(self.acknowledged) and not self.ended

    @property
    def talk_s(self) -> float:
        """From our own 200 (or the other's) to the first BYE sent or seen."""
        return self.parted - self.answered if self.answered else 0.0

    @property
    def parted(self) -> float:
        return min((at for at in (self.bye_sent, self.bye_came) if at), default=self.ended)

    @property
    def offer(self) -> str:
        """What we can; of what the other side can, in its order, where it has said so."""
        if self.media is None:
            return sdp(self.sound.port, self.ours, EVENTS, self.line.address[0])
        shared = tuple(one for one in self.media.payloads if one in self.ours)
        return sdp(self.sound.port, shared, self.media.events, self.line.address[0])

    @property
    def ours(self) -> tuple[int, ...]:
        return tuple(CODECS[name] for name in self.codecs)

    def hear(self, sdp_text: str) -> None:
        self.media = Media.parse(sdp_text)
        self.sound.talk_to(self.media, self.ours)

    def hang_up(self) -> None:
        """Says good-bye; the call has ended when it is answered."""
        if self.talking and not self.bye_sent:
            self.mark("bye_sent", self.send("BYE").at)

    def end(self, at: float, final: int = 0) -> None:
        self.final = self.final or final
        self.sound.stop()
        self.mark("ended", at)

    def taken(self, message: Message, source: Address) -> None:
        self.seen.append(message)
        if message.status:
            self.heard_back(message, message.status)
        else:
            self.asked(message, source)

    def heard_back(self, answer: Message, status: int) -> None:
        if answer.method == "BYE" and status >= 200:
            self.end(answer.at)
        elif answer.method == "INVITE":
            self.heard_of_invite(answer, status)
        elif answer.method == "INFO" and status >= 200:
            self.taken_info.add(answer.number)
            self.mark("info", answer.at)

    def heard_of_invite(self, answer: Message, status: int) -> None:
        """To an INVITE of ours within the call."""
        if status < 200:
            return
        asked = next(one for one in self.seen if one.sent and one.branch == answer.branch)
        self.acknowledge(answer.number, asked.branch if status >= 300 else "")
        if status < 300 and answer.body:
            self.hear(answer.body)

    def asked(self, request: Message, source: Address) -> None:
        """What the other side asks within the dialog."""
        if request.method == "BYE":
            self.reply(request, 200, source)
            self.mark("bye_came", request.at)
            self.end(request.at)
        elif request.method in ("INVITE", "UPDATE"):  # hears us elsewhere from now on, or asks how
            self.target = uri_in(request.get("contact")) or self.target
            answer = self.reply(request, 200, source, self.offer if request.body or request.method == "INVITE" else "")
            if request.method == "INVITE":
                self.line.until_acknowledged(f"{self.call_id} {request.number}", answer, source)
            if request.body:
                self.hear(request.body)
        elif request.method == "ACK":
            self.line.acknowledged(f"{self.call_id} {request.number}")
            if request.body:
                self.hear(request.body)
            if self.invite is not None and request.number == self.invite.number:
                self.mark("acknowledged", request.at)
        else:
            self.reply(request, 200, source)

    async def key(self, digits: str, way: Keys = Keys.RFC4733) -> None:
        """Digits, one after the other."""
        if way is Keys.RFC4733:
            await self.sound.key(digits)
            return
        for digit in digits:
            info = self.send("INFO", f"Signal={digit}\r\nDuration=160\r\n", "application/dtmf-relay")
            while info.number not in self.taken_info and not self.ended:
                await self.changed.wait()


class Outgoing(Call):
    """A call that we make."""

    cancelled = False

    def dial(self, uri: str, to: Address, **more: str) -> None:
        """`more` = headers, with _ for -."""
        host, port = self.line.address
        self.local = f"<sip:{self.number}@{host}:{port}>;tag={token()}"
        self.remote, self.target = f"<{uri}>", uri
        self.sequence, self.to = 1, to
        self.invite = self.compose("INVITE", self.offer)
        self.invite.headers += named(more)
        self.seen.append(self.invite)
        self.line.request(self.invite, to)
        self.mark("dialled", self.invite.at)

    def cancel(self) -> None:
        """Gives up before the other side has answered."""
        assert self.invite is not None
        self.cancelled = True
        kept = ("via", "max-forwards", "from", "to", "call-id")
        headers = [(name, value) for name, value in self.invite.headers if name in kept]
        headers.append(("cseq", f"{self.invite.number} CANCEL"))
        message = Message(f"CANCEL {self.invite.uri} SIP/2.0", headers)
        self.seen.append(message)
        self.line.request(message, self.to)

    def leave(self) -> None:
        """Hangs up at whatever stage it is."""
        if self.acknowledged:
            self.hang_up()
        else:
            self.cancel()

    def heard_of_invite(self, answer: Message, status: int) -> None:
        assert self.invite is not None
        if answer.number != self.invite.number:
            super().heard_of_invite(answer, status)
        elif status < 200:
            if status >= 180:
                self.mark("rang", answer.at)
        elif status < 300:
            self._answered(answer)
        else:
            self._refused(answer, status)

    def _answered(self, answer: Message) -> None:
        first = not self.answered
        self.remote, self.target = answer.get("to"), uri_in(answer.get("contact"))
        self.routes = routes_in(answer)[::-1]
        self.acknowledge(answer.number)
        if first:
            self.hear(answer.body)
            self.final = 200
            self.answered = answer.at
            self.mark("acknowledged", time.time())
            if self.cancelled:  # they crossed
                self.hang_up()

    def _refused(self, answer: Message, status: int) -> None:
        assert self.invite is not None
        kept = [(n, v) for n, v in self.invite.headers if n in ("via", "max-forwards", "from", "call-id", "route")]
        headers = [*kept, ("to", answer.get("to")), ("cseq", f"{answer.number} ACK")]
        self.line.request(Message(f"ACK {self.invite.uri} SIP/2.0", headers), self.to)
        if not self.ended:
            self.end(answer.at, status)


class Incoming(Call):
    """A call that rings here."""

    manners = Manners()
    source: Address
    task: "asyncio.Task[None] | None" = None

    def ring(self, invite: Message, source: Address) -> None:
        self.invite, self.source, self.codecs = invite, source, self.manners.codecs
        self.remote, self.local = invite.get("from"), f"{invite.get('to')};tag={token()}"
        self.target, self.routes = uri_in(invite.get("contact")), routes_in(invite)
        self.seen.append(invite)
        self.mark("dialled", invite.at)
        self.mark("rang", self.reply(invite, 180, source).at)
        self.task = asyncio.get_running_loop().create_task(self._behave())

    async def _behave(self) -> None:
        if self.manners.final is None:
            return
        await asyncio.sleep(self.manners.ring_s)
        self.finish(self.manners.final)
        if self.manners.talk_s is not None:
            await self.until("acknowledged")
            await asyncio.sleep(self.answered + self.manners.talk_s - time.time())
            self.hang_up()

    def finish(self, final: int) -> None:
        """The final answer."""
        if self.final:
            return
        assert self.invite is not None
        self.final = final
        if final != 200:
            self.end(self.reply(self.invite, final, self.source).at)
            return
        if self.invite.body:
            self.media = Media.parse(self.invite.body)
        answer = self.reply(self.invite, 200, self.source, self.offer)
        self.line.until_acknowledged(f"{self.call_id} {self.invite.number}", answer, self.source)
        if self.invite.body:
            self.hear(self.invite.body)
        self.mark("answered", answer.at)

    def asked(self, request: Message, source: Address) -> None:
        if request.method != "CANCEL":
            super().asked(request, source)
            return
        self.reply(request, 200, source)
        if not self.final and self.invite is not None:
            self.end(self.reply(self.invite, 487, self.source).at, 487)

    def end(self, at: float, final: int = 0) -> None:
        super().end(at, final)
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
