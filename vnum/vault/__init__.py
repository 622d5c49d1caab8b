"""Phones at rest: authenticated ciphertext plus keyed hash, under a key id."""

from vnum.vault.keys import KeyFileError, MasterKey, open_key_file
from vnum.vault.vault import SealBroken, Vault

__all__ = ["KeyFileError", "MasterKey", "SealBroken", "Vault", "open_key_file"]
