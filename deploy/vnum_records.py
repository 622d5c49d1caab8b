#!/usr/bin/env python3
"""Brings the records of calls from Asterisk or Kamailio to vnum. For Python 3.11 and newer; needs nothing besides.

    vnum_records.py post [SETTINGS]   posts each record and mark until vnum has taken it; goes on for ever
    vnum_records.py cut [SETTINGS]    before the switch starts: ends, in the file, the calls that a crash cut off

SETTINGS = vnum_settings.conf of Asterisk, vnum_settings.cfg of Kamailio. In VNUM_RECORDS there is a line of each answer
and of each end, and of what a recipient keyed in after it. Asterisk appends them itself; Kamailio, which can not, makes
a file of each in VNUM_SPOOL, and they are gathered from there. Beside VNUM_RECORDS, `.posted` says how far its records
were taken, and `.marked` its marks: none waits for the other. What is posted twice is charged once.
"""

import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

COLUMNS = (
    "call_id", "host", "extension", "caller", "call_time", "ring_time", "answer_time", "release_time",
    "release_dir", "release_cause",
)  # fmt: skip
WHOLE = ("release_dir", "release_cause")
MARK_CELLS = {"call_id": 0, "mark": 9, "at": 7}
CALLS, MARKS = "posted", "marked"
MOST = 100
TIMEOUT_S = 15
LOOK_S = 0.2
LONGEST_WAIT_S = 30.0
LATELY_S = 2 * 86_400
AGAIN = ("store_unavailable", "overloaded")
PASSING = (401, 403, 405, 408, 429)
PLATFORM, OUT_OF_ORDER = "0", "27"
SETTING = r'^(?:#!define )?(VNUM_\w+)[ \t=>]+"?([^\s"]+)'
UNIX_TIME = re.compile(r"[0-9]{9,11}\.[0-9]{6}")


class Settings:
    def __init__(self, file):
        told = dict(re.findall(SETTING, file.read_text(), re.MULTILINE))
        self.api = told["VNUM_API"].rstrip("/")
        self.key_file = Path(told["VNUM_KEY_FILE"])
        self.records = Path(told["VNUM_RECORDS"])
        self.alive = Path(told["VNUM_ALIVE"])
        self.spool = Path(told["VNUM_SPOOL"]) if "VNUM_SPOOL" in told else None
        self.marks = "VNUM_MARK_SECONDS" in told

    def place_of(self, way):
        return self.records.with_name(f"{self.records.name}.{way}")


def post(settings):
    say(f"posting {settings.records}")
    if settings.marks:
        threading.excepthook = give_up
        threading.Thread(target=bring, args=(settings, MARKS), daemon=True).start()
    bring(settings, CALLS)


def give_up(trouble):
    """A way that ended takes the program with it: it is begun anew."""
    say(f"ends: {trouble.exc_type.__name__}")
    os._exit(1)


def bring(settings, way):
    """A file that was moved aside (logrotate) is taken to its end before the new one is begun."""
    item_of, taken = WAYS[way]
    wait = 0.0
    while True:
        gather(settings)
        file, offset = place(settings, way)
        items, end = read(file, offset, item_of) if file else ([], 0)
        if end == offset and file is not None and file != settings.records and settings.records.exists():
            keep(settings, way, settings.records, 0)
            continue
        if not items or taken(settings, items):
            wait = 0.0
            if file and end > offset:
                keep(settings, way, file, end)
            elif end == offset:
                time.sleep(LOOK_S)
            continue
        wait = min(LONGEST_WAIT_S, max(1.0, wait * 2))
        time.sleep(wait)


def gather(settings):
    """Moves what the switch left in its spool, a file of one line each, to the end of the file of records.

    `post` and `cut` may do so at the same time: then a line may come twice, and none is lost."""
    lines = {}
    for file in sorted(settings.spool.iterdir()) if settings.spool else ():
        with suppress(FileNotFoundError):
            line = file.read_text(errors="replace")
            if line.endswith("\n"):
                lines[file] = ",".join(map(instant, line[:-1].split(","))) + "\n"
    if lines:
        add(settings.records, "".join(lines.values()))
    for file in lines:
        file.unlink(missing_ok=True)


def instant(cell):
    """Seconds since 1970 with six places as RFC 3339 with three; anything else as it is."""
    if not UNIX_TIME.fullmatch(cell):
        return cell
    return rfc3339(datetime.fromtimestamp(int(cell[:-7]), UTC).replace(microsecond=int(cell[-6:])))


def rfc3339(at):
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def place(settings, way):
    """The file that is being taken and how far it was; None = there is none yet."""
    try:
        inode, offset = map(int, settings.place_of(way).read_text().split())
    except (OSError, ValueError):
        inode, offset = 0, 0
    for file in [settings.records, *settings.records.parent.glob(settings.records.name + "[.-]*")]:
        if file.exists() and file.stat().st_ino == inode:
            return file, (offset if file.stat().st_size >= offset else 0)
    return (settings.records, 0) if settings.records.exists() else (None, 0)


def keep(settings, way, file, offset):
    kept = settings.place_of(way)
    aside = kept.with_name(kept.name + ".new")
    aside.write_text(f"{file.stat().st_ino} {offset}\n")
    aside.replace(kept)


