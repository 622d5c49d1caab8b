"""`make bench`: what vnum does beside the limit of the same machine in the same run.

Each row is a ratio of two rates or times measured in turn (A B A B ...), or a size; medians of several runs. Everything
is written to a JSON file with the machine's description, also what falls short of its aim.
"""

import argparse
import tempfile
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import msgspec
import uvloop
from benches.bindings import bench_bindings
from benches.http import bench_http
from benches.machine import machine
from benches.month import bench_month
from benches.pool import bench_memory, bench_occupancy
from benches.records import bench_records
from benches.rows import Row, show
from benches.start import bench_start

from vnum.cli.session import set_up_logs
from vnum.servers import Endpoints, open_servers

Part = Callable[[Endpoints, Path, float], Awaitable[list[Row]]]


async def _bindings(endpoints: Endpoints, folder: Path, scale: float) -> list[Row]:
    return await bench_bindings(endpoints, folder, int(10_000 * scale))


async def _occupancy(endpoints: Endpoints, folder: Path, scale: float) -> list[Row]:
    return [await bench_occupancy(endpoints, folder, int(4_000 * scale))]


async def _memory(endpoints: Endpoints, folder: Path, scale: float) -> list[Row]:
    return await bench_memory(endpoints, folder, int(1_000_000 * scale))


async def _records(endpoints: Endpoints, folder: Path, scale: float) -> list[Row]:
    return [await bench_records(endpoints, folder, int(40_000 * scale))]


async def _http(endpoints: Endpoints, folder: Path, scale: float) -> list[Row]:
    return await bench_http(endpoints, folder, int(40_000 * scale))


async def _start(_: Endpoints, folder: Path, __: float) -> list[Row]:
    return await bench_start(folder)


PARTS: dict[str, Part] = {
    "bindings": _bindings,
    "occupancy": _occupancy,
    "memory": _memory,
    "records": _records,
    "http": _http,
    "start": _start,
}
MONTH = ("close", "export")
"""Parts that share a month of usage, since it takes long to write."""


async def measure(only: Collection[str], scale: float) -> tuple[list[Row], dict[str, str]]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="vnum-bench-") as name:
        folder = Path(name)
        async with open_servers(folder) as endpoints:
            for part in only:
                if part in PARTS:
                    rows += await PARTS[part](endpoints, folder, scale)
            if set(MONTH) & set(only):
                rows += await bench_month(endpoints, scale, closes="close" in only, exports="export" in only)
            sources = {"postgres": endpoints.postgres_source, "redis": endpoints.redis_source}
    return rows, {server: source.partition(":")[0] for server, source in sources.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--scale", type=float, default=1.0, help="1 = the figures of the README; less = quicker")
    parser.add_argument(
        "--only", action="append", choices=(*PARTS, *MONTH), help="one part; can be given several times"
    )
    arguments = parser.parse_args()
    set_up_logs("warning")
    rows, servers = uvloop.run(measure(arguments.only or (*PARTS, *MONTH), arguments.scale))
    report = {"machine": machine(), "servers": servers, "rows": rows}
    arguments.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    show(rows)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
