"""Retention: what is kept until when, and what is gone since when."""

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import ADMINS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.service.retention import Month, Retained


class Retentions:
    def __init__(self, engine: Engine) -> None:
        self._retention = engine.retention

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("GET", "/v1/retention", ADMINS, self.show, Nothing)]

    @answers(Retained)
    async def show(self, call: Call, asked: Nothing) -> Answer:
        """The terms in days, and for each month (UTC) until when callers, phones and rows are kept at the latest, and
        when they were deleted."""
        retained = await self._retention.shown()
        return json_answer(
            200, shown_as(Retained, retained, months=[shown_as(Month, month) for month in retained.months])
        )
