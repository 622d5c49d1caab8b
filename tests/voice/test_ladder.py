"""A call's flow as a picture: what it shows, what it never shows, and that it fits."""

import re
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from vnum.voice.ladder import CALLER, PARTIES, RECIPIENT, SWITCH, VNUM, WIDTH, Event, dots, ladder, svg

X = "18400913965"


def event(at: float, source: str, target: str, text: str) -> Event:
    return Event(at=at, source=source, target=target, text=text)


ANSWERED = [
    event(1_700_000_000.0, CALLER, SWITCH, f"INVITE {X}"),
    event(1_700_000_000.1, SWITCH, VNUM, f"route {X}"),
    event(1_700_000_000.2, VNUM, SWITCH, "collect 4: extension"),
    event(1_700_000_000.25, SWITCH, CALLER, "200 OK"),
    event(1_700_000_002.0, CALLER, SWITCH, f"digits {dots('7576')}"),
    event(1_700_000_002.5, SWITCH, RECIPIENT, f"INVITE from {X}"),
    event(1_700_000_003.0, RECIPIENT, SWITCH, "200 OK"),
    event(1_700_000_013.0, RECIPIENT, RECIPIENT, "hangs up"),
    event(1_700_000_013.1, VNUM, VNUM, "1 minute, 0.06 CNY"),
]


def test_an_answered_call() -> None:
    drawn = ladder(ANSWERED, x=X).splitlines()

    assert drawn == [
        "       caller                      switch                       vnum                      recipient",
        " 0.000 s  │── INVITE X ──────────────>│                           │                           │",
        " 0.100 s  │                           │── route X ───────────────>│                           │",
        " 0.200 s  │                           │<─ collect 4: extension ───│                           │",
        " 0.250 s  │<─ 200 OK ─────────────────│                           │                           │",
        " 2.000 s  │── digits ···· ───────────>│                           │                           │",
        " 2.500 s  │                           │── INVITE from X ──────────┼──────────────────────────>│",
        " 3.000 s  │                           │<─ 200 OK ─────────────────┼───────────────────────────│",
        "13.000 s  │                           │                           │                  hangs up │",
        "13.100 s  │                           │                           │ 1 minute, 0.06 CNY        │",
    ]


def test_events_are_drawn_in_the_order_of_time_whatever_their_order() -> None:
    assert ladder(ANSWERED[::-1], x=X) == ladder(ANSWERED, x=X)


def test_of_one_instant_the_given_order_stays() -> None:
    events = [event(1, CALLER, SWITCH, "first"), event(1, SWITCH, CALLER, "second")]

    assert re.findall("first|second", ladder(events)) == ["first", "second"]


@pytest.mark.parametrize(
    "text",
    [
        "INVITE 13812345678",
        "INVITE sip:+8613812345678@127.0.0.1",
        "rings 021-12345678-801",
        "\uff11\uff13\uff18\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
    ],
)
def test_no_phone_is_drawn(text: str) -> None:
    for picture in (ladder([event(0, CALLER, SWITCH, text)], x=X), svg([event(0, CALLER, SWITCH, text)], x=X)):
        assert "[ph" in picture
        assert not re.search(r"[0-9\uff10-\uff19]{7}", picture.replace("http://www.w3.org/2000/svg", ""))


def test_keyed_digits_are_dots() -> None:
    assert dots("7576") == "····"


@pytest.mark.parametrize(
    "text",
    [
        "收件人已接听",
        "请输入分机号，然后请等待对方接听，不要挂断电话，谢谢您的耐心",
        "x" * 300,
        "\U0001f4de rings",
        "a\u0301" * 9,
    ],
)
@pytest.mark.parametrize("way", [(CALLER, SWITCH), (RECIPIENT, CALLER), (VNUM, VNUM), (RECIPIENT, RECIPIENT)])
def test_it_fits_whatever_is_said(text: str, way: tuple[str, str]) -> None:
    heads, drawn = ladder([event(0, *way, text)]).splitlines()

    assert cell_len(heads) <= WIDTH
    assert cell_len(drawn) <= WIDTH
    lives = [place for place, sign in enumerate(_cells(drawn)) if sign == "│"]
    assert {10, 94} <= set(lives)  # the life lines stand where they stood


def _cells(row: str) -> list[str]:
    return [part for sign in row for part in [sign, *[""] * (cell_len(sign) - 1)]]


def test_two_parties_are_enough() -> None:
    drawn = ladder([event(0, CALLER, SWITCH, "INVITE")], (CALLER, SWITCH), width=60)

    assert max(map(cell_len, drawn.splitlines())) <= 60
    assert "──>│" in drawn


def test_nothing_that_happened_is_no_picture_but_the_heads() -> None:
    assert ladder([]).split() == list(PARTIES)


def test_an_unknown_party_is_an_error() -> None:
    with pytest.raises(KeyError):
        ladder([event(0, CALLER, "carrier", "INVITE")])


def test_the_picture_as_svg_says_the_same() -> None:
    page = ElementTree.fromstring(svg(ANSWERED, x=X))  # noqa: S314 - our own

    said = [text.text for text in page.iter("{http://www.w3.org/2000/svg}text")]
    assert said[:4] == list(PARTIES)
    assert [text for text in said[4:] if text and not re.fullmatch(r"[\d.]+ s", text)] == [
        one.text.replace(X, "X") for one in ANSWERED
    ]


def test_text_in_the_svg_is_text() -> None:
    assert "&lt;script&gt;" in svg([event(0, CALLER, SWITCH, "<script>")])
