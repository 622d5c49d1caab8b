"""A call by script against a phone that does as told, and `vnum call`, a process of its own, against the same."""

import asyncio
import os
import re
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.voice.running import VNUM, Program, free_port
from vnum.cli.answer import answer
from vnum.cli.call import call
from vnum.model.numbers import parse_number
from vnum.voice.ladder import CALLER, SWITCH, Event, ladder
from vnum.voice.softphone.call import Incoming, Keys, Manners
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.picture import keyed, said
from vnum.voice.softphone.scripted import Script, Told, Unanswered, ring_through
from vnum.voice.softphone.sip import LOOPBACK

ROOT = Path(__file__).parents[2]
WAIT_S = 60
HOST = "18400913965"
LABEL = f"{HOST}-7576"
CALLER_HZ, ANSWERER_HZ = 700, 1000


class Answerer(Phone):
    """Takes every call, with manners of its own."""

    def __init__(self, **manners: object) -> None:
        super().__init__("18400913965", ANSWERER_HZ)
        self._manners = Manners(**manners)  # type: ignore[arg-type]
        self.rung: list[Incoming] = []

    def manners_of(self, number: str) -> Manners:
        return self._manners

    async def came(self, call: Incoming) -> None:
        self.rung.append(call)


def script(answerer: Answerer, **given: object) -> Script:
    fields = {"number": parse_number(LABEL), "talk_s": 0.3, "patience_s": 20.0} | given
    return Script(via=answerer.line.address, **fields)  # type: ignore[arg-type]


def picture(answerer: Answerer, told: Told, played: Script) -> list[Event]:
    host = played.number.host
    return said(told.call, CALLER, SWITCH, host) + keyed(told, played, CALLER, SWITCH)


@pytest.mark.parametrize("keys", Keys)
async def test_it_keys_in_the_extension_of_the_label_and_talks(keys: Keys) -> None:
    async with asyncio.timeout(WAIT_S), Answerer() as answerer, Phone("13900000001", CALLER_HZ) as caller:
        played = script(answerer, keys=keys, hears=ANSWERER_HZ)
        told = await ring_through(caller, played)
        (rung,) = answerer.rung
        await rung.until("ended")

    assert rung.bye_came
    if keys is Keys.RFC4733:
        assert [digit for n, digit in enumerate(rung.sound.digits_heard) if n % 3 == 0] == [7, 5, 7, 6]
    else:
        assert re.findall(r"Signal=(\d)", "".join(message.body for message in rung.seen)) == list("7576")
    assert told.voice_at <= told.keyed_at
    drawn = ladder(picture(answerer, told, played), (CALLER, SWITCH), x="18400913965")
    told_in_order = [
        words for words in ("INVITE X", "180 Ringing", "200 OK", "voice", "digits ····", "BYE") if words in drawn
    ]
    assert len(told_in_order) == 6
    assert not re.search(r"7576|\d{7}|phone", drawn)


async def test_a_host_alone_is_not_keyed_into() -> None:
    async with asyncio.timeout(WAIT_S), Answerer() as answerer, Phone("13900000001", CALLER_HZ) as caller:
        told = await ring_through(caller, script(answerer, number=parse_number("18400913965")))
        (rung,) = answerer.rung

    assert (told.voice_at, told.keyed_at, told.heard_at) == (0, 0, 0)
    assert rung.sound.digits_heard == []


@pytest.mark.parametrize(
    ("manners", "given", "says"),
    [
        ({"final": 486}, {}, "the call ended before it was answered: 486"),
        ({"final": 603}, {}, "the call ended before it was answered: 603"),
        ({"final": None}, {"patience_s": 0.2}, "nothing came in 0.2 s, before it was answered"),
        ({"talk_s": 0.4}, {}, "the call ended while the voice spoke"),
        ({}, {"hears": 1300, "patience_s": 2.0}, "nothing came in 2 s, before the other was heard"),
    ],
)
async def test_it_says_where_a_call_ended(manners: dict[str, object], given: dict[str, object], says: str) -> None:
    async with asyncio.timeout(WAIT_S), Answerer(**manners) as answerer, Phone("13900000001", CALLER_HZ) as caller:
        with pytest.raises(Unanswered, match=re.escape(says)) as ended:
            await ring_through(caller, script(answerer, **given))
        (made,) = caller.calls.values()
        assert ended.value.told.call is made
        await made.changed.wait() if not made.ended else None

        assert made.ended, "it hung up, or gave up"


