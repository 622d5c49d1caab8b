"""What may stand in the fields that callers send, whichever request they are of. No control characters anywhere."""

from datetime import datetime
from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Text = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
CallId = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]

PhoneText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A phone however it is written; what it is, is said by `vnum.model.phones`."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""With its offset."""
