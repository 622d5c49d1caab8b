"""The vault: what is sealed opens where it was sealed, and nowhere else."""

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault.keys import held_before, of_before
from vnum.vault import DataKey, KeyGone, MasterKey, Purpose, SealBroken, Vault
from vnum.vault.vault import short

KEY = MasterKey(1, bytes(range(32)))
OTHER_KEY = MasterKey(1, bytes(32))
ROW = UUID(int=7)
PHONE = "+8613912345678"

vault = of_before(KEY)
rows = st.one_of(st.uuids(), st.text(max_size=40))


@given(st.text(max_size=200), rows, st.sampled_from([b"phone", b"name", b"caller"]))
def test_what_was_sealed_opens_again(text: str, row: UUID | str, use: bytes) -> None:
    assert vault.open(vault.seal(text, row, use), row, use) == text


@pytest.mark.parametrize(
    ("opener", "row", "use"),
    [
        (vault, UUID(int=8), b"phone"),
        (vault, ROW, b"name"),
        (of_before(OTHER_KEY), ROW, b"phone"),
    ],
    ids=["in another row", "for another use", "with another key"],
)
def test_it_does_not_open_elsewhere(opener: Vault, row: UUID, use: bytes) -> None:
    with pytest.raises(SealBroken) as error:
        opener.open(vault.seal(PHONE, ROW), row, use)
    assert PHONE not in str(error.value)


@pytest.mark.parametrize("at", [0, 11, 12, 20, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(vault.seal(PHONE, ROW))
    sealed[at] ^= 1
    with pytest.raises(SealBroken):
        vault.open(bytes(sealed), ROW)


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(12), bytes(27)])
def test_what_is_too_short_to_be_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        vault.open(sealed, ROW)


def test_the_same_phone_is_never_sealed_alike() -> None:
    assert len({vault.seal(PHONE, ROW) for _ in range(100)}) == 100


def test_the_text_does_not_stand_in_the_seal() -> None:
    sealed = vault.seal(PHONE, ROW)
    assert PHONE.encode() not in sealed
    assert len(sealed) == 12 + len(PHONE) + 16


def test_equal_phones_have_equal_fingerprints_under_one_key_only() -> None:
    assert vault.fingerprint(PHONE) == of_before(KEY).fingerprint(PHONE)
    assert vault.fingerprint(PHONE) != vault.fingerprint("+8613912345679")
    assert vault.fingerprint(PHONE) != of_before(OTHER_KEY).fingerprint(PHONE)
    assert len(vault.fingerprint(PHONE)) == 16


def test_fingerprints_are_those_that_are_stored() -> None:
    for _ in range(2):
        assert vault.fingerprint(PHONE).hex() == "ee84875af40b2d0950be899f282d4c80"
        assert vault.fingerprint("").hex() == "31b6a0767c862d9dc07c5447a9f2dc1a"


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_holder_is_a_bigint_of_its_order(merchant: str, order: str) -> None:
    assert -(2**63) <= vault.holder(merchant, order) < 2**63
    assert -(2**63) <= short(vault.fingerprint(merchant)) < 2**63
    assert vault.holder(merchant, order) == of_before(KEY).holder(merchant, order)


def test_holders_of_other_orders_differ() -> None:
    assert len({vault.holder(f"m{n % 7}", f"o{n}") for n in range(1_000)}) == 1_000


def test_a_key_does_not_print_itself() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY) == "MasterKey(key_id=1)"


OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


async def test_a_month_has_a_key_of_its_own() -> None:
    held = held_before(KEY)
    months = Vault(held.keys, held)
    october = await months.month(datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC))
    november = await months.month(datetime(2026, 11, 1, tzinfo=UTC))
    in_shanghai = await months.month(datetime(2026, 11, 1, 7, 59, tzinfo=timezone(timedelta(hours=8))))
    assert in_shanghai == october != november != months.key_id
    sealed = months.seal(PHONE, ROW, b"phone", october)
    assert months.open(sealed, ROW, b"phone", october) == PHONE
    for other in (november, None):
        with pytest.raises(SealBroken):
            months.open(sealed, ROW, b"phone", other)


async def test_a_key_that_another_process_made_is_read_once() -> None:
    held = held_before(KEY)
    one, two = Vault(held.keys, held), Vault(held.keys, held)
    key_id = await one.month(datetime(2026, 10, 5, tzinfo=UTC))
    sealed = one.seal(PHONE, ROW, b"phone", key_id)
    with pytest.raises(KeyGone):
        two.open(sealed, ROW, b"phone", key_id)
    before = held.asked
    for _ in range(3):
        await two.know(key_id)
    assert (two.open(sealed, ROW, b"phone", key_id), held.asked) == (PHONE, before + 1)


async def test_what_a_destroyed_key_sealed_is_gone() -> None:
    held = held_before(KEY)
    months = Vault(held.keys, held)
    at = datetime(2026, 10, 5, tzinfo=UTC)
    key_id = await months.month(at)
    sealed = months.seal(PHONE, ROW, b"phone", key_id)
    held.keys[-1] = msgspec.structs.replace(held.keys[-1], secret=None)
    await months.refresh()
    assert not months.opens(key_id)
    with pytest.raises(KeyGone):
        months.open(sealed, ROW, b"phone", key_id)
    with pytest.raises(KeyGone):
        await months.month(at)
    assert await months.months([at, at + timedelta(days=31)]) == {OCTOBER: None, NOVEMBER: 4}
    before = held.asked
    await months.know(key_id)
    assert held.asked == before, "it is known to be gone"


def test_a_data_key_does_not_print_itself() -> None:
    key = DataKey(key_id=3, purpose=Purpose.MONTH, month=OCTOBER, secret=bytes(range(32)))
    assert repr(key) == "DataKey(key_id=3, purpose=month, month=2026-10-01)"
