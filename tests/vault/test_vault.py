"""The vault: what is sealed opens where it was sealed, and nowhere else."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnum.vault import MasterKey, SealBroken, Vault
from vnum.vault.vault import short

KEY = MasterKey(1, bytes(range(32)))
OTHER_KEY = MasterKey(1, bytes(32))
ROW = UUID(int=7)
PHONE = "+8613912345678"

vault = Vault(KEY)
rows = st.one_of(st.uuids(), st.text(max_size=40))


@given(st.text(max_size=200), rows, st.sampled_from([b"phone", b"name", b"caller"]))
def test_what_was_sealed_opens_again(text: str, row: UUID | str, use: bytes) -> None:
    assert vault.open(vault.seal(text, row, use), row, use) == text


@pytest.mark.parametrize(
    ("opener", "row", "use"),
    [
        (vault, UUID(int=8), b"phone"),
        (vault, ROW, b"name"),
        (Vault(OTHER_KEY), ROW, b"phone"),
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
    assert vault.fingerprint(PHONE) == Vault(KEY).fingerprint(PHONE)
    assert vault.fingerprint(PHONE) != vault.fingerprint("+8613912345679")
    assert vault.fingerprint(PHONE) != Vault(OTHER_KEY).fingerprint(PHONE)
    assert len(vault.fingerprint(PHONE)) == 16


def test_fingerprints_are_those_that_are_stored() -> None:
    for _ in range(2):
        assert vault.fingerprint(PHONE).hex() == "ee84875af40b2d0950be899f282d4c80"
        assert vault.fingerprint("").hex() == "31b6a0767c862d9dc07c5447a9f2dc1a"


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_holder_is_a_bigint_of_its_order(merchant: str, order: str) -> None:
    assert -(2**63) <= vault.holder(merchant, order) < 2**63
    assert -(2**63) <= short(vault.fingerprint(merchant)) < 2**63
    assert vault.holder(merchant, order) == Vault(KEY).holder(merchant, order)


def test_holders_of_other_orders_differ() -> None:
    assert len({vault.holder(f"m{n % 7}", f"o{n}") for n in range(1_000)}) == 1_000


def test_a_key_does_not_print_itself() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY) == "MasterKey(key_id=1)"
