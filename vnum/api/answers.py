"""Answers on their way out: JSON, encoded once, with the headers that its status asks for."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeVar

import msgspec
from aiohttp import hdrs, web
from msgspec.structs import asdict
from multidict import CIMultiDict, CIMultiDictProxy

from vnum.api.problems import CONTENT_TYPE, RETRY_S, Problem
from vnum.finance import plain

V = TypeVar("V", bound=msgspec.Struct)

_ENCODER: Final = msgspec.json.Encoder()


def _headers(content_type: str, **more: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict({hdrs.CONTENT_TYPE: content_type, **more}))


_JSON: Final = _headers("application/json; charset=utf-8")
_PROBLEM: Final = _headers(CONTENT_TYPE)
_OF_STATUS: Final = {
    401: _headers(CONTENT_TYPE, **{hdrs.WWW_AUTHENTICATE: "Bearer"}),
    503: _headers(CONTENT_TYPE, **{hdrs.RETRY_AFTER: RETRY_S}),
}


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A status and a JSON body.

    `code` of a refusal. `final` = a repeat would come to the same. `kept` = stored with its effect already. `fresh` =
    holds for this moment only, and may carry a phone: never stored. `replayed` = was given before; `outdated` = when
    the caller was tied to other merchants.
    """

    status: int
    body: bytes
    code: str | None = None
    final: bool = True
    kept: bool = False
    fresh: bool = False
    replayed: bool = False
    outdated: bool = False


def json_answer(status: int, value: object, *, final: bool = True, kept: bool = False, fresh: bool = False) -> Answer:
    return Answer(status, _ENCODER.encode(value), None, final, kept, fresh)


def next_page(more: str | None) -> dict[str, str]:
    """`next` of a list, where there is more."""
    return {} if more is None else {"next": more}


def problem_answer(problem: Problem) -> Answer:
    return Answer(problem.status, _ENCODER.encode(problem), problem.code)


class Plain(web.Response):
    """A response of some headers and a body of bytes, and nothing else: no cookie, not packed, no keep-alive of its
    own."""


def response_of(answer: Answer) -> Plain:
    headers = _JSON if answer.status < 400 else _OF_STATUS.get(answer.status, _PROBLEM)
    response = Plain(body=answer.body, status=answer.status, headers=headers)
    if answer.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def shown_as(view: type[V], value: msgspec.Struct, **others: object) -> V:
    """The fields of a value that its view has too, times in UTC, money as plain decimals; and the view's others."""
    wanted = view.__struct_fields__
    return view(**{name: _shown(field) for name, field in asdict(value).items() if name in wanted} | others)


def _shown(field: object) -> object:
    if isinstance(field, datetime):
        return utc(field)
    return plain(field) if isinstance(field, Decimal) else field


def utc(instant: datetime) -> datetime:
    """The same instant in UTC, which msgspec writes with a Z."""
    return instant if instant.tzinfo is UTC else instant.astimezone(UTC)
