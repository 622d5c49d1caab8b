"""Cells: the unit by which vnum grows past one machine. Everything that belongs together lives in one."""

from hashlib import sha256

MAX_CELLS = 4096
"""A binding id carries its cell in 12 bits."""


def cell_of(cells: int, *parts: str) -> int:
    """The cell of what `parts` name: (merchant_id, order_id), (carrier, waybill_no) or (call_id,).

    H mod cells, where H is the first 8 bytes, big-endian, of SHA-256 over the UTF-8 parts, each
    preceded by its length as 4 bytes. Other systems compute the same, so this never changes.
    """
    if cells == 1:
        return 0
    digest = sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return int.from_bytes(digest.digest()[:8], "big") % cells


def cell_of_hash(cells: int, fingerprint: bytes) -> int:
    """The cell of what a keyed hash names: it is spread evenly as it is."""
    return int.from_bytes(fingerprint[:8], "big") % cells
