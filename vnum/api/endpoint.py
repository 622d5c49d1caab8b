"""An endpoint: its path, who may call it, what it takes; and the few steps that every request goes through."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from vnum.api.answers import Answer, response_of
from vnum.api.auth import NOBODY
from vnum.api.bodies import Nothing, decode, read_body, read_query
from vnum.api.gate import Gate
from vnum.api.idempotency import Once, Repeats
from vnum.model.acting import Acting, act
from vnum.model.masking import masked_text
from vnum.model.refusals import Code, Refused
from vnum.service.audit import Audit
from vnum.service.keys import Caller, Role

CHANGING: Final = frozenset({hdrs.METH_POST, hdrs.METH_PATCH, hdrs.METH_PUT, hdrs.METH_DELETE})
_JSON: Final = "application/json"
_FILE: Final = "text/csv"
_IDS: Final = ("merchant_id", "host", "order_id", "tariff_id", "period")
"""Fields of a body that name what it is about."""

_MOST_OF_ID: Final = 64


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request whose caller is known and may call. `once` = it came under an Idempotency-Key."""

    request: web.Request
    caller: Caller
    once: Once | None = None

    def named(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def id_in(self, name: str, code: Code, unknown: str = "there is nothing of such an id") -> UUID:
        """An id in the path. Raises Refused: what is no id names nothing."""
        try:
            return UUID(self.named(name))
        except ValueError:
            raise Refused(code, unknown) from None

    def connected(self) -> bool:
        """Whether somebody waits for the answer; the loop has to have had its turn since he left."""
        transport = self.request.transport
        return transport is not None and not transport.is_closing()


F = TypeVar("F", bound=Callable[..., Awaitable[Answer | web.StreamResponse]])
Run = Callable[[Call, Any], Awaitable[Answer | web.StreamResponse]]


class Endpoint(msgspec.Struct, frozen=True):
    """`takes` = the struct of the body (POST, PATCH) or of the query (GET), which `run` is handed.

    `file` = the body is a file, which `run` reads piece by piece (`vnum.api.files`), and `takes` is of the query. Such
    a POST changes nothing, so it needs no Idempotency-Key.

    `audited` = the use case writes its own audit entries, with what it changes, or changes nothing. Of every other
    POST, PATCH, PUT and DELETE an entry says who asked for it, before it is done.

    `patient` = it may take longer than others: a month is closed, a file is made. Those have limits of their own.
    """

    method: str
    path: str
    roles: frozenset[Role]
    run: Run
    takes: type[msgspec.Struct] = Nothing
    file: bool = False
    audited: bool = False
    patient: bool = False

    @property
    def has_body(self) -> bool:
        """Whether `takes` is read from a body."""
        return self.method in CHANGING and not self.file

    @property
    def repeatable(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        return self.method == hdrs.METH_POST and not self.file

    @property
    def told(self) -> "Told | None":
        """What is declared of its answers, by `@answers`."""
        return getattr(self.run, "told", None)


def _noted(endpoint: Endpoint, audit: Audit, is_host: Callable[[str], bool]) -> Run:
    """The endpoint's run, behind an audit entry that says what was asked for."""
    did = f"{endpoint.method} {endpoint.path}"

    async def run(call: Call, asked: Any) -> Answer | web.StreamResponse:
        await audit.note(did, [" ".join(_subjects(call, asked, is_host))])
        return await endpoint.run(call, asked)

    return run


def _subjects(call: Call, asked: Any, is_host: Callable[[str], bool]) -> list[str]:
    """What the path names, and the body by an id. People put phones where ids belong: those are left out, and so is
    what PostgreSQL can not store."""
    named = dict(call.request.match_info)
    registered = getattr(asked, "host", None)  # about to be a host, if it is written as one
    named |= {field: value for field in _IDS if isinstance(value := getattr(asked, field, None), str)}
    return [
        f"{name}={value[:_MOST_OF_ID]}"
        if value.isprintable() and ((value == registered and value.isdigit()) or is_host(value) or not _is_phone(value))
        else f"{name}=?"
        for name, value in named.items()
    ]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint answers, for its description (`vnum.api.openapi`).

    `gives` = the struct of the answer, `sends` = the media types of a file, `status` = of success. `refuses` = its own
    codes, beyond those of every endpoint of its kind (`vnum.api.openapi.codes`); `within` = codes that stand inside of
    an answer of 200, of an item or a decision. `example` = a body or query to show, where the one that is made of the
    fields (`vnum.api.openapi.examples`) makes no sense; `file` = a file to show, where one is the body.
    """

    gives: type[msgspec.Struct] | None
    sends: tuple[str, ...]
    status: tuple[int, ...]
    refuses: tuple[str, ...]
    within: tuple[str, ...]
    example: dict[str, object] | None
    file: str | None


def answers(
    gives: type[msgspec.Struct] | None = None,
    *,
    sends: tuple[str, ...] = (),
    status: tuple[int, ...] = (200,),
    refuses: tuple[str, ...] = (),
    within: tuple[str, ...] = (),
    example: dict[str, object] | None = None,
    file: str | None = None,
) -> Callable[[F], F]:
    """Declares what the method that runs an endpoint answers; see Told."""

    def declared(run: F) -> F:
        vars(run)["told"] = Told(
            gives=gives, sends=sends, status=status, refuses=refuses, within=within, example=example, file=file
        )
        return run

    return declared


class WrongMediaType(Exception):
    """A body that says it is something else than it has to be."""


def handler_of(
    endpoint: Endpoint, gate: Gate, repeats: Repeats, audit: Audit, is_host: Callable[[str], bool]
) -> Callable[[web.Request], Awaitable[Any]]:
    """What aiohttp calls."""
    if not endpoint.has_body:
        return _reading(endpoint, gate)
    if not endpoint.audited:
        endpoint = msgspec.structs.replace(endpoint, run=_noted(endpoint, audit, is_host))
    decoder = msgspec.json.Decoder(endpoint.takes)
    takes_key = endpoint.repeatable
    run, roles, patience_s = endpoint.run, endpoint.roles, gate.http.body_s
    bare = endpoint.takes is Nothing
    empty = b"{}" if bare else b""

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await gate.caller(request, roles)
        act(Acting(caller.key_id, caller.merchants, caller.carrier))
        if not bare or request.body_exists:
            _check_media_type(request)
        body = await read_body(request, patience_s) or empty
        once = repeats.once(request, caller, body) if takes_key else None
        if once is None:
            answer = await run(Call(request, caller), decode(decoder, body))
        else:
            answer = await repeats.answer(
                once, partial(_decode_and_run, endpoint, decoder, Call(request, caller, once), body)
            )
        return response_of(answer) if isinstance(answer, Answer) else answer

    return handle


async def _decode_and_run(endpoint: Endpoint, decoder: "msgspec.json.Decoder[Any]", call: Call, body: bytes) -> Answer:
    answer = await endpoint.run(call, decode(decoder, body))
    assert isinstance(answer, Answer), "no POST streams"
    return answer


def _reading(endpoint: Endpoint, gate: Gate) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await gate.caller(request, endpoint.roles, file=endpoint.file) if endpoint.roles else NOBODY
        act(Acting(caller.key_id, caller.merchants, caller.carrier))
        if endpoint.file:
            _check_media_type(request, _FILE)
        asked = read_query(_only_once(request), endpoint.takes)
        answer = await endpoint.run(Call(request, caller), asked)
        return response_of(answer) if isinstance(answer, Answer) else answer

    return handle


def _is_phone(value: str) -> bool:
    return masked_text(value) != value


def _check_media_type(request: web.Request, wanted: str = _JSON) -> None:
    """A body without a type is taken for what is wanted; one of another type, or packed, is refused.

    Raises WrongMediaType.
    """
    headers = request.headers
    said = headers.get(hdrs.CONTENT_TYPE, wanted)  # mostly just that: then nothing is to be parsed
    if (said != wanted and request.content_type != wanted) or hdrs.CONTENT_ENCODING in headers:
        raise WrongMediaType(wanted)


def _only_once(request: web.Request) -> dict[str, str]:
    """Raises Refused (invalid_request) for a parameter that stands twice."""
    query = request.query
    if len(set(query)) < len(query):
        raise Refused(Code.INVALID_REQUEST, "a query parameter stands twice")
    return dict(query)
