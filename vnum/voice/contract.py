"""What switch and vnum tell each other over HTTP: where a call goes, how it ended, whom to ring, how far it got."""

import asyncio
from datetime import datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import aiohttp
import msgspec
import structlog

T = TypeVar("T")

log = structlog.get_logger()

TEMPORARY: Final = 41
POST_S: Final = 15.0
MOST_RECORDS: Final = 100
MOST_ANSWER: Final = 1024 * 1024

NOT_AVAILABLE: Final = "not_available"

State = Literal["ringing_agent", "collecting", "ringing", "answered", "ended", "failed"]

Said = Literal["complaint", "wrong_person"]
"""What a recipient may say of a call by a key."""

PASSING: Final = frozenset({401, 403, 405, 408, 429})
"""Refusals of the client or of the moment, not of what was sent."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What route said. `digits` = play `prompt`, collect so many, ask again; `code` is for logs only."""

    action: Literal["collect", "connect", "reject"]
    binding_id: UUID | None = None
    callee: str | None = None
    display_number: str | None = None
    max_seconds: int | None = None
    prompt: str | None = None
    digits: int | None = None
    cause: int | None = None
    code: str | None = None

    @property
    def connects(self) -> bool:
        return self.action == "connect"

    @property
    def usable(self) -> bool:
        """Whether a switch can do what it says."""
        if self.connects:
            return bool(self.callee and self.display_number and (self.max_seconds or 0) > 0)
        return self.action == "reject" or bool(self.digits and self.digits > 0)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call as it is reported; times in UTC. No answer_time = not connected; release_dir 0 platform, 1 caller,
    2 callee; release_cause of Q.850."""

    call_id: str
    host: str
    caller: str
    call_time: datetime
    release_time: datetime
    binding_id: UUID | None = None
    extension: str | None = None
    ring_time: datetime | None = None
    answer_time: datetime | None = None
    release_dir: int | None = None
    release_cause: int | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What the recipient keyed in after the call."""

    call_id: str
    mark: Said
    at: datetime


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record or mark."""

    call_id: str | None
    status: str
    code: str | None = None

    @property
    def done(self) -> bool:
        return self.status in {"rated", "duplicate", "marked"}

    @property
    def refused(self) -> bool:
        """Not taken, and sending it again would change nothing."""
        return self.status in {"conflict", "rejected"} and self.code not in {"store_unavailable", "overloaded"}


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """An order to ring an agent, and then the recipient."""

    call_id: str
    agent: str
    host: str
    extension: str
    display_number: str
    max_ring_seconds: int = 30


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    call_id: str
    state: State
    at: datetime
    host: str | None = None


class NoAnswer(Exception):
    """vnum said nothing that can be used; `why` is a word or a status for logs, `code` the one of a refusal."""

    def __init__(self, why: str, status: int = 0, code: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
        self.code = code

    @property
    def final(self) -> bool:
        """Whether vnum itself refused what was sent, and would refuse it again."""
        return bool(self.code) and self.code != "not_found" and 400 <= self.status < 500 and self.status not in PASSING

    @property
    def look(self) -> str:
        """What the operator should look at."""
        if self.status in (401, 403):
            return "VNUM_SWITCH_KEY_FILE: it needs a key of role switch that is in force"
        if self.status:
            return "the log of vnum serve"
        return "VNUM_SWITCH_API: does vnum serve there?"


class Vnum:
    """The contract's client. `route_s` = how long a caller waits for an answer."""

    def __init__(self, api: str, key: str, *, route_s: float) -> None:
        self._api = api.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._route_s = route_s
        self._session: aiohttp.ClientSession | None = None

    async def route(self, call_id: str, caller: str, host: str, digits: str | None) -> Answer:
        """Fails closed: without a usable answer in time the call is rejected with cause 41."""
        asked = {"call_id": call_id, "caller": caller, "host": host} | ({} if digits is None else {"digits": digits})
        try:
            answer = _read(Answer, await self._post("/v1/calls/route", asked, self._route_s))
            if not answer.usable:
                raise NoAnswer("unusable")
        except NoAnswer as none:
            log.warning("route_unanswered", call_id=call_id, why=none.why, look=none.look)
            return Answer(action="reject", cause=TEMPORARY, prompt=NOT_AVAILABLE, code="no_answer_of_vnum")
        return answer

    async def report(self, records: list[Record]) -> list[Settled]:
        """One result a record, in order. Raises NoAnswer."""
        body = await self._post("/v1/calls/records", {"items": records}, POST_S)
        results = _read(_Results, body).results
        if len(results) != len(records):
            raise NoAnswer("unusable")
        return results

    async def mark(self, mark: Mark) -> Settled:
        """Raises NoAnswer."""
        try:
            await self._post("/v1/calls/marks", mark, POST_S)
        except NoAnswer as none:
            if not none.final:
                raise
            return Settled(call_id=mark.call_id, status="rejected", code=none.code)
        return Settled(call_id=mark.call_id, status="marked")

    async def take_dials(self, most: int, wait_s: int) -> list[Dial]:
        """Raises NoAnswer."""
        body = await self._post("/v1/calls/dials/take", {"most": most, "wait_seconds": wait_s}, wait_s + POST_S)
        return _read(_Dials, body).dials

    async def tell(self, items: list[Progress]) -> None:
        """Raises NoAnswer."""
        await self._post("/v1/calls/states", {"items": items}, POST_S)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, path: str, body: Any, timeout_s: float) -> bytes:
        """The body of a 200. Raises NoAnswer."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self._opened().post(
                    self._api + path, data=msgspec.json.encode(body), headers=self._headers, allow_redirects=False
                ) as response:
                    read = (
                        await response.content.read(MOST_ANSWER)
                        if response.content_length is None
                        else (await response.read())
                    )
        except TimeoutError:
            raise NoAnswer("timeout") from None
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            raise NoAnswer(type(trouble).__name__) from None
        if response.status != 200:
            raise NoAnswer(f"status {response.status}", response.status, _code(read))
        return read

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "vnum-switch"},
                trust_env=False,
            )
        return self._session


class _Results(msgspec.Struct, frozen=True):
    results: list[Settled]


class _Dials(msgspec.Struct, frozen=True):
    dials: list[Dial]


class _Problem(msgspec.Struct, frozen=True):
    code: str


def _read(kind: type[T], body: bytes) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NoAnswer("unusable") from None


def _code(body: bytes) -> str | None:
    """Of a refusal; None = it is none of vnum's."""
    try:
        return _read(_Problem, body).code
    except NoAnswer:
        return None
