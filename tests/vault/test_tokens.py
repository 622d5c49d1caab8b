"""Recipient tokens: for one merchant, of one binding, under one key."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from vnum.vault import Tokens

ONE, OTHER = Tokens(b"1" * 32), Tokens(b"2" * 32)
ID = UUID("019bd93c-d040-7000-b85f-ab117e4c212a")


@given(st.uuids(), st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_a_token_is_read_by_its_merchant_only(binding_id: UUID, merchant: str, other: str) -> None:
    token = ONE.make(binding_id, merchant)
    assert ONE.read(token, merchant) == binding_id
    assert OTHER.read(token, merchant) is None
    assert (ONE.read(token, other) == binding_id) == (merchant == other)


def test_a_token_is_always_the_same_and_tells_nothing() -> None:
    token = ONE.make(ID, "m")
    assert token == ONE.make(ID, "m")
    assert token.startswith("rt_")
    assert len(token) == 46
    assert ID.hex[:8] not in token


def test_what_was_changed_or_made_up_is_no_token() -> None:
    token = ONE.make(ID, "m")
    for n in range(len(token) - 1):  # the last character holds two bits that mean nothing
        wrong = token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :]
        assert ONE.read(wrong, "m") is None, n
    for text in (
        "",
        "rt_",
        token[:-1],
        token + "A",
        "rt_" + "\u00e9" * 43,
        "rt_" + "!" * 43,
        token.replace("rt_", "xx_"),
    ):
        assert ONE.read(text, "m") is None
