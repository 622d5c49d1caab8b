"""Writes docs/api.md out of the code: routes, roles, fields and codes. A test holds the page against it.

python scripts/api_page.py
"""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from unittest.mock import MagicMock

import msgspec
import signing_section
from msgspec import inspect

from vnum.api.app import endpoints
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Endpoint
from vnum.api.problems import STATUS, EdgeCode
from vnum.model.refusals import Code, Shortage
from vnum.service.labels import LabelItem
from vnum.service.notes import NewNoteLine
from vnum.service.orders import BindRequest
from vnum.service.records import CallRecord

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
ITEMS = {
    "/v1/bindings/batch": BindRequest,
    "/v1/labels/current": LabelItem,
    "/v1/calls/records": CallRecord,
}
LINES = {"/v1/invoices/{invoice_id}/notes": NewNoteLine}
HEAD = """# HTTP API

This page is made from the code by `scripts/api_page.py`.

JSON in snake_case, `Content-Type: application/json`. Times are RFC 3339, answered in UTC; input without an offset is refused. Money is a plain decimal string without trailing zeros, `amount_due` has two places. Errors are `application/problem+json` with a stable `code`, a `detail` for people and, for `no_number_available`, a `reason`. `Authorization: Bearer <key>`; keys come from `vnum keys add` (or `make serve`).

Every POST takes an `Idempotency-Key` (1 to 200 printable characters, kept for 24 hours, scoped by key and path): the same body again gets the kept answer, another body 422 `idempotency_mismatch`. Only `POST /v1/reconciliations` takes none: it changes nothing, and its body is a file (`text/csv`, at most 256 MiB; its formats are in `docs/carriers.md`).

Keys of merchants and finance may be tied to merchants, a courier's to a carrier. An ISV's key sees the merchants that grant it so (`PUT /v1/merchants/{merchant_id}/grants/{isv}`, where `isv` is the key's id), and of those only the ones it is tied to, if any; a withdrawal is felt within 3 seconds. What a key may not see is not found.

A key sends up to a number of requests a second (`VNUM_RATE_PER_S`, or its own); above that comes 429 `rate_limited`, and `Retry-After` says for how many seconds to wait. Too many requests with wrong keys from one address are answered so too. A body must come within seconds (408 `body_timeout`), has at most 2 MiB (413), a batch at most 1,000 items; the request line and a header have at most 8,190 bytes. A request that takes too long is given up (503 `request_timeout`; repeat it, under its `Idempotency-Key` if it had one).

Every answer has an `X-Request-Id`: the caller's own, if it sent one of 1 to 64 characters of `A-Za-z0-9._-` that is no phone, else one of ours. It stands in the log and in the audit.

A key made with `signed` never sends its secret: it signs each request; see [Signing](#signing).

A binding is answered as `{binding_id, merchant_id, order_id, host, extension, number, mode, state, bound_at, expires_at, recipient_token}`, and `ended_at` once it was released. Items of batches are answered in order as `{status, ...}`, where `status` is the HTTP code that the item alone would have got.

A call is listed as `{call_id, binding_id, order_id, host, extension, call_time, ring_time, answer_time, release_time, release_dir, release_cause, seconds, minutes, cost, late, dispute}`, where `dispute` is the state of its last dispute; who rang is told to nobody. A review is `{review_id, call_id, received_at, status, code, detail, state, record | size, charged, decided_at, decided_by, reason}`: `record` as it came with the caller as 138****0000, `size` in bytes of what can not be read, `charged` what is charged under the same call id (`month_closed`: for good). A decision is answered with `{review_id, state, status, minutes, cost, code, detail}`; `state` `open` = refused again. A dispute is `{dispute_id, merchant_id, call_id, state, reason, author, opened_at, resolution, resolved_by, resolved_at, note_number}`. What is empty is left out. Lists have a `next` when there is more: it goes into `after`.

A wrong extension may be keyed three times a call (counted once per call and digits); ten within an hour, by one caller on one host, lock him out there for a day. Callers who withhold their number are counted together: a hundred lock them out for ten minutes. Every refused extension counts, whatever the code, and is answered alike: `docs/calls.md`.
"""


