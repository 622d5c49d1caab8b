"""An endpoint: its path, who may call it, what it takes; and the few steps that every request goes through."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from vnum.api.answers import Answer, response_of
from vnum.api.auth import NOBODY, caller_of
from vnum.api.bodies import Nothing, decode, read_query
from vnum.api.idempotency import Once, Repeats
from vnum.model.refusals import Code, Refused
from vnum.service.keys import ApiKeys, Caller, Role

_WITH_BODY: Final = frozenset({hdrs.METH_POST, hdrs.METH_PATCH, hdrs.METH_PUT})
_JSON: Final = "application/json"
_FILE: Final = "text/csv"


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request whose caller is known and may call. `once` = it came under an Idempotency-Key."""

    request: web.Request
    caller: Caller
    once: Once | None = None

    def named(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]


Run = Callable[[Call, Any], Awaitable[Answer | web.StreamResponse]]


class Endpoint(msgspec.Struct, frozen=True):
    """`takes` = the struct of the body (POST, PATCH) or of the query (GET), which `run` is handed.

    `file` = the body is a file, which `run` reads piece by piece (`vnum.api.files`), and `takes` is of the query. Such
    a POST changes nothing, so it needs no Idempotency-Key.
    """

    method: str
    path: str
    roles: frozenset[Role]
    run: Run
    takes: type[msgspec.Struct] = Nothing
    file: bool = False


class WrongMediaType(Exception):
    """A body that says it is something else than it has to be."""


def handler_of(endpoint: Endpoint, keys: ApiKeys, repeats: Repeats) -> Callable[[web.Request], Awaitable[Any]]:
    """What aiohttp calls."""
    if endpoint.file or endpoint.method not in _WITH_BODY:
        return _reading(endpoint, keys)
    decoder = msgspec.json.Decoder(endpoint.takes)
    takes_key = endpoint.method == hdrs.METH_POST
    run, roles = endpoint.run, endpoint.roles

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await caller_of(keys, request, roles)
        _check_media_type(request)
        try:
            body = await request.read()
        except ConnectionError:
            raise Refused(Code.INVALID_REQUEST, "the body broke off") from None
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


def _reading(endpoint: Endpoint, keys: ApiKeys) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await caller_of(keys, request, endpoint.roles) if endpoint.roles else NOBODY
        if endpoint.file:
            _check_media_type(request, _FILE)
        asked = read_query(_only_once(request), endpoint.takes)
        answer = await endpoint.run(Call(request, caller), asked)
        return response_of(answer) if isinstance(answer, Answer) else answer

    return handle


def _check_media_type(request: web.Request, wanted: str = _JSON) -> None:
    """A body without a type is taken for what is wanted; one of another type, or packed, is refused.

    Raises WrongMediaType.
    """
    headers = request.headers
    if (hdrs.CONTENT_TYPE in headers and request.content_type != wanted) or hdrs.CONTENT_ENCODING in headers:
        raise WrongMediaType(wanted)


def _only_once(request: web.Request) -> dict[str, str]:
    """Raises Refused (invalid_request) for a parameter that stands twice."""
    query = request.query
    if len(set(query)) < len(query):
        raise Refused(Code.INVALID_REQUEST, "a query parameter stands twice")
    return dict(query)
