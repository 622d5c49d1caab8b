"""A sample of parcels and calls that the project makes itself: seeded, with the hours at which such things happen."""

import csv
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random

SEED = 20_220_901
CITIES = {"Hangzhou": 9, "Shanghai": 8, "Chongqing": 6, "Yantai": 4, "Jilin": 2}
"""Cities with their share of the parcels."""

PARCEL_HOURS = (0, 0, 0, 0, 0, 0, 1, 4, 9, 11, 10, 8, 6, 7, 9, 10, 9, 8, 6, 4, 3, 2, 1, 0)
CALL_HOURS = (0, 0, 0, 0, 0, 0, 0, 1, 5, 10, 12, 11, 7, 8, 10, 11, 10, 8, 6, 5, 4, 3, 1, 0)
"""Weights of the hours of a day: parcels are accepted and calls made when people work."""

DAYS = 6
ANSWERED = 0.88
FIRST = datetime(2022, 9, 1)  # noqa: DTZ001 - wall time, as the files have it


def write_sample(folder: Path, *, parcels: int = 400, calls: int = 2_000, seed: int = SEED) -> tuple[Path, Path]:
    """Writes parcels.csv and calls.csv; the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(seed)
    return (
        _write(
            folder / "parcels.csv",
            "order_id,city,region_id,courier_id,accepted_at,picked_up_at",
            _parcels(random, parcels),
        ),
        _write(
            folder / "calls.csv",
            "call_id,called_at,outcome,wait_seconds,answered_at,talk_seconds,agent",
            _calls(random, calls),
        ),
    )


def _parcels(random: Random, count: int) -> Iterator[list[object]]:
    accepted = sorted(_moment(random, PARCEL_HOURS).replace(second=0) for _ in range(count))
    for n, instant in enumerate(accepted):
        city = random.choices(list(CITIES), list(CITIES.values()))[0]
        picked_up = instant + timedelta(minutes=random.randint(20, 600))
        yield [f"S{_digits(random)}{n:04d}", city, random.randint(1, 3), random.randint(1, 40), instant, picked_up]


def _calls(random: Random, count: int) -> Iterator[list[object]]:
    called = sorted(_moment(random, CALL_HOURS) for _ in range(count))
    for n, instant in enumerate(called):
        wait = min(int(random.expovariate(1 / 18)), 300)
        if random.random() >= ANSWERED:
            yield [f"C{n:06d}", instant.isoformat(), "abandoned", wait, "", 0, ""]
            continue
        # Talks are log-normal, as call centres have found: half are over in some two minutes, few are long.
        talk = min(int(random.lognormvariate(4.7, 1.0)), 7_200)
        answered = instant + timedelta(seconds=wait)
        agent = f"agent{random.randint(1, 12):02d}"
        yield [f"C{n:06d}", instant.isoformat(), "answered", wait, answered.isoformat(), talk, agent]


def _digits(random: Random) -> str:
    """Order ids do not count up in one's face."""
    return f"{random.randrange(10**5):05d}"


def _moment(random: Random, hours: tuple[int, ...]) -> datetime:
    hour = random.choices(range(24), cum_weights=list(accumulate(hours)))[0]
    return FIRST + timedelta(days=random.randrange(DAYS), hours=hour, seconds=random.randrange(3600))


def _write(path: Path, header: str, rows: Iterator[list[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path
