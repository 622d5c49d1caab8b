"""Price models, one a file, in a closed union; each rating returns its working.

A rental price counts the days that a binding starts, a call price the time that was talked. A model that is added
here has to be named in the unions below; `assert_never` then shows where it has to be dealt with.
"""

from typing import TypeAlias

from billing.prices.calendar_day import CalendarDay
from billing.prices.increments import Increments
from billing.prices.started_day import StartedDay

RentalPrice: TypeAlias = StartedDay | CalendarDay
CallPrice: TypeAlias = Increments

__all__ = ["CalendarDay", "CallPrice", "Increments", "RentalPrice", "StartedDay"]