def read(file, offset, item_of):
    """What the next whole lines tell, and where these end."""
    items = []
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if not line.endswith(b"\n") or len(items) == MOST:
                break
            offset += len(line)
            item = item_of(line)
            if item:
                items.append(item)
    return items, offset


def record_of(line):
    """What an `ended` line says, as the API wants it; None of any other."""
    kind, *cells = line.decode(errors="replace").strip().split(",")
    if kind != "ended" or len(cells) != len(COLUMNS):
        return None
    told = {name: cell for name, cell in zip(COLUMNS, cells, strict=True) if cell}
    return {name: int(cell) if name in WHOLE else cell for name, cell in told.items()}


def mark_of(line):
    """What a `marked` line says, as the API wants it; None of any other."""
    kind, *cells = line.decode(errors="replace").strip().split(",")
    if kind != "marked" or len(cells) != len(COLUMNS):
        return None
    return {name: cells[place] for name, place in MARK_CELLS.items()}


def taken(settings, records):
    """Whether vnum has taken them all: charged, known, or put aside for review."""
    try:
        answer = asked(settings, "/v1/calls/records", {"items": records})
        results = answer["results"]
        again = [one for one in results if one.get("code") in AGAIN]
        if again or len(results) != len(records):
            say(f"{len(again) or len(records)} records not taken: again soon")
            return False
    except urllib.error.HTTPError as refused:
        say(f"records not taken: status {refused.code}")
        return False
    except (OSError, ValueError, LookupError, TypeError) as trouble:
        say(f"records not taken: {type(trouble).__name__}")
        return False
    for one in results:
        if one["status"] not in ("rated", "duplicate"):
            say(f"{one['call_id']}: {one['status']} {one.get('code', '')}; see vnum records reviews")
    return True


def all_noted(settings, marks):
    return all(noted(settings, mark) for mark in marks)


def noted(settings, mark):
    """Whether vnum has taken the mark, or refused it for good."""
    try:
        asked(settings, "/v1/calls/marks", mark)
    except urllib.error.HTTPError as refused:
        code = code_of(refused)
        if 400 <= refused.code < 500 and refused.code not in PASSING and code not in (None, "not_found"):
            say(f"{mark['call_id']}: mark refused {code}")
            return True
        say(f"mark not taken: status {refused.code}")
        return False
    except (OSError, ValueError) as trouble:
        say(f"mark not taken: {type(trouble).__name__}")
        return False
    return True


def code_of(refused):
    """Of vnum's own refusals; None = it is somebody else's."""
    try:
        return json.load(refused)["code"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def asked(settings, path, body):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {settings.key_file.read_text().strip()}"}
    request = urllib.request.Request(f"{settings.api}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def cut(settings):
    """Ends each answered call that has no end, at the last sign of life: nobody pays for more than he talked."""
    gather(settings)
    answered, ended = {}, set()
    for file in [*rotated_lately(settings), settings.records]:
        for kind, cells in lines_of(file):
            if kind == "answered":
                answered[cells[0]] = cells
            else:
                ended.add(cells[0])
    alive = settings.alive.stat().st_mtime if settings.alive.exists() else 0.0
    last = rfc3339(datetime.fromtimestamp(alive, UTC))
    running = [cells for call_id, cells in answered.items() if call_id not in ended]
    ends = [["ended", *cells[:7], max(last, cells[6]), PLATFORM, OUT_OF_ORDER] for cells in running]
    add(settings.records, "".join(",".join(end) + "\n" for end in ends))
    say(f"{len(ends)} calls were cut off")


def rotated_lately(settings):
    """Files that were moved aside while calls may have been running which are not over."""
    found = [(file.stat().st_mtime, file) for file in settings.records.parent.glob(settings.records.name + "[.-]*")]
    return [
        file
        for at, file in sorted(found)
        if at > time.time() - LATELY_S and not file.name.endswith((".gz", ".posted", ".marked"))
    ]


def lines_of(file):
    """Kind and cells of each whole line."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            kind, *cells = line.decode(errors="replace").strip().split(",")
            if kind in ("answered", "ended") and len(cells) == len(COLUMNS):
                yield kind, cells


def add(file, text):
    """To the file; if there is none it is made, for its folder's owner only. A torn last line is ended first."""
    with file.open("ab+") as appended:
        if os.geteuid() == 0:
            folder = file.parent.stat()
            os.fchown(appended.fileno(), folder.st_uid, folder.st_gid)
        if appended.tell():
            appended.seek(-1, os.SEEK_END)
            text = text if appended.read(1) == b"\n" else "\n" + text
        appended.write(text.encode())
        appended.flush()
        os.fsync(appended.fileno())


WAYS = {CALLS: (record_of, taken), MARKS: (mark_of, all_noted)}


def say(line):
    print(line, flush=True)


def main():
    os.umask(0o077)
    commands = {"post": post, "cut": cut}
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in commands:
        sys.exit(__doc__)
    file = Path(sys.argv[2]) if len(sys.argv) == 3 else Path("/etc/asterisk/vnum_settings.conf")
    commands[sys.argv[1]](Settings(file))


if __name__ == "__main__":
    main()
