"""The whole document."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from vnum.api.endpoint import Endpoint
from vnum.api.idempotency import REPLAYED
from vnum.api.openapi.codes import codes_of
from vnum.api.openapi.operations import IDEMPOTENCY_KEY, Lacking, Operations, operation_id, refusals_of, tag_of
from vnum.api.openapi.schemas import Json, Struct, schemas_of
from vnum.api.problems import Problem, problem

_ABOUT: Final = """\
Lends out virtual phone numbers (host number + extension) and bills their use.

JSON in snake_case. Times are RFC 3339, answered in UTC; input without an offset is refused. Money is a plain decimal \
string without trailing zeros, `amount_due` has two places. A period is a month of Asia/Shanghai, as 2026-10.

Send `Authorization: Bearer <key>`, or, with a key that was made for it, sign each request: [this page](docs/api.md) \
says how under Signing. Above a key's rate comes 429 `rate_limited`; wait `Retry-After` seconds. Every answer has an \
`X-Request-Id`: the one sent (1 to 64 of `A-Za-z0-9._-`, and no phone), else one of ours.

Keys of merchants and finance may be tied to merchants, a courier's to a carrier; one that is tied to none sees all. \
An ISV's sees those merchants that grant it so. What a key may not see is not found, and left out of lists.

Refusals are `application/problem+json` with a stable `code`; each operation lists its own. A 503 may be repeated as \
it is, a 501 is for the operator. Paths that are not there are answered 404 `not_found`, methods that a path does not \
have 405 `method_not_allowed`.

Items of batches are answered in order; where a result has a `status`, it is the HTTP code that the item alone would \
have got. Lists have a `next` when there is more: send it as `after`.

To read on:

- [From the first key to the first invoice](docs/quickstart.md), by curl
- [Calls](docs/calls.md): what a switch does with the answers, who may ring, a recipient's no
- [The life of a number](docs/lifecycle.md): parcels, ends, extensions, labels
- [Webhooks](docs/webhooks.md): every event with its data, and how a signature is checked
- [Messages](docs/messages.md) to recipients, [money](docs/billing.md), [carriers' files](docs/carriers.md)
- [All calls, fields and codes on one page](docs/api.md)
"""
_HEADERS: Final[Json] = {
    "WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "Retry-After": {"required": True, "description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    REPLAYED: {"description": "There when the answer was given before", "schema": {"const": "true"}},
    "Content-Disposition": {"required": True, "description": "Names the file", "schema": {"type": "string"}},
}
_KEY: Final[Json] = {"type": "http", "scheme": "bearer", "description": "A key, made by `vnum keys add`"}


def describe(endpoints: Sequence[Endpoint]) -> Json:
    """Raises Lacking where an endpoint does not say enough of itself."""
    told = [*endpoints]
    _check_names(told)
    schemas, components = schemas_of([Problem, *_structs(told)])
    operations = Operations(schemas, components)
    paths: defaultdict[str, Json] = defaultdict(dict)
    for endpoint in told:
        paths[endpoint.path][endpoint.method.lower()] = operations.operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "vnum", "version": version("vnum"), "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "tags": _tags(told),
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(_without_queries(told, components).items())),
            "responses": dict(sorted(refusals_of(told).items())),
            "examples": _problems(told),
            "parameters": {"IdempotencyKey": IDEMPOTENCY_KEY},
            "headers": _HEADERS,
            "securitySchemes": {"key": _KEY},
        },
    }


def _tags(endpoints: Sequence[Endpoint]) -> list[Json]:
    """The nouns in order, each with what its module says of itself."""
    modules = {tag_of(endpoint): sys.modules[endpoint.run.__module__] for endpoint in endpoints}
    return [{"name": tag, "description": (module.__doc__ or "").partition("\n")[0]} for tag, module in modules.items()]


_LICENSE: Final[Json] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _structs(endpoints: Sequence[Endpoint]) -> list[Struct]:
    taken = [endpoint.takes for endpoint in endpoints]
    given = [endpoint.told.gives for endpoint in endpoints if endpoint.told is not None]
    return [*taken, *(struct for struct in given if struct is not None)]


def _without_queries(endpoints: Sequence[Endpoint], components: Json) -> Json:
    """Queries are told as parameters."""
    queries = {e.takes.__name__ for e in endpoints if not e.has_body}
    bodies = {e.takes.__name__ for e in endpoints if e.has_body}
    return {name: schema for name, schema in components.items() if name not in queries - bodies}


def _problems(endpoints: Sequence[Endpoint]) -> Json:
    """An example of each code, by its name."""
    codes = {code for endpoint in endpoints for of_status in codes_of(endpoint).values() for code in of_status}
    made = {code: problem(code, "what is wrong, where, and what to do") for code in sorted(codes)}
    return {
        code: {
            "summary": wrong.title,
            "value": {
                "type": wrong.type,
                "title": wrong.title,
                "status": wrong.status,
                "code": code,
                "detail": wrong.detail,
            },
        }
        for code, wrong in made.items()
    }


def _check_names(endpoints: Sequence[Endpoint]) -> None:
    """Raises Lacking for two operations of one name, or two structs."""
    ids: dict[str, str] = {}
    for endpoint in endpoints:
        path = f"{endpoint.method} {endpoint.path}"
        other = ids.setdefault(operation_id(endpoint), path)
        if other != path:
            raise Lacking(f"{path}: run by a method of the same name as {other}; operations are named by them")
