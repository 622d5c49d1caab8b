"""What a recipient may say of a call by a key, once its caller has hung up."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from vnum.voice.contract import Said
from vnum.voice.line import Gone, Leg

KEYS: Final[Mapping[str, Said]] = {"1": "complaint", "2": "wrong_person"}
ASKS: Final = "mark"
CONFIRMS: Final = "marked"


async def ask_for_mark(callee: Leg, within_s: float) -> Said | None:
    """One key, over the prompt or so long after it; None = another key, or none. What he keyed in while they talked was
    for somebody else; what he keys in and hangs up at once is meant. Raises nothing."""
    callee.forget_digits()
    try:
        await callee.play(ASKS, until_digit=True)
        key = await callee.digit(within_s)
    except Gone:
        key = callee.unread_digit()
    return None if key is None else KEYS.get(key)


async def confirm(callee: Leg) -> None:
    """Raises nothing: who hung up needs to hear nothing."""
    with suppress(Gone):
        await callee.play(CONFIRMS)
