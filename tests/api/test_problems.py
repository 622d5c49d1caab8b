"""The table from code to status is complete, and what nobody expected tells nothing."""

from typing import get_args

import asyncpg
import pytest

from vnum.api.problems import _BILLING_NAMES, STATUS, EdgeCode, of_trouble
from vnum.finance import BillingCode
from vnum.model.refusals import Code
from vnum.service.group import Interrupted

from .conftest import PHONE, World


def test_every_code_has_a_status() -> None:
    billing = {_BILLING_NAMES.get(code, code) for code in get_args(BillingCode)}
    assert set(STATUS) == {*Code, *EdgeCode, *billing}
    assert {code for code in STATUS if STATUS[code] == 500} >= {EdgeCode.INTERNAL_ERROR}
    assert all(400 <= status < 600 for status in STATUS.values())


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (RuntimeError(PHONE), 500, "internal_error"),
        (KeyError(PHONE), 500, "internal_error"),
        (ConnectionResetError(PHONE), 503, "store_unavailable"),
        (TimeoutError(PHONE), 503, "store_unavailable"),
        (asyncpg.InterfaceError(PHONE), 503, "store_unavailable"),
        (asyncpg.CannotConnectNowError(PHONE), 503, "store_unavailable"),
        (asyncpg.AdminShutdownError(PHONE), 503, "store_unavailable"),
        (asyncpg.QueryCanceledError(PHONE), 503, "store_unavailable"),
        (asyncpg.TooManyConnectionsError(PHONE), 503, "store_unavailable"),
        (asyncpg.ReadOnlySQLTransactionError(PHONE), 503, "store_unavailable"),
        (asyncpg.DeadlockDetectedError(PHONE), 503, "store_unavailable"),
        (asyncpg.DataError(PHONE), 400, "invalid_request"),
        (asyncpg.CharacterNotInRepertoireError(PHONE), 400, "invalid_request"),
        (asyncpg.UndefinedTableError(PHONE), 500, "internal_error"),
        (Interrupted(), 503, "outcome_unknown"),
    ],
)
def test_trouble(trouble: Exception, status: int, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem = of_trouble(trouble)
    assert (problem.status, problem.code) == (status, code)
    assert PHONE not in str(problem)
    assert PHONE not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("role", "method", "path", "body", "said"),
    [
        ("platform", "GET", "/v1/merchants?limit=2", None, "there is no parameter limit; there are: after"),
        ("platform", "GET", "/v1/bindings?order_id=A1", None, "parameter merchant_id is missing"),
        ("platform", "POST", "/v1/merchants", {"merchant_id": "m1"}, "field name is missing"),
        (
            "platform",
            "POST",
            "/v1/labels/current",
            {"order_id": "A1"},
            "there is no field order_id; there are: items, ",
        ),
        (
            "finance",
            "POST",
            "/v1/invoices/1/notes",
            {"reason": "r", "lines": [{"sum": "1"}]},
            "lines[0]: there is no field sum; there are: call_id, binding_id, ",
        ),
        ("platform", "PUT", "/v1/merchants", {}, "this path has no such method; it has GET, POST"),
        ("isv", "GET", "/v1/hosts", None, "an isv key may not call this; it is for admin"),
        ("courier", "GET", "/v1/hosts", None, "a courier key may not call this; it is for admin"),
        (
            "finance",
            "GET",
            "/v1/invoices/export?period=2020-01&format=csv",
            None,
            "2020-01 has nothing to export: no merchant was there before its end",
        ),
    ],
)
async def test_what_is_wrong_is_said_so_that_one_can_go_on(
    world: World, role: str, method: str, path: str, body: dict[str, object] | None, said: str
) -> None:
    reply = await world.call(method, path, body, role=role)
    assert reply.body["detail"].startswith(said), reply.body
