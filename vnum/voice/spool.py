"""Records and marks on disk before they are posted, and the calls that a killed switch left behind.

A file a call, sealed, since it names who rang: written when the recipient's phone is to ring, again when he answers
(on disk before anybody hears anybody), again at the end. Beside them a heartbeat: after a kill the next switch takes
the last one as the end of every call that was answered and has none. A mark has a file of its own.
"""

import fcntl
import hashlib
import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vnum.voice.causes import OUT_OF_ORDER
from vnum.voice.contract import Mark, Record

T = TypeVar("T")

REFUSED: Final = "refused"
HEARTBEAT: Final = "heartbeat"


_NONCE: Final = 12
_KEY_BYTES: Final = 32
_INSTANT: Final = 32
"""Bytes of a heartbeat, filled up with blanks: rewritten in place, so never half."""


class SpoolTrouble(Exception):
    """The spool can not be used; names the file or folder and what to do."""


class Kind(StrEnum):
    """What a file holds; values are ends of names."""

    RECORD = "call"
    MARK = "mark"


class Stage(StrEnum):
    INTENDED = "intended"
    ANSWERED = "answered"
    ENDED = "ended"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    stage: Stage
    record: Record


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier switch left: records and marks to post, how many of the records were cut off by its death while
    they were answered, and how many files can not be opened."""

    records: list[Record]
    marks: list[Mark]
    recovered: int
    unreadable: int


class Spool:
    """One folder, of one switch at a time. Its methods block; call those that sync in a thread."""

    def __init__(self, folder: Path, key: bytes, lock: int) -> None:
        self._folder = folder
        self._cipher = AESGCM(key)
        self._lock = lock
        self._beat: int | None = None

    def write(self, stage: Stage, record: Record, *, sync: bool) -> None:
        """The call's file, whole or as before. Raises SpoolTrouble."""
        held = msgspec.json.encode(Held(stage=stage, record=record))
        self._write(self._file(record.call_id, Kind.RECORD), held, sync=sync)

    def write_mark(self, mark: Mark) -> None:
        """Safe on disk when it returns. Raises SpoolTrouble."""
        self._write(self._file(mark.call_id, Kind.MARK), msgspec.json.encode(mark), sync=True)

    def _write(self, file: Path, text: bytes, *, sync: bool) -> None:
        nonce = os.urandom(_NONCE)
        draft = file.with_name(f"{file.name}.part")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, nonce + self._cipher.encrypt(nonce, text, file.stem.encode()))
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            draft.replace(file)
            if sync:
                _sync_folder(self._folder)
        except OSError as trouble:
            raise SpoolTrouble(f"{self._folder}: {trouble.strerror}") from trouble

    def remove(self, call_id: str, kind: Kind = Kind.RECORD) -> None:
        """vnum has settled it. Raises SpoolTrouble."""
        try:
            self._file(call_id, kind).unlink(missing_ok=True)
        except OSError as trouble:
            raise SpoolTrouble(f"{self._folder}: {trouble.strerror}") from trouble

    def refuse(self, call_id: str, kind: Kind = Kind.RECORD) -> None:
        """vnum will not take it: kept aside for people. Raises SpoolTrouble."""
        self._put_aside(self._file(call_id, kind))

    def beat(self, now: datetime) -> None:
        """Raises SpoolTrouble."""
        try:
            if self._beat is None:
                self._beat = os.open(self._folder / HEARTBEAT, os.O_WRONLY | os.O_CREAT, 0o600)
            os.pwrite(self._beat, now.astimezone(UTC).isoformat().encode().ljust(_INSTANT), 0)
        except OSError as trouble:
            raise SpoolTrouble(f"{self._folder}: {trouble.strerror}") from trouble

    def find(self) -> Found:
        """What is left of earlier, calls without an end given one. Before the first `beat` of this switch."""
        last = self._last_beat()
        records: list[Record] = []
        recovered = unreadable = 0
        opened = [(file, self._open(file, Held)) for file in _files(self._folder, Kind.RECORD)]
        marked = [(file, self._open(file, Mark)) for file in _files(self._folder, Kind.MARK)]
        for file, found in (*opened, *marked):
            if found is None:
                unreadable += 1
                self._put_aside(file)
        for held in (held for _, held in opened if held is not None):
            recovered += held.stage is Stage.ANSWERED
            ended = held.record if held.stage is Stage.ENDED else _cut_off(held.record, last)
            self.write(Stage.ENDED, ended, sync=True)
            records.append(ended)
        marks = [mark for _, mark in marked if mark is not None]
        return Found(records=records, marks=marks, recovered=recovered, unreadable=unreadable)

    def close(self) -> None:
        if self._beat is not None:
            os.close(self._beat)
        os.close(self._lock)

    def _open(self, file: Path, kind: type[T]) -> T | None:
        try:
            sealed = file.read_bytes()
            text = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], file.stem.encode())
            return msgspec.json.decode(text, type=kind)
        except (OSError, InvalidTag, ValueError, msgspec.DecodeError):
            return None

    def _put_aside(self, file: Path) -> None:
        try:
            if file.exists():
                (self._folder / REFUSED).mkdir(mode=0o700, exist_ok=True)
                file.replace(self._folder / REFUSED / file.name)
        except OSError as trouble:
            raise SpoolTrouble(f"{self._folder / REFUSED}: {trouble.strerror}") from trouble

    def _last_beat(self) -> datetime | None:
        try:
            return datetime.fromisoformat((self._folder / HEARTBEAT).read_text("ascii").strip())
        except (OSError, ValueError):
            return None

    def _file(self, call_id: str, kind: Kind) -> Path:
        """A call's id may be any text of 256 characters; a file's name may not."""
        return self._folder / f"{hashlib.sha256(call_id.encode()).hexdigest()[:32]}.{kind}"


