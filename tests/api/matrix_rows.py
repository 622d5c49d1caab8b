"""How each endpoint names its merchant: a row an endpoint, or several where there are several ways.

A new endpoint needs a row here, a line or two. In path, query and body stand the names of `matrix_world.things`, in
braces: {merchant}, {order}, {binding}, ... Parts of the path are filled in by PATH without being said again.

    "GET /v1/things/{thing_id}": Row(),                                 # by a part of the path (its name into PATH)
    "GET /v1/things": (Row(whole=True), Row("?merchant_id={merchant}")),  # all that the key may see; by the query
    "POST /v1/things": Row(body={"merchant_id": "{merchant}"}, also={"thing_exists"}),
    "POST /v1/things/close": Row(untied=True, body={}),                 # no tied key may, whatever is named
    "GET /v1/hosts": Row(whole=True, nobodys=True),                     # nothing of a merchant's
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

MINE = "alpha"
"""The own merchant, where something of another side is named with him."""

OCTOBER = "from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z"
AUTUMN = "from=2026-10-01T00:00:00Z&to=2026-12-01T00:00:00Z"

PATH = {
    "merchant_id": "{merchant}",
    "order_id": "{order}",
    "binding_id": "{binding}",
    "call_id": "{call}",
    "invoice_id": "{invoice}",
    "note_number": "{note}",
    "dispute_id": "{dispute}",
    "review_id": "{review}",
    "host": "{host}",
    "carrier": "{carrier}",
    "waybill_no": "{waybill}",
    "caller_id": "{caller}",
    "blacklist_id": "{listing}",
    "webhook_id": "{hook}",
    "delivery_id": "{delivery}",
    "message_id": "{message}",
    "template_id": "nothing",
    "isv": "{isv}",
    "key_id": "{isv}",
}
"""What the parts of paths name, by their names."""


class Row(NamedTuple):
    """One way to name a merchant.

    `whole` = it names none: one request, answered with all that the key may see. `untied` = no tied key may (403).
    `nobodys` = nothing of a merchant's is told. `also` = codes by which an answer shows that what was named is seen,
    besides 2xx. `makes` = would make what is absent, so that is left out. `each` = what is refused stands in
    results[0]. `named` = other names for parts of the path than in PATH. `rest` = what is left behind a page, maybe
    nothing. `slow` = asked by tied keys only, with both guards. `guarded` = no GET, and yet PostgreSQL alone guards it,
    as it does all reading. `file` = sent as the body, a CSV.
    """

    query: str = ""
    body: Any = None
    whole: bool = False
    untied: bool = False
    nobodys: bool = False
    also: frozenset[str] | set[str] = frozenset()
    makes: bool = False
    each: bool = False
    named: Mapping[str, str] = MappingProxyType({})
    rest: bool = False
    slow: bool = False
    guarded: bool = False
    file: bytes | None = None


OTHERS_HOOK = Row(named={"webhook_id": "{shop_hook}"}, also={"webhook_not_found"})
"""A merchant's subscription, which his ISVs do not see."""

BIND = {
    "merchant_id": "{merchant}",
    "order_id": "{order}",
    "recipient_phone": "{phone}",
    "order_status": "shipped",
}
RECORD = {
    "call_id": "{call}",
    "host": "{host}",
    "extension": "{extension}",
    "caller": "13712345678",
    "call_time": "2026-11-05T04:01:00Z",
    "release_time": "2026-11-05T04:02:00Z",
}
CALLER = {"phone": "0571-8765{n4}", "class": "merchant_agent", "merchant_id": "{merchant}"}
LISTING = {"phone": "0571-8765{n4}", "direction": "caller", "merchant_id": "{merchant}"}
MARK = {"call_id": "{call}", "mark": "satisfied", "at": "2026-10-05T04:05:00Z"}
DIAL = {"merchant_id": "{merchant}", "order_id": "{order}", "agent_phone": "0571-8765{n4}"}
STATE = {"call_id": "{dialled}", "state": "ringing_agent", "at": "2026-11-05T04:05:00Z"}
ONE_ORDER = [{"merchant_id": "{merchant}", "order_id": "{order}"}]
NEW_PARCEL = {"parcels": [{"carrier": "{carrier}", "waybill_no": "{waybill}"}]}
HOOK = {
    "url": "https://shop.example.com/more",
    "events": ["invoice.closed"],
    "merchant_id": "{merchant}",
}
MESSAGE = {"merchant_id": "{merchant}", "recipient_token": "{token}", "template_id": "arrived"}
TEMPLATE = {"template_id": "t{n}", "text": "x", "purpose": "delivery"}
TARIFF = {
    "tariff_id": "t{n}",
    "effective_from": "2027-01-01T00:00:00+08:00",
    "rental": {"model": "started_day", "rate": "0.1"},
    "calls": {"minute": "0.1"},
}

