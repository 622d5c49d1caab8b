"""Writes docs/openapi.json out of the code. A test holds the file against it.

python scripts/openapi_json.py
"""

from pathlib import Path
from unittest.mock import MagicMock

import msgspec

from vnum.api.app import endpoints
from vnum.api.openapi import describe

FILE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def text() -> str:
    document = msgspec.json.encode(describe(endpoints(MagicMock())))
    return msgspec.json.format(document, indent=1).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE} written")