def page() -> str:
    routes = endpoints(MagicMock())
    return "\n".join([HEAD, signing_section.TEXT, *_routes(routes), *_fields(routes), *_codes()]) + "\n"


def _routes(routes: list[Endpoint]) -> Iterator[str]:
    yield "## Routes\n"
    yield "| method and path | roles | what |"
    yield "|---|---|---|"
    for route in routes:
        roles = ", ".join(sorted(route.roles)) or "anyone"
        yield f"| `{route.method} {route.path}` | {roles} | {_first_line(route)} |"
    yield ""


def _first_line(route: Endpoint) -> str:
    return (route.run.__doc__ or "").splitlines()[0].rstrip(".")


def _fields(routes: list[Endpoint]) -> Iterator[str]:
    yield "## Fields\n"
    for route in routes:
        if route.takes is Nothing:
            continue
        where = "query of" if route.method == "GET" or route.file else "body of"
        yield f"### {where} `{route.method} {route.path}`\n"
        yield from _table(route.takes)
        if route.path in ITEMS:
            yield "Each of `items`:\n"
            yield from _table(ITEMS[route.path])
        if route.path in LINES:
            yield "Each of `lines` names one of `call_id`, `binding_id` and `bill_item`:\n"
            yield from _table(LINES[route.path])


def _table(struct: type[msgspec.Struct]) -> Iterator[str]:
    yield "| field | type | default |"
    yield "|---|---|---|"
    for field in inspect.type_info(struct).fields:  # type: ignore[attr-defined]
        yield f"| `{field.encode_name}` | {_words(field.type)} | {_default(field)} |"
    yield ""


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default in (msgspec.NODEFAULT, msgspec.UNSET):
        return "none"
    if isinstance(field.default, msgspec.Struct):
        return f"`{msgspec.json.encode(field.default).decode()}`"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    return "none" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _words(kind.type)
        case inspect.UnionType():
            parts = [_words(part) for part in kind.types if not isinstance(part, inspect.NoneType)]
            null = ["null"] if len(parts) < len(kind.types) else []
            return " or ".join([*parts, *null])
        case inspect.EnumType():
            return ", ".join(f"`{member.value}`" for member in kind.cls)
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case inspect.StrType():
            return f"text, {kind.min_length or 0} to {kind.max_length} characters" if kind.max_length else "text"
        case inspect.IntType():
            return f"number, {kind.ge} or more" if kind.le is None else f"number, {kind.ge} to {kind.le}"
        case inspect.ListType():
            least = f"{kind.min_length} to " if kind.min_length else "up to "
            inner = "items" if isinstance(kind.item_type, inspect.RawType) else _words(kind.item_type)
            return f"list of {least}{kind.max_length} {inner}"
        case inspect.StructType():
            tag = [f'{kind.tag_field} "{kind.tag}"'] if kind.tag else []
            return "{" + ", ".join([*tag, *(field.encode_name for field in kind.fields)]) + "}"
        case inspect.DateTimeType():
            return "time with offset"
    return _PLAIN.get(type(kind), type(kind).__name__)


_PLAIN = {
    inspect.BoolType: "true or false",
    inspect.UUIDType: "id",
    inspect.DateType: "date, as 2026-10-05",
    inspect.DecimalType: "amount as text",
}


def _codes() -> Iterator[str]:
    yield "## Codes\n"
    yield "A 503 may be repeated as it is; a 4xx may not.\n"
    yield "| HTTP | codes |"
    yield "|---|---|"
    known = [*Code, *EdgeCode]
    for status in sorted(set(STATUS.values())):
        codes = ", ".join(f"`{code}`" for code in known if STATUS.get(code) == status)
        yield f"| {status} | {codes} |"
    yield ""
    yield f"`reason` of `no_number_available`: {', '.join(f'`{reason}`' for reason in Shortage)}."
    yield ""
    yield (
        "Route answers 200 with an `action`: `collect` (with `digits` to collect), `connect` (with `callee`, "
        "`display_number`, `max_seconds`) or `reject` (with a Q.850 `cause` and a `code`). A record's `status` is "
        "`rated`, `duplicate`, `conflict` or `rejected`; the last two are kept, sealed, for a "
        "decision (`GET /v1/calls/reviews`), and may be sent again."
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} written")
