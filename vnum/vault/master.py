"""The master key: it wraps data keys and does nothing else. Out of a file, out of the environment, or kept by a KMS."""

from os import urandom
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from vnum.vault.command import COMMAND_ID, CommandMaster
from vnum.vault.data_keys import KEY_BYTES
from vnum.vault.keys import MasterKey, derive, open_key_file, parse_key

VARIABLE = "VNUM_MASTER_KEY"
_NONCE = 12


class Master(Protocol):
    """What wraps and unwraps. `master_id` tells one master key from another (0 = of a command: it knows itself which);
    `place` names it for people."""

    master_id: int
    place: str

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """A data key (32 bytes) as it may lie in the database. Raises KeyFileError."""

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes | None:
        """None = wrapped by another master key, or for another context. Raises KeyFileError."""


class LocalMaster:
    """A master key in this process: AES-256-GCM-SIV under a key derived from it."""

    def __init__(self, key: MasterKey, place: str) -> None:
        self.master_id = key.key_id
        self.place = place
        self.key = key
        self._seal = AESGCMSIV(derive(key, b"wrap"))

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = urandom(_NONCE)
        return nonce + self._seal.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes | None:
        try:
            key = self._seal.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except (InvalidTag, ValueError):
            return None
        return key if len(key) == KEY_BYTES else None


class KeyPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the master key comes from: `text` (`<id>:<hex>`), else `command`, else `file`."""

    file: Path
    text: str | None = None
    command: str | None = None

    def __repr__(self) -> str:
        return f"KeyPlace({self.named})"

    @property
    def is_file(self) -> bool:
        return self.text is None and self.command is None

    @property
    def named(self) -> str:
        if self.text is not None:
            return VARIABLE
        return f"the command of {VARIABLE}_COMMAND" if self.command is not None else str(self.file)


def open_master(place: KeyPlace, *, may_make: bool) -> Master:
    """`may_make` = a file that is missing is made. Raises KeyFileError."""
    if place.text is not None:
        return LocalMaster(parse_key(place.text, place.named), place.named)
    if place.command is not None:
        return CommandMaster(place.command, place.named)
    return LocalMaster(open_key_file(place.file, may_make=may_make), place.named)


def id_of(master: Master) -> str:
    """For people."""
    return "kept by a command" if master.master_id == COMMAND_ID else f"key id {master.master_id}"
