"""Searches bytes for numbers and names that must not be there, in every form that they could have taken."""

import io
import re
import unicodedata
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import msgspec
import pypdfium2

_BETWEEN = re.compile(r"(?<=[0-9])[-\s.()·_/,:;]{1,3}(?=[0-9])")
MOST_DEEP = 3


class Piece(msgspec.Struct, frozen=True):
    """Something that the system wrote, and where."""

    place: str
    content: bytes


class Leak(msgspec.Struct, frozen=True):
    place: str
    secret: str
    form: str


def forms_of(secret: str) -> dict[str, bytes]:
    """A number's digits as they are dialled inside the country ("13812345678", "02112345678"), or a name.

    +86, 0086 and the like stand before them; separators are taken out before the search.
    """
    plain = secret.removeprefix("0").encode() if secret.isdigit() else secret.encode()
    forms = {
        "plain": plain,
        "reversed": plain[::-1],
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "utf-16": plain.decode().encode("utf-16-le"),
        "hex of utf-16": plain.decode().encode("utf-16-le").hex().encode(),
    }
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + plain)
        skipped, cut = (0, 2, 3)[shift], len(encoded) - (0, 3, 2)[(len(plain) + shift) % 3]
        forms[f"base64 ({shift})"] = encoded[skipped : cut - 1]
    if secret.isdigit():
        number = int(plain)
        forms |= {"int64": number.to_bytes(8, "big"), "int64 LE": number.to_bytes(8, "little")}
    else:
        forms |= {
            "escaped": secret.encode("unicode_escape"),
            "in an address": quote(secret).encode(),
            "gb18030": secret.encode("gb18030"),
        }
    return forms


def scan(pieces: Iterable[Piece], secrets: Iterable[str]) -> list[Leak]:
    """Every place where one is found, in which form."""
    wanted = [(secret, form, pattern) for secret in secrets for form, pattern in forms_of(secret).items()]
    leaks: list[Leak] = []
    for piece in pieces:
        for part in unpacked(piece):
            squeezed = _squeezed(part.content)
            for secret, form, pattern in wanted:
                if pattern in part.content or (form in ("plain", "reversed") and pattern in squeezed):
                    leaks.append(Leak(part.place, secret, form))
    return leaks


def _squeezed(content: bytes) -> bytes:
    """Full-width digits as plain ones, and nothing between digits."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", content.decode(errors="replace"))).encode()


def unpacked(piece: Piece, deep: int = 0) -> Iterator[Piece]:
    """The piece itself, and what is packed in it: workbooks and other archives, pages of PDF, deflated streams."""
    yield piece
    if deep == MOST_DEEP:
        return
    content = piece.content
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from unpacked(Piece(f"{piece.place}!{name}", archive.read(name)), deep + 1)
    elif content.startswith(b"%PDF"):
        with pypdfium2.PdfDocument(content) as document:
            for number, page in enumerate(document):
                text = page.get_textpage().get_text_range()
                yield Piece(f"{piece.place}!page {number}", text.encode())
    elif content[:2] in (b"\x1f\x8b", b"x\x9c", b"x\xda", b"x\x01"):
        try:
            yield from unpacked(Piece(f"{piece.place}!deflated", zlib.decompress(content, 47)), deep + 1)
        except zlib.error:
            return
