"""Number rental, day by day (billing rules 6.2 and 6.3): a started day costs 0.00018, unless a price list says else."""

from collections.abc import Awaitable, Callable

import pytest

from .story import Story

STARTED_DAYS = [
    Story("thirty days in a month of 31, from its first instant on",
          "2026-10-01 00:00 bind o 30",
          """2026-10: 30 x 0.00018 = 0.0054, due 0.01, carry -0.0046
             2026-11: nothing"""),
    Story("thirty days over the end of a month of 31",
          "2026-10-15 12:00 bind o 30",
          """2026-10: 17 x 0.00018 = 0.00306, due 0.00, carry 0.00306
             2026-11: 13 x 0.00018 = 0.00234, due 0.01, carry -0.0046"""),
    Story("thirty days over the end of a month of 30",
          "2026-11-15 12:00 bind o 30",
          """2026-11: 16 x 0.00018 = 0.00288, due 0.00, carry 0.00288
             2026-12: 14 x 0.00018 = 0.00252, due 0.01, carry -0.0046"""),
    Story("thirty days over the end of a February of 28",
          "2027-02-15 12:00 bind o 30",
          """2027-02: 14 x 0.00018 = 0.00252, due 0.00
             2027-03: 16 x 0.00018 = 0.00288, due 0.01, carry -0.0046"""),
    Story("thirty days over a leap day",
          "2028-02-15 12:00 bind o 30",
          """2028-02: 15 x 0.00018 = 0.0027, due 0.00
             2028-03: 15 x 0.00018 = 0.0027, due 0.01, carry -0.0046"""),
    Story("thirty days in three months",
          "2027-01-31 12:00 bind o 30",
          """2027-01: 1 x 0.00018 = 0.00018, due 0.00, carry 0.00018
             2027-02: 28 x 0.00018 = 0.00504, due 0.01, carry -0.00478
             2027-03: 1 x 0.00018 = 0.00018, due 0.00, carry -0.0046"""),
    Story("over the year's end",
          "2026-12-31 12:00 bind o 2",
          """2026-12: 1 x 0.00018 = 0.00018, due 0.00
             2027-01: 1 x 0.00018 = 0.00018, due 0.00, carry 0.00036"""),
    Story("the longest life that can be asked for, 90 days",
          "2026-10-01 00:00 bind o 90",
          """2026-10: 31 x 0.00018 = 0.00558, due 0.01, carry -0.00442
             2026-11: 30 x 0.00018 = 0.0054, due 0.00, carry 0.00098
             2026-12: 29 x 0.00018 = 0.00522, due 0.01, carry -0.0038
             2027-01: nothing"""),
    Story("the shortest, 1 day: 24 hours, not two dates",
          "2026-10-31 12:00 bind o 1",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: nothing"""),
    Story("a month ends at Shanghai's midnight; this was October in UTC",
          """2026-10-05 12:00 merchant m
             2026-11-01 00:30 bind o 1""",
          """2026-10: nothing
             2026-11: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("bound exactly at midnight of the 1st",
          """2026-10-05 12:00 merchant m
             2026-11-01 00:00 bind o 1""",
          """2026-10: nothing
             2026-11: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("bound a microsecond before",
          "2026-10-31 23:59:59.999999 bind o 1",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: nothing"""),
    Story("a day that starts exactly at the month's end is the next month's",
          "2026-10-30 00:00 bind o 3",
          """2026-10: 2 x 0.00018 = 0.00036, due 0.00
             2026-11: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("released at the very instant of binding",
          """2026-10-05 12:00 bind o 30
             2026-10-05 12:00 release o""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released within the first second",
          """2026-10-05 12:00:00 bind o 30
             2026-10-05 12:00:00.5 release o""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released a microsecond before 24 hours",
          """2026-10-05 12:00 bind o 30
             2026-10-06 11:59:59.999999 release o""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released at exactly 24 hours: the second day never starts",
          """2026-10-05 12:00 bind o 30
             2026-10-06 12:00 release o""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released a microsecond after: it does",
          """2026-10-05 12:00 bind o 30
             2026-10-06 12:00:00.000001 release o""",
          "2026-10: 2 x 0.00018 = 0.00036, due 0.00"),
    Story("released twice: the first counts",
          """2026-10-05 12:00 bind o 30
             2026-10-06 12:00 release o
             2026-10-08 12:00 release o""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released in the next month, before its first day starts, after the close",
          """2026-10-20 08:00 bind o 30
             2026-11-01 03:00 close 2026-10
             2026-11-01 07:00 release o""",
          """2026-10: 12 x 0.00018 = 0.00216, due 0.00
             2026-11: nothing"""),
    Story("released and bound again within a day: two bindings, each a day",
          """2026-10-05 09:00 bind o 30
             2026-10-05 10:00 release o
             2026-10-05 11:00 bind o 1
             2026-10-05 12:00 release o""",
          "2026-10: 2 x 0.00018 = 0.00036, due 0.00"),
    Story("asked for again while it lives: the same binding, nothing more",
          """2026-10-05 09:00 bind o 2
             2026-10-05 10:00 bind o 30""",
          "2026-10: 2 x 0.00018 = 0.00036, due 0.00"),
    Story("extended in its last second: eight days, six of them in November",
          """2026-10-30 12:00 bind o 1
             2026-10-31 11:59:59 extend o 7""",
          """2026-10: 2 x 0.00018 = 0.00036, due 0.00
             2026-11: 6 x 0.00018 = 0.00108, due 0.00, carry 0.00144"""),
    Story("extended over three months",
          """2026-10-20 08:00 bind o 15
             2026-11-02 08:00 extend o 30""",
          """2026-10: 12 x 0.00018 = 0.00216, due 0.00
             2026-11: 30 x 0.00018 = 0.0054, due 0.01, carry -0.00244
             2026-12: 3 x 0.00018 = 0.00054, due 0.00, carry -0.0019"""),
    Story("extended after the month before was closed",
          """2026-10-20 08:00 bind o 30
             2026-11-01 03:00 close 2026-10
             2026-11-15 09:00 extend o 7""",
          """2026-10: 12 x 0.00018 = 0.00216, due 0.00
             2026-11: 25 x 0.00018 = 0.0045, due 0.01, carry -0.00334
             2026-12: nothing"""),
    Story("extended, then released just before its 25th day starts",
          """2026-10-01 12:00 bind o 30
             2026-10-20 12:00 extend o 30
             2026-10-25 11:59:59 release o""",
          """2026-10: 24 x 0.00018 = 0.00432, due 0.00
             2026-11: nothing"""),
    Story("extended when it has just expired: refused, and not charged",
          """2026-10-05 12:00 bind o 1
             2026-10-06 12:00 extend o 7 -> binding_expired""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released when it has just expired: refused, and not charged",
          """2026-10-05 12:00 bind o 1
             2026-10-06 12:00 release o -> binding_expired""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("extended beyond 180 days: refused, and not charged",
          """2026-10-01 00:00 bind o 90
             2026-10-01 01:00 extend o 30
             2026-10-01 02:00 extend o 30
             2026-10-01 03:00 extend o 30
             2026-10-01 04:00 extend o 7 -> extend_limit""",
          """2026-10: 31 x 0.00018 = 0.00558, due 0.01, carry -0.00442
             2026-11: 30 x 0.00018 = 0.0054, due 0.00, carry 0.00098
             2026-12: 31 x 0.00018 = 0.00558, due 0.01, carry -0.00344
             2027-01: 31 x 0.00018 = 0.00558, due 0.00, carry 0.00214
             2027-02: 28 x 0.00018 = 0.00504, due 0.01, carry -0.00282
             2027-03: 29 x 0.00018 = 0.00522, due 0.00, carry 0.0024
             2027-04: nothing"""),
    Story("a merchant who is suspended goes on paying for what lives",
          """2026-10-03 12:00 bind o 30
             2026-10-04 12:00 suspend m""",
          """2026-10: 29 x 0.00018 = 0.00522, due 0.01
             2026-11: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("a merchant opened in mid-month has no earlier one",
          """2026-10-02 12:00 merchant a
             2026-10-20 12:00 merchant m
             2026-10-31 12:00 bind o 2
             2026-11-01 03:00 close 2026-10 m""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("two merchants, each his own days",
          """2026-10-05 12:00 merchant a
             2026-10-05 12:00 bind o1 3 a
             2026-10-05 12:00 bind o2 4 m
             2026-10-05 12:00 bind o3 5 m""",
          """a 2026-10: 3 x 0.00018 = 0.00054, due 0.00
             m 2026-10: 9 x 0.00018 = 0.00162, due 0.00"""),
]  # fmt: skip

CALENDAR = "tariff cal 1970-01-01 count=calendar day=0.0003"
CALENDAR_DAYS = [
    Story("two dates within an hour are two days",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 23:30 bind o 30
              2026-10-06 00:30 release o""",
          "2026-10: 2 x 0.0003 = 0.0006, due 0.00"),
    Story("until exactly midnight: the next date is not touched",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 12:00 bind o 30
              2026-10-06 00:00 release o""",
          "2026-10: 1 x 0.0003 = 0.0003, due 0.00"),
    Story("a microsecond beyond midnight: it is",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 12:00 bind o 30
              2026-10-06 00:00:00.000001 release o""",
          "2026-10: 2 x 0.0003 = 0.0006, due 0.00"),
    Story("from midnight to midnight is one day",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 00:00 bind o 1""",
          "2026-10: 1 x 0.0003 = 0.0003, due 0.00"),
    Story("from noon to noon is two",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 12:00 bind o 1""",
          "2026-10: 2 x 0.0003 = 0.0006, due 0.00"),
    Story("released at the very instant of binding, at midnight: one",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 00:00 bind o 1
              2026-10-05 00:00 release o""",
          "2026-10: 1 x 0.0003 = 0.0003, due 0.00"),
    Story("thirty days from noon touch 31 dates",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 12:00 bind o 30""",
          """2026-10: 27 x 0.0003 = 0.0081, due 0.01, carry -0.0019
             2026-11: 4 x 0.0003 = 0.0012, due 0.00, carry -0.0007"""),
    Story("thirty dates over a leap day",
          f"""2028-02-01 09:00 {CALENDAR}
              2028-02-01 09:00 merchant m cal
              2028-02-15 00:00 bind o 30""",
          """2028-02: 15 x 0.0003 = 0.0045, due 0.00
             2028-03: 15 x 0.0003 = 0.0045, due 0.01, carry -0.001"""),
    Story("an hour over the month's end is a day of each",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-31 23:30 bind o 30
              2026-11-01 00:30 release o""",
          """2026-10: 1 x 0.0003 = 0.0003, due 0.00
             2026-11: 1 x 0.0003 = 0.0003, due 0.00"""),
    Story("bound again on the same date: two bindings, each a day",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 09:00 bind o 30
              2026-10-05 10:00 release o
              2026-10-05 11:00 bind o 30
              2026-10-05 12:00 release o""",
          "2026-10: 2 x 0.0003 = 0.0006, due 0.00"),
    Story("extended: every date until the new expiry",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-05 12:00 bind o 1
              2026-10-06 11:00 extend o 7""",
          "2026-10: 9 x 0.0003 = 0.0027, due 0.00"),
    Story("from started days to dates in the life of a binding: noon of the 8th and 9th, then the 10th to 13th",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-08 12:00 bind o 5
              2026-10-09 12:00 assign m cal 2026-10-10T00:00""",
          "2026-10: 2 x 0.00018 + 4 x 0.0003 = 0.00156, due 0.00"),
    Story("from dates to started days: the 8th and 9th, then noon of the 10th, 11th and 12th",
          f"""2026-10-01 09:00 {CALENDAR}
              2026-10-01 09:00 merchant m cal
              2026-10-08 12:00 bind o 5
              2026-10-09 12:00 assign m default 2026-10-10T00:00""",
          "2026-10: 2 x 0.0003 + 3 x 0.00018 = 0.00114, due 0.00"),
]  # fmt: skip


@pytest.mark.parametrize("story", STARTED_DAYS + CALENDAR_DAYS, ids=lambda story: story.name)
async def test_rental(told: Callable[[Story], Awaitable[None]], story: Story) -> None:
    await told(story)
