"""What a phone sent and saw, as events of a picture."""

from vnum.voice.ladder import Event, X, dots
from vnum.voice.softphone.call import Call, Incoming
from vnum.voice.softphone.scripted import Script, Told
from vnum.voice.softphone.sip import Message, user_in


def said(call: Call, here: str, there: str, host: str) -> list[Event]:
    """The SIP messages of one side, for a picture; of phones only whether one is the virtual number."""
    return [
        Event(
            at=message.at,
            source=here if message.sent else there,
            target=there if message.sent else here,
            text=_words(message, host, shown=isinstance(call, Incoming)),
        )
        for message in call.seen
        if message.status != 100
    ]


def keyed(told: Told, script: Script, here: str, there: str, prompt: str = "") -> list[Event]:
    """The voice that was heard (of `prompt`, if that is known), and the digits, as dots."""
    events = []
    if told.voice_at:
        events.append(
            Event(at=told.voice_at, source=there, target=here, text=f"voice: {prompt}" if prompt else "voice")
        )
    if told.keyed_at:
        events.append(
            Event(at=told.keyed_at, source=here, target=there, text="digits " + dots(script.number.extension or ""))
        )
    return events


def _words(message: Message, host: str, *, shown: bool) -> str:
    if message.status:
        return message.first.partition(" ")[2]
    if message.method != "INVITE":
        return message.method
    if ";tag=" in message.get("to"):
        return "INVITE again"
    who = message.get("from") if shown else message.uri
    named = X if user_in(who).removeprefix("+86") == host else "another number"
    return f"INVITE, shows {named}" if shown else f"INVITE {named}"
