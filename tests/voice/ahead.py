"""Any command of vnum, in another time: `ahead.py SECONDS serve`.

All clocks that the command would ask are so many seconds ahead of this machine's; a line on standard input with another
number sets them anew.
"""

import sys
import threading
from datetime import UTC, datetime, timedelta

from vnum.model.clock import settle


class Ahead:
    """In place of PostgreSQL's clock, and of the switch's."""

    by = timedelta(0)

    def __init__(self, *_: object) -> None:
        pass

    def utc(self) -> datetime:
        return datetime.now(UTC) + Ahead.by

    simulated = utc

    async def settle(self, server_now: datetime, highest: datetime | None) -> datetime:
        return settle(server_now, highest)


def follow() -> None:
    for line in sys.stdin:
        Ahead.by = timedelta(seconds=float(line))
        print(f"ahead by {line.strip()}", flush=True)


def main() -> None:
    import vnum.engine

    Ahead.by = timedelta(seconds=float(sys.argv.pop(1)))
    vnum.engine.ServerClock = Ahead  # type: ignore[assignment,misc]
    if sys.argv[1] == "switch":
        import vnum.voice.clock

        vnum.voice.clock.MachineClock.utc = Ahead.utc  # type: ignore[assignment]
    threading.Thread(target=follow, daemon=True).start()
    from vnum.cli import main as command

    command()


if __name__ == "__main__":
    main()