def open_spool(folder: Path) -> Spool:
    """Makes folder and key (`<folder>.key`, mode 0600) if there are none. Raises SpoolTrouble."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as trouble:
        raise SpoolTrouble(f"VNUM_SWITCH_SPOOL: {folder} can not be used: {trouble.strerror}") from trouble
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SpoolTrouble(
            f"VNUM_SWITCH_SPOOL: another switch uses {folder}; stop it, or give this one a folder of its own"
        ) from None
    try:
        return Spool(folder, _key(folder), lock)
    except SpoolTrouble:
        os.close(lock)
        raise


def _key(folder: Path) -> bytes:
    file = folder.with_name(f"{folder.name}.key")
    try:
        if not file.exists():
            _make_key(folder, file)
        key = file.read_bytes()
    except OSError as trouble:
        raise SpoolTrouble(f"VNUM_SWITCH_SPOOL: {file} can not be used: {trouble.strerror}") from trouble
    if len(key) != _KEY_BYTES:
        raise SpoolTrouble(f"VNUM_SWITCH_SPOOL: {file} is no key of {_KEY_BYTES} bytes; put the right one back")
    return key


def _make_key(folder: Path, file: Path) -> None:
    if any(_files(folder, kind) for kind in Kind):
        raise SpoolTrouble(
            f"VNUM_SWITCH_SPOOL: {folder} holds records, and {file}, which opens them, is gone; put it back, or move "
            "the records away"
        )
    draft = file.with_name(f"{file.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, AESGCM.generate_key(_KEY_BYTES * 8))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(file)
    _sync_folder(file.parent)


def _files(folder: Path, kind: Kind) -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cut_off(record: Record, last: datetime | None) -> Record:
    """A call whose end nobody saw, ended by the last sign of life: charged for no longer than it surely was."""
    known = record.answer_time or record.call_time
    return msgspec.structs.replace(
        record, release_time=max(known, last or known), release_dir=0, release_cause=OUT_OF_ORDER
    )
