"""Rows in order, however many: sorted runs on disk, merged.

Not an embedded database: rows are only ever written once and read in order, and text sorts by code points, as bills do.

A run is a file of blocks; a block is its length (4 bytes, big endian) and that many bytes of MessagePack, which hold up
to BLOCK_ROWS rows. Memory: RUN_ROWS rows while they are added, FAN_IN x BLOCK_ROWS while they are merged.
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

T = TypeVar("T", bound="tuple[object, ...]")

RUN_ROWS: Final = 50_000
BLOCK_ROWS: Final = 500
FAN_IN: Final = 64


class Sorter(Generic[T]):
    """Takes tuples in any order and gives them back in their own; all of one type, which `decoder` reads in lists."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[list[T]]", folder: Path) -> None:
        self._decoder = decoder
        self._folder = folder
        self._held: list[T] = []
        self._runs: list[Path] = []
        self._files = 0
        self.count = 0

    def add(self, row: T) -> None:
        """Take one more."""
        self._held.append(row)
        self.count += 1
        if len(self._held) >= RUN_ROWS:
            self._spill()

    def rows(self) -> Iterator[T]:
        """All rows in order. Can be asked for several times, at once as well; nothing is added afterwards."""
        if not self._runs:
            self._held.sort()
            return iter(self._held)
        if self._held:
            self._spill()
        while len(self._runs) > 1:
            groups = [self._runs[n : n + FAN_IN] for n in range(0, len(self._runs), FAN_IN)]
            self._runs = [self._merge(group) for group in groups]
        return self._read(self._runs[0])

    def _spill(self) -> None:
        self._held.sort()
        self._runs.append(self._write(self._held))
        self._held = []

    def _merge(self, runs: list[Path]) -> Path:
        merged = self._write(heapq.merge(*map(self._read, runs)))
        for run in runs:
            run.unlink()
        return merged

    def _write(self, rows: Iterable[T]) -> Path:
        self._files += 1
        path = self._folder / f"{id(self):x}-{self._files}.run"
        encode, left = msgspec.msgpack.Encoder().encode, iter(rows)
        with path.open("wb") as file:
            while block := list(islice(left, BLOCK_ROWS)):
                packed = encode(block)
                file.write(len(packed).to_bytes(4, "big"))
                file.write(packed)
        return path

    def _read(self, run: Path) -> Iterator[T]:
        with run.open("rb") as file:
            while length := file.read(4):
                yield from self._decoder.decode(file.read(int.from_bytes(length, "big")))
