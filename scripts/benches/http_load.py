"""A load generator in a process of its own: `python -m benches.http_load PORT CONNECTIONS FILE`.

Sends the requests of FILE (MessagePack, whole HTTP/1.1 requests as bytes) by as many connections, each the next one as
soon as its answer is there, and prints what came of it as JSON (`Load`). It does next to nothing else, so that it
needs less of its core than what it measures.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"\r\nContent-Length: "


class Load(msgspec.Struct, kw_only=True):
    """`cpu_s` = of the generator; latencies in milliseconds; statuses -> how many."""

    requests: int
    seconds: float
    cpu_s: float
    p50: float
    p99: float
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def busy(self) -> float:
        """Share of a core that the generator used."""
        return self.cpu_s / self.seconds


class Sender(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float], statuses: Counter[bytes]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._statuses = statuses
        self._waiting_for = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._waiting_for:
            data = self._waiting_for + data
        head = data.find(END_OF_HEAD)
        if head >= 0:
            at = data.index(LENGTH, 0, head + 2) + len(LENGTH)
            whole = head + 4 + int(data[at : data.index(b"\r", at)])
            if len(data) == whole:
                self._latencies.append(time.perf_counter() - self._sent_at)
                self._statuses[data[9:12]] += 1
                self._waiting_for = b""
                self.next()
                return
        self._waiting_for = data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def main(port: int, connections: int, requests: Sequence[bytes]) -> Load:
    latencies: list[float] = []
    statuses: Counter[bytes] = Counter()
    rest = iter(requests)
    loop = asyncio.get_running_loop()
    senders = [
        (await loop.create_connection(lambda: Sender(rest, latencies, statuses), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    started, cpu = time.perf_counter(), time.process_time()
    for sender in senders:
        sender.next()
    await asyncio.gather(*(sender.done for sender in senders))
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    latencies.sort()
    return Load(
        requests=len(requests),
        seconds=seconds,
        cpu_s=cpu_s,
        p50=latencies[len(latencies) // 2] * 1e3,
        p99=latencies[len(latencies) * 99 // 100] * 1e3,
        statuses={status.decode(): count for status, count in statuses.items()},
    )


if __name__ == "__main__":
    whole = msgspec.msgpack.decode(Path(sys.argv[3]).read_bytes(), type=list[bytes])
    found = uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), whole))
    sys.stdout.buffer.write(msgspec.json.encode(found))
