"""Phones at rest: authenticated ciphertext plus keyed hash, under data keys that a master key wraps."""

from vnum.vault.command import CommandMaster
from vnum.vault.data_keys import DataKey, KeySource, Purpose, context_of, month_of
from vnum.vault.keys import KeyFileError, MasterKey, make_key_file, open_key_file, parse_key
from vnum.vault.master import KeyPlace, LocalMaster, Master, id_of, open_master
from vnum.vault.tokens import Tokens
from vnum.vault.vault import KeyGone, SealBroken, Vault

__all__ = [
    "CommandMaster",
    "DataKey",
    "KeyFileError",
    "KeyGone",
    "KeyPlace",
    "KeySource",
    "LocalMaster",
    "Master",
    "MasterKey",
    "Purpose",
    "SealBroken",
    "Tokens",
    "Vault",
    "context_of",
    "id_of",
    "make_key_file",
    "month_of",
    "open_key_file",
    "open_master",
    "parse_key",
]
