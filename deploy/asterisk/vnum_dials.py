#!/usr/bin/env python3
"""Click to dial: orders from vnum become calls of Asterisk. For Python 3.11 and newer; needs nothing besides.

    vnum_dials.py [SETTINGS]   goes on for ever

SETTINGS = vnum_settings.conf. Each order becomes a call file in Asterisk's spool; when the agent answers, the dialplan
(vnum-ordered) asks vnum and goes on as with any call. How far the calls are it writes into VNUM_STATES, a line a state,
which this program posts: best effort, what vnum does not take is let go.
"""

import json
import os
import re
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

MOST = 10
WAIT_S = 20
TIMEOUT_S = 15
LOOK_S = 0.2
WRITTEN_S = 0.05
DEAD_S = 5.0
LONGEST_WAIT_S = 30.0
REMEMBERED = 10_000
NUMBER = re.compile(r"\+?[0-9]{3,20}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Settings:
    def __init__(self, file):
        told = dict(re.findall(r"^(VNUM_\w+)[ \t]*=>?[ \t]*(\S*)", file.read_text(), re.MULTILINE))
        self.api = told["VNUM_API"].rstrip("/")
        self.key_file = Path(told["VNUM_KEY_FILE"])
        self.alive = Path(told["VNUM_ALIVE"])
        self.states = Path(told["VNUM_STATES"])
        self.spool = Path(told["VNUM_ASTERISK_SPOOL"])
        self.strip = int(told["VNUM_STRIP"])
        self.prefix = told["VNUM_PREFIX"]


def take(settings):
    """An order is rung once, also if it is given out again; none is taken while Asterisk is away."""
    ordered = {}
    wait = 0.0
    while True:
        if not alive(settings):
            time.sleep(1.0)
            continue
        try:
            dials = asked(settings, "/v1/calls/dials/take", {"most": MOST, "wait_seconds": WAIT_S}, WAIT_S)["dials"]
            for dial in dials:
                if dial["call_id"] not in ordered:
                    ordered[dial["call_id"]] = None
                    ring(settings, dial)
            while len(ordered) > REMEMBERED:
                del ordered[next(iter(ordered))]
            wait = 0.0
        except (OSError, ValueError, LookupError, TypeError) as trouble:
            say(f"no orders: {type(trouble).__name__}")
            wait = min(LONGEST_WAIT_S, max(1.0, wait * 2))
            time.sleep(wait)


def alive(settings):
    """Whether Asterisk runs: what it finds in its spool later would ring an agent who has gone on to something else."""
    return settings.alive.exists() and time.time() - settings.alive.stat().st_mtime < DEAD_S


def ring(settings, dial):
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = call_file(settings, dial, now)
    tell(settings, [{"call_id": dial["call_id"], "state": "ringing_agent", "at": now}])
    try:
        spooled(settings.spool, f"vnum-{dial['call_id']}.call", text)
    except OSError:
        tell(settings, [{"call_id": dial["call_id"], "state": "failed", "at": now}])
        raise


def spooled(spool, name, text):
    """Asterisk takes whatever lies in `outgoing`, so it is written elsewhere first."""
    for folder in ("tmp", "outgoing"):
        (spool / folder).mkdir(exist_ok=True)
    made = spool / "tmp" / name
    made.write_text(text)
    made.rename(spool / "outgoing" / name)


def call_file(settings, dial, now):
    """Raises ValueError for what is no number or id: it would be a line of its own."""
    for name, kind in (
        ("agent", NUMBER),
        ("host", NUMBER),
        ("extension", NUMBER),
        ("display_number", NUMBER),
        ("call_id", NAME),
    ):
        if not kind.fullmatch(dial[name]):
            raise ValueError(name)
    agent = settings.prefix + dial["agent"][settings.strip :]
    lines = [
        f"Channel: PJSIP/{agent}@vnum-out",
        f"CallerID: <{dial['display_number']}>",
        f"WaitTime: {int(dial['max_ring_seconds'])}",
        "MaxRetries: 0",
        "Context: vnum-ordered",
        "Extension: s",
        "Priority: 1",
        f"Setvar: call_id={dial['call_id']}",
        f"Setvar: call_time={now}",
        f"Setvar: caller={dial['agent']}",
        f"Setvar: host={dial['host']}",
        f"Setvar: extension={dial['extension']}",
    ]
    return "\n".join(lines) + "\n"


def follow(settings):
    while True:
        time.sleep(LOOK_S)
        try:
            if items := written(settings.states):
                tell(settings, items)
        except OSError as trouble:
            say(f"states not read: {type(trouble).__name__}")


def written(states):
    """What the dialplan wrote since. The file is moved aside, and read when it is whole."""
    aside = states.with_name(states.name + ".told")
    if not aside.exists():
        if not states.exists():
            return []
        states.rename(aside)
        time.sleep(WRITTEN_S)
    cells = [line.split(",") for line in aside.read_text(errors="replace").splitlines()]
    aside.unlink()
    return [dict(zip(("state", "call_id", "at"), one, strict=True)) for one in cells if len(one) == 3]


def tell(settings, items):
    try:
        asked(settings, "/v1/calls/states", {"items": items}, 0)
    except (OSError, ValueError) as trouble:
        say(f"{len(items)} states not told: {type(trouble).__name__}")


def asked(settings, path, body, longer_s):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {settings.key_file.read_text().strip()}"}
    request = urllib.request.Request(settings.api + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S + longer_s) as answer:
        return json.load(answer)


def say(line):
    print(line, flush=True)


def main():
    os.umask(0o077)
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    settings = Settings(Path(sys.argv[1]) if len(sys.argv) == 2 else Path("/etc/asterisk/vnum_settings.conf"))
    threading.Thread(target=follow, args=(settings,), daemon=True).start()
    say("taking orders")
    take(settings)


if __name__ == "__main__":
    main()
