"""Call files of carriers: what each column means, one vendor a file. Pure: bytes in, calls out, nothing opened here."""

from vnum.carrier.file import CallFile, Form, Row, zone_named
from vnum.carrier.lines import Encoding
from vnum.carrier.rows import BadRow, CarrierCall

__all__ = ["BadRow", "CallFile", "CarrierCall", "Encoding", "Form", "Row", "zone_named"]
