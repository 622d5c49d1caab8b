"""The rules of a binding's life, as tables (design section 5, "What the words mean")."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vnum.model import bindings as rules
from vnum.model.bindings import Binding, Mode, State
from vnum.model.refusals import Code, Refusal

BOUND = datetime(2026, 10, 10, 9, 30, 15, 123456, tzinfo=UTC)
DAY = timedelta(hours=24)
TICK = timedelta(microseconds=1)


def binding(days: int = 30, *, released: datetime | None = None) -> Binding:
    expires_at = BOUND + days * DAY
    return Binding(
        binding_id=UUID(int=1),
        merchant_id="m",
        order_id="o",
        host="18400913965",
        extension="7576",
        mode=Mode.AXE,
        bound_at=BOUND,
        expires_at=expires_at,
        ended_at=released or expires_at,
        released=released is not None,
    )


LIVE = binding()
RELEASED = binding(released=BOUND + DAY)
END = BOUND + 30 * DAY


def code(verdict: object) -> Code | None:
    return verdict.code if isinstance(verdict, Refusal) else None


@pytest.mark.parametrize(
    ("one", "now", "state"),
    [
        (LIVE, BOUND, State.LIVE),
        (LIVE, END - TICK, State.LIVE),
        (LIVE, END, State.EXPIRED),
        (LIVE, END + 400 * DAY, State.EXPIRED),
        (RELEASED, BOUND + DAY - TICK, State.LIVE),
        (RELEASED, BOUND + DAY, State.RELEASED),
        (RELEASED, END, State.RELEASED),
    ],
)
def test_a_binding_is_live_up_to_its_end_and_not_at_it(one: Binding, now: datetime, state: State) -> None:
    assert one.state(now) is state


@pytest.mark.parametrize(
    ("one", "now", "days", "answer"),
    [
        (LIVE, BOUND, 7, END + 7 * DAY),
        (LIVE, END - TICK, 30, END + 30 * DAY),
        (LIVE, END, 7, Code.BINDING_EXPIRED),
        (RELEASED, BOUND + DAY, 7, Code.BINDING_RELEASED),
        (RELEASED, END + DAY, 7, Code.BINDING_RELEASED),
        (binding(150), BOUND, 30, BOUND + 180 * DAY),
        (binding(151), BOUND, 30, Code.EXTEND_LIMIT),
        (binding(151), BOUND, 15, BOUND + 166 * DAY),
        (binding(180), BOUND + 179 * DAY, 7, Code.EXTEND_LIMIT),
        (binding(180), BOUND + 180 * DAY, 7, Code.BINDING_EXPIRED),
    ],
)
def test_extending(one: Binding, now: datetime, days: int, answer: datetime | Code) -> None:
    """Adds spans of 24 hours while live, and to 180 days in all."""
    verdict = rules.extend(one, days, now)
    assert (verdict if isinstance(answer, datetime) else code(verdict)) == answer


@pytest.mark.parametrize(
    ("one", "now", "answer"),
    [
        (LIVE, BOUND, True),
        (LIVE, END - TICK, True),
        (LIVE, END, Code.BINDING_EXPIRED),
        (RELEASED, BOUND + DAY, False),
        (RELEASED, END + DAY, False),
    ],
)
def test_releasing(one: Binding, now: datetime, answer: bool | Code) -> None:
    """True = now; False = it is released already, which is no refusal."""
    verdict = rules.release(one, now)
    assert (verdict if isinstance(answer, bool) else code(verdict)) == answer


def test_a_refusal_says_how_much_life_is_left() -> None:
    verdict = rules.extend(binding(160), 30, BOUND)
    assert isinstance(verdict, Refusal)
    assert "20" in verdict.detail


def test_a_day_of_life_is_24_hours() -> None:
    assert rules.life(30) == timedelta(hours=720)