ROWS: dict[str, Row | tuple[Row, ...]] = {
    "POST /v1/bindings": Row(body=BIND),
    "POST /v1/bindings/batch": Row(body={"items": [BIND]}, each=True),
    "GET /v1/bindings": Row("?merchant_id={merchant}&order_id={order}"),
    "GET /v1/bindings/{binding_id}": Row(),
    "POST /v1/bindings/{binding_id}/extend": Row(body={"days": 7}, also={"extend_limit"}),
    "POST /v1/bindings/{binding_id}/release": Row(body={"reason": "x"}, named={"binding_id": "{spare}"}),
    "POST /v1/bindings/{binding_id}/recipient": Row(body={"recipient_phone": "{phone}", "reason": "x"}),
    "PUT /v1/bindings/{binding_id}/callers": Row(body={"group": None}),
    "POST /v1/orders/decrypt": Row(body={"scene": "delivery", "items": ONE_ORDER}, each=True, guarded=True),
    "POST /v1/orders/{merchant_id}/{order_id}/extend": Row(body={"days": 7}, also={"extend_limit"}),
    "POST /v1/orders/{merchant_id}/{order_id}/reissue": Row(body={}),
    "POST /v1/orders/{merchant_id}/{order_id}/events": Row(body={"type": "shipped", "event_id": "e{n}"}),
    "GET /v1/orders/{merchant_id}/{order_id}/parcels": Row(),
    "POST /v1/orders/{merchant_id}/{order_id}/parcels": Row(body=NEW_PARCEL),
    "DELETE /v1/orders/{merchant_id}/{order_id}/parcels": Row(body=NEW_PARCEL, named={"order_id": "{ended}"}),
    "GET /v1/waybills/{carrier}/{waybill_no}": Row(),
    "GET /v1/platform/policy": Row(whole=True, nobodys=True),
    "PUT /v1/platform/policy": Row(whole=True, nobodys=True, body={}),
    "GET /v1/labels/stale": (
        Row("?days=90", whole=True, rest=True),
        Row("?days=90&merchant_id={merchant}"),
        Row("?days=90&carrier={carrier}"),
        Row("?days=90&after={label_place}"),
        Row("?days=90&merchant_id={merchant}&after={label_place}"),
    ),
    "GET /v1/labels/{merchant_id}/{order_id}": Row("?format=json"),
    "POST /v1/callers": Row(body=CALLER),
    "GET /v1/callers": (Row(whole=True), Row("?merchant_id={merchant}"), Row("?after={caller}", whole=True, rest=True)),
    "DELETE /v1/callers/{caller_id}": Row(also={"caller_not_found"}),
    "POST /v1/blacklist": Row(body=LISTING),
    "GET /v1/blacklist": (Row(whole=True), Row("?merchant_id={merchant}")),
    "DELETE /v1/blacklist/{blacklist_id}": Row(also={"blacklist_not_found"}),
    "GET /v1/merchants/{merchant_id}/call-policy": Row(),
    "PUT /v1/merchants/{merchant_id}/call-policy": Row(body={}),
    "PUT /v1/recipients/opt-out": Row(body={"phone": "0571-87651234", "merchant_id": "{merchant}"}),
    "DELETE /v1/recipients/opt-out": Row(body={"phone": "0571-87651234", "merchant_id": "{merchant}"}),
    "GET /v1/calls/attempts": (
        Row("?merchant_id={merchant}&" + AUTUMN),
        Row("?merchant_id={merchant}&after={attempt_place}&" + AUTUMN),
        Row(f"?merchant_id={MINE}&after={{attempt_place}}&{AUTUMN}"),
    ),
    "POST /v1/calls/marks": Row(body=MARK, nobodys=True),
    "GET /v1/calls/marks": Row(f"?merchant_id={{merchant}}&{OCTOBER}"),
    "POST /v1/labels/current": (
        Row(body={"items": ONE_ORDER}, each=True, guarded=True),
        Row(body={"items": [{"carrier": "{carrier}", "waybill_no": "{waybill}"}]}, each=True, guarded=True),
        Row(
            body={"items": [{"merchant_id": "{merchant}", "order_id": "{lapsed}"}], "reissue": True},
            each=True,
            guarded=True,
        ),
    ),
    "POST /v1/calls/route": Row(
        body={"call_id": "x{n}", "caller": "13712345678", "host": "{host}", "digits": "{extension}"}, nobodys=True
    ),
    "POST /v1/calls/records": Row(body={"items": [RECORD]}, nobodys=True),
    "GET /v1/calls": (
        Row(f"?merchant_id={{merchant}}&{OCTOBER}"),
        Row("?merchant_id={merchant}&order_id={order}&" + AUTUMN),
        Row("?merchant_id={merchant}&after={call_place}&" + AUTUMN),
        Row(f"?merchant_id={MINE}&after={{call_place}}&{AUTUMN}"),
    ),
    "POST /v1/calls/dial": Row(body=DIAL, guarded=True),
    "POST /v1/calls/dials/take": Row(body={"wait_seconds": 0}, whole=True, nobodys=True),
    "POST /v1/calls/states": Row(body={"items": [STATE]}, nobodys=True),
    "GET /v1/calls/unrecorded": Row(whole=True, untied=True),
    "GET /v1/calls/{call_id}": (Row(), Row(named={"call_id": "{dialled}"})),
    "GET /v1/calls/reviews": Row(whole=True, untied=True),
    "POST /v1/calls/reviews/{review_id}": Row(
        untied=True, body={"decision": "discard", "reason": "x"}, also={"review_decided"}
    ),
    "POST /v1/calls/{call_id}/disputes": Row(body={"reason": "x"}, also={"dispute_open"}, guarded=True),
    "GET /v1/disputes": (Row(whole=True), Row("?merchant_id={merchant}")),
    "POST /v1/disputes/{dispute_id}/resolve": Row(
        untied=True, body={"outcome": "rejected", "reason": "x"}, also={"dispute_resolved"}
    ),
    "POST /v1/merchants": Row(body={"merchant_id": "{merchant}", "name": "x"}, also={"merchant_exists"}, makes=True),
    "GET /v1/merchants": Row(whole=True),
    "PATCH /v1/merchants/{merchant_id}": Row(body={"state": "active"}),
    "POST /v1/tariffs": Row(whole=True, untied=True, nobodys=True, body=TARIFF),
    "GET /v1/tariffs": Row(whole=True, untied=True, nobodys=True),
    "POST /v1/merchants/{merchant_id}/tariffs": Row(
        untied=True, body={"tariff_id": "default", "effective_from": "2027-01-01T00:00:00+08:00"}
    ),
    "GET /v1/merchants/{merchant_id}/tariffs": Row(),
    "POST /v1/hosts": Row(whole=True, nobodys=True, body={"host": "{host}"}, also={"host_exists"}),
    "GET /v1/hosts": Row(whole=True, nobodys=True),
    "PATCH /v1/hosts/{host}": Row(body={"state": "active"}, nobodys=True),
    "GET /v1/pool": Row(whole=True, nobodys=True),
    "POST /v1/invoices/close": Row(untied=True, body={"period": "2026-10", "merchant_id": "{merchant}"}),
    "GET /v1/invoices": (Row(whole=True), Row("?merchant_id={merchant}"), Row("?after={invoice}")),
    "GET /v1/invoices/draft": (
        Row("?period=2026-11", whole=True),
        Row("?period=2026-11&merchant_id={merchant}"),
        Row("?period=2026-11&after=a", whole=True, rest=True),
    ),
    "GET /v1/invoices/export": (
        Row("?period=2026-10&format=csv", whole=True),
        Row("?period=2026-10&format=json", whole=True),
        Row("?period=2026-10&format=fapiao", whole=True),
        Row("?period=2026-10&format=xlsx", whole=True, slow=True),
        Row("?period=2026-10&format=pdf", whole=True, slow=True),
    ),
    "GET /v1/invoices/{invoice_id}": Row(),
    "GET /v1/invoices/{invoice_id}/export": (
        Row("?format=csv"),
        Row("?format=json"),
        Row("?format=fapiao"),
        Row("?format=xlsx", slow=True),
        Row("?format=pdf", slow=True),
    ),
    "POST /v1/invoices/rerate": Row(
        untied=True, body={"period": "2026-10", "merchant_id": "{merchant}", "reason": "x", "dry_run": True}
    ),
    "POST /v1/invoices/{invoice_id}/notes": Row(
        untied=True, body={"reason": "x", "lines": [{"call_id": "{call}"}]}, also={"note_exceeds_invoice"}
    ),
    "GET /v1/invoices/{invoice_id}/notes": Row(),
    "GET /v1/notes": (Row(whole=True), Row("?merchant_id={merchant}"), Row("?after={note}")),
    "GET /v1/notes/{note_number}": Row(),
    "GET /v1/notes/{note_number}/export": (Row("?format=json"), Row("?format=pdf", slow=True)),
    "POST /v1/reconciliations": Row(
        "?period=2026-10&format=plain", whole=True, untied=True, file=b"call_id\n", also={"unusable_file"}
    ),
    "GET /v1/bills/daily": (
        Row("?biz_date=2026-10-05", whole=True),
        Row("?biz_date=2026-10-05&merchant_id={merchant}"),
        Row("?biz_date=2026-10-05&page_no=2&page_size=1", whole=True, rest=True),
    ),
    "GET /v1/usage/daily": Row("?merchant_id={merchant}&from=2026-10-05&to=2026-10-07"),
    "GET /v1/merchants/{merchant_id}/spend": Row(),
    "GET /v1/audit": Row(f"?{AUTUMN}", whole=True),
    "POST /v1/webhooks": Row(body=HOOK, also={"webhook_limit"}),
    "GET /v1/webhooks": (
        Row(whole=True),
        Row("?merchant_id={merchant}"),
        Row("?after={hook}"),
        Row("?merchant_id={merchant}&after={hook}"),
    ),
    "GET /v1/webhooks/{webhook_id}": (Row(), OTHERS_HOOK),
    "PATCH /v1/webhooks/{webhook_id}": (Row(body={"active": True}), OTHERS_HOOK._replace(body={"active": True})),
    "DELETE /v1/webhooks/{webhook_id}": Row(named={"webhook_id": "{spare_hook}"}, also={"webhook_not_found"}),
    "POST /v1/webhooks/{webhook_id}/rotate": (Row(body={}), OTHERS_HOOK._replace(body={})),
    "GET /v1/webhooks/{webhook_id}/deliveries": (
        Row("?state=waiting"),
        Row("?state=dead"),
        Row("?state=waiting&after={delivery}"),
        OTHERS_HOOK._replace(query="?state=waiting"),
    ),
    "POST /v1/webhooks/{webhook_id}/deliveries/replay": (Row(), OTHERS_HOOK),
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": (Row(), OTHERS_HOOK),
    "POST /v1/messages": (
        Row(body=MESSAGE),
        Row(body=MESSAGE | {"merchant_id": MINE}, also={"recipient_token_invalid"}),
    ),
    "GET /v1/messages/{message_id}": Row(),
    "POST /v1/message-templates": Row(whole=True, nobodys=True, body=TEMPLATE),
    "GET /v1/message-templates": Row(whole=True, nobodys=True),
    "DELETE /v1/message-templates/{template_id}": Row(whole=True, nobodys=True, also={"template_not_found"}),
    "POST /v1/keys": Row(body={"role": "merchant", "merchants": ["{merchant}"]}, makes=True),
    "GET /v1/keys": Row(whole=True, nobodys=True),
    "GET /v1/keys/{key_id}": Row(whole=True, nobodys=True),
    "PATCH /v1/keys/{key_id}": Row(whole=True, nobodys=True, body={}),
    "POST /v1/keys/{key_id}/rotate": Row(whole=True, nobodys=True, body={}),
    "POST /v1/keys/{key_id}/revoke": Row(
        whole=True, nobodys=True, named={"key_id": "000000000000"}, also={"key_not_found"}
    ),
    "GET /v1/merchants/{merchant_id}/grants": (Row(), Row("?after=1000000")),
    "PUT /v1/merchants/{merchant_id}/grants/{isv}": Row(),
    "DELETE /v1/merchants/{merchant_id}/grants/{isv}": Row(),
    "POST /v1/recipients/export": Row(whole=True, nobodys=True, body={"phone": "{phone}"}),
    "POST /v1/recipients/erase": Row(whole=True, nobodys=True, body={"phone": "0571-87651235", "reason": "x"}),
    "GET /v1/retention": Row(whole=True, nobodys=True),
    "GET /healthz": Row(whole=True, nobodys=True),
    "GET /readyz": Row(whole=True, nobodys=True),
    "GET /metrics": Row(whole=True, nobodys=True),
}


def rows_of(endpoint: str) -> tuple[Row, ...]:
    """Those of `METHOD /path`; an endpoint without one fails the matrix with this message."""
    assert endpoint in ROWS, (
        f"{endpoint} has no row: say in ROWS of tests/api/matrix_rows.py how it names its merchant, "
        "or Row(whole=True), Row(untied=True), Row(nobodys=True) if it does not"
    )
    rows = ROWS[endpoint]
    return (rows,) if isinstance(rows, Row) else rows
