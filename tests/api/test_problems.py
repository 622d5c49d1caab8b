"""The table from code to status is complete, and what nobody expected tells nothing."""

from typing import get_args

import asyncpg
import pytest

from vnum.api.problems import _BILLING_NAMES, STATUS, EdgeCode, of_trouble
from vnum.finance import BillingCode
from vnum.model.refusals import Code
from vnum.service.group import Interrupted

from .conftest import PHONE


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
