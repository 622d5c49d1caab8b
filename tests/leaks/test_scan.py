"""The scan finds what is planted, in every form and every kind of place: else its silence would mean nothing."""

import gzip
import io
from base64 import b64encode
from typing import Any

import pytest
import typst
import xlsxwriter

from tests.api.conftest import World
from tests.leaks.collect import fresh_line, fresh_mobile, of_database, of_redis, without_callee
from tests.leaks.scan import Piece, scan

PHONE, NAME = "13812345678", "张三丰"
FORMS = [
    PHONE.encode(),
    b"+8613812345678",
    b"0086 138 1234 5678",
    b"138-1234-5678",
    b"138.1234.5678",
    "１３８１２３４５６７８".encode(),
    PHONE[::-1].encode(),
    PHONE.encode().hex().encode(),
    PHONE.encode().hex().upper().encode(),
    PHONE.encode("utf-16-le"),
    int(PHONE).to_bytes(8, "big"),
    *(b64encode(b"x" * n + PHONE.encode() + b"y" * m) for n in range(4) for m in range(4)),
    b64encode(b"+86" + PHONE.encode()),
]


def workbook(text: str) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        book.add_worksheet().write(0, 0, text)
    return file.getvalue()


def page(text: str) -> bytes:
    made = typst.compile(f"of {text}".encode())
    assert isinstance(made, bytes)
    return made


@pytest.mark.parametrize("form", FORMS, ids=lambda form: repr(form)[:40])
@pytest.mark.parametrize("around", [b"%s", b'{"a": "%s"}', b"\x00\x01%s\xff"])
def test_a_planted_number_is_found(form: bytes, around: bytes) -> None:
    assert scan([Piece("here", around % form)], [PHONE]), form
    assert not scan([Piece("here", around % form)], ["13892345678"])


@pytest.mark.parametrize(
    "form", [NAME.encode(), NAME.encode("unicode_escape"), NAME.encode("utf-16-le"), NAME.encode("gb18030")]
)
def test_a_planted_name_is_found(form: bytes) -> None:
    assert scan([Piece("here", b"x" + form + b"y")], [NAME])


def test_a_fixed_line_is_found_with_and_without_its_zero() -> None:
    for text in (b"0571-87654321", b"(0571)87654321", b"+8657187654321", b"86 571 8765 4321"):
        assert scan([Piece("here", text)], ["057187654321"]), text


@pytest.mark.parametrize(
    "packed", [workbook(PHONE), page(PHONE), gzip.compress(PHONE.encode())], ids=["xlsx", "pdf", "gzip"]
)
def test_what_is_packed_is_unpacked(packed: bytes) -> None:
    assert PHONE.encode() not in packed
    assert [leak.place for leak in scan([Piece("file", packed)], [PHONE])]


async def test_a_number_in_a_table_is_found(world: World) -> None:
    phone, other = fresh_mobile(), fresh_mobile()
    await world.owner.execute("INSERT INTO clock_accepts (instant, operator) VALUES (now(), $1)", phone)
    await world.owner.execute(
        "INSERT INTO idempotency_keys VALUES ('s', 'k', $1, 0, '', now())", b"\x00" + other.encode() + b"\x01"
    )
    pieces = [piece async for piece in of_database(world.owner)]
    found = {leak.secret: leak.place.rpartition(".")[0] for leak in scan(pieces, [phone, other, fresh_line()])}
    assert found == {phone: "clock_accepts", other: "idempotency_keys"}


async def test_a_number_in_redis_is_found(world: World) -> None:
    redis: Any = world.engine.pool._redis
    numbers = [fresh_mobile() for _ in range(5)]
    prefix = "leaks:planted"
    await redis.set(f"{prefix}:{numbers[0]}", "x")
    await redis.set(f"{prefix}:s", numbers[1])
    await redis.hset(f"{prefix}:h", numbers[2], "x")
    await redis.zadd(f"{prefix}:z", {numbers[3]: 1})
    await redis.rpush(f"{prefix}:l", numbers[4])
    try:
        pieces = [piece async for piece in of_redis(redis)]
        assert {leak.secret for leak in scan(pieces, numbers)} == set(numbers)
    finally:
        async for key in redis.scan_iter(match=f"{prefix}*"):
            await redis.delete(key)


def test_of_route_only_the_callee_of_a_connected_call_is_left_out() -> None:
    good = b'{"action": "connect", "callee": "+8613812345678", "display_number": "18400913965"}'
    assert not scan([Piece("route", without_callee(good))], [PHONE])
    for wrong in (
        good.replace(b"display_number", b"prompt").replace(b"18400913965", PHONE.encode()),
        good.replace(b"connect", b"reject"),
    ):
        assert scan([Piece("route", without_callee(wrong))], [PHONE])