async def vnum_call(*arguments: str) -> tuple[int | None, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VNUM_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vnum.cli", "call", *arguments),
        cwd=ROOT,
        env=environment | {"COLUMNS": "100"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_vnum_call_draws_the_call() -> None:
    async with asyncio.timeout(WAIT_S), Answerer() as answerer:
        code, said = await vnum_call(LABEL, "--via", f"{LOOPBACK}:{answerer.line.address[1]}", "--talk", "0.5")

    assert code == 0, said
    assert said.startswith("X = 18400913965\n")
    assert "digits ····" in said
    assert "BYE" in said
    assert float(re.findall(r"it heard something for ([\d.]+) s", said)[0]) > 0.3
    assert "7576" not in said


async def test_vnum_call_says_what_went_wrong() -> None:
    async with asyncio.timeout(WAIT_S), Answerer(final=486) as answerer:
        code, said = await vnum_call(LABEL, "--via", f"{LOOPBACK}:{answerer.line.address[1]}")

    assert code == 1
    assert "486 Busy Here" in said
    assert "the call ended before it was answered: 486" in said


async def test_vnum_call_says_that_nobody_is_there() -> None:
    at = f"{LOOPBACK}:{free_port(socket.SOCK_DGRAM)}"
    code, said = await vnum_call(LABEL, "--via", at, "--patience", "0.3")

    assert code == 1
    assert f"nothing at all came from {at}; does the switch run, and listen there?" in said


ANSWERS = [
    ((), (), ["it rings and shows 13900000001", "answered", "the other side hung up after", "it had heard something"]),
    (("--talk", "0.3"), ("--talk", "9"), ["answered", "this side hung up after 0.3 s"]),
    (("--refuse", "486"), (), ["it rings and shows 13900000001", "refused with 486"]),
    (("--refuse", "603"), (), ["refused with 603"]),
]


@pytest.mark.parametrize(("answering", "calling", "told"), ANSWERS)
async def test_vnum_answer_tells_each_call(
    answering: tuple[str, ...], calling: tuple[str, ...], told: list[str]
) -> None:
    at = f"{LOOPBACK}:{free_port(socket.SOCK_DGRAM)}"
    words = [*VNUM, "answer", "--listen", at, "--ring", "0.1", *answering]
    program = Program(words, {"PYTHONPATH": str(ROOT)}, "leads here")
    await program.start()
    try:
        _, said = await vnum_call(HOST, "--via", at, "--caller", "13900000001", "--talk", "0.5", *calling)
    finally:
        await program.stop()

    lines = [line for line in program.said if line.startswith("call 1: ")]
    assert len(lines) == (2 if "--refuse" in answering else 3)
    places = ["\n".join(lines).find(words) for words in told]
    assert -1 not in places, program.said
    assert places == sorted(places)
    if not answering:
        assert float(re.findall(r"tone of `vnum answer` for ([\d.]+) s", said)[0]) > 0.2


@pytest.mark.parametrize("listen", ["0.0.0.0:5080", "here", "127.0.0.1:99999", "203.0.113.5:5080"])
def test_vnum_answer_names_an_address_that_it_can_not_use(listen: str) -> None:
    ran = CliRunner().invoke(answer, ["--listen", listen])

    assert ran.exit_code != 0
    assert "--listen" in ran.output


@pytest.mark.parametrize(
    "arguments",
    [("13",), (LABEL, "--via", "switch.example"), (LABEL, "--via", "127.0.0.1:sip"), (LABEL, "--talk", "-1")],
)
def test_vnum_call_refuses_what_it_can_not_use(arguments: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(call, arguments)

    assert ran.exit_code == 2
    assert "Error: Invalid value" in ran.output
