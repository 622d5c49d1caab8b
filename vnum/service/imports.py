"""Call records out of carriers' files: read in batches, and reported as a switch would report them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from vnum.carrier import CallFile, CarrierCall, Row
from vnum.model.refusals import Code
from vnum.service.call_record import CallRecord
from vnum.service.records import Records, Reported, Status

BATCH = 1_000
TURN = 100
"""Rows that are worked on in one go, a few milliseconds: who shares the process has his turn in between."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a file and what became of it."""

    row: Row
    reported: Reported


async def batches(file: CallFile, pieces: AsyncIterator[bytes]) -> AsyncIterator[list[Row]]:
    """The rows of a file, up to 1,000 at a time. Raises UnusableFile."""
    batch: list[Row] = []
    async for piece in pieces:
        for row in file.feed(piece):
            batch.append(row)
            if len(batch) % TURN == 0:
                await asyncio.sleep(0)
            if len(batch) == BATCH:
                yield batch
                batch = []
    batch.extend(file.end())
    if batch:
        yield batch


async def import_calls(
    records: Records, file: CallFile, pieces: AsyncIterator[bytes]
) -> AsyncGenerator[list[Imported], None]:
    """A result a row, in order; what a batch says is committed. The same file again: all duplicates.

    Raises UnusableFile; what was imported until then stays so.
    """
    async for rows in batches(file, pieces):
        yield await _report(records, rows)


async def _report(records: Records, rows: list[Row]) -> list[Imported]:
    read = [record_of(row) for row in rows]
    reported = iter(await records.report([one for one in read if isinstance(one, CallRecord)]))
    return [
        Imported(row=row, reported=next(reported) if isinstance(one, CallRecord) else one)
        for row, one in zip(rows, read, strict=True)
    ]


def record_of(row: Row) -> CallRecord | Reported:
    """The record to report, or why there is none."""
    if row.call is None:
        return _rejected("", row.reason or "")
    try:
        return msgspec.convert(row.call, CallRecord, from_attributes=True)
    except msgspec.ValidationError as error:
        return _rejected(_short(row.call), str(error))


def _rejected(call_id: str, detail: str) -> Reported:
    return Reported(call_id=call_id, status=Status.REJECTED, code=Code.INVALID_REQUEST, detail=detail)


def _short(call: CarrierCall) -> str:
    return call.call_id[:256]
