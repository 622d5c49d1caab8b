"""Calls: seconds, minutes, records that come twice, wrongly or late (billing rules 6.4 to 6.6).

A binding of one day is in every story (0.00018); a started minute costs 0.02.
"""

from collections.abc import Awaitable, Callable

import pytest

from .story import Story

DAY = "1 x 0.00018"


def talked(name: str, seconds: str, minutes: int, total: str, due: str) -> Story:
    """One call in the life of a one-day binding."""
    talk = f" + {minutes} x 0.02" if minutes else ""
    return Story(
        name,
        f"""2026-10-05 12:00 bind o 1
            2026-10-05 13:00 call o c1 {seconds}""",
        f"2026-10: {DAY}{talk} = {total}, due {due}",
    )


LENGTHS = [
    talked("0 seconds are free", "0", 0, "0.00018", "0.00"),
    talked("0.9 seconds are cut to none", "0.9", 0, "0.00018", "0.00"),
    talked("1 second is a minute", "1", 1, "0.02018", "0.02"),
    talked("59 seconds", "59", 1, "0.02018", "0.02"),
    talked("60 seconds are one minute exactly", "60", 1, "0.02018", "0.02"),
    talked("60.999999 seconds are cut to 60", "60.999999", 1, "0.02018", "0.02"),
    talked("61 seconds are two", "61", 2, "0.04018", "0.04"),
    talked("three hours", "10800", 180, "3.60018", "3.60"),
]

INSTANTS = [
    Story("nobody answered",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:00 report o c1 dial=12:30 release=12:31""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("over midnight: one call, of the date of its answer",
          """2026-10-05 12:00 bind o 1
             2026-10-05 23:59:30 call o c1 61""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("over the month's end: the month of its answer, whole",
          """2026-10-31 12:00 bind o 1
             2026-10-31 23:59:59 call o c1 301""",
          """2026-10: 1 x 0.00018 + 6 x 0.02 = 0.12018, due 0.12
             2026-11: nothing"""),
    Story("dialled in October, answered in the first instant of November",
          """2026-10-31 12:00 bind o 1
             2026-11-01 00:05 report o c1 dial=2026-10-31T23:59:50 answer=00:00 release=00:01""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 1 x 0.02 = 0.02, due 0.02, carry 0.00018"""),
    Story("over the binding's expiry: it goes on and is charged whole",
          """2026-10-05 12:00 bind o 1
             2026-10-06 11:59:50 call o c1 120""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("over a release: the same",
          """2026-10-05 12:00 bind o 30
             2026-10-05 13:00:30 release o
             2026-10-05 13:05 report o c1 answer=13:00 release=13:02""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("answered three seconds before the dial: two clocks of one switch",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 dial=13:00:05 answer=13:00:02 release=13:01:02""",
          "2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"),
    Story("answered six seconds before: no clock is that wrong",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 dial=13:00:08 answer=13:00:02 release=13:01:02 -> rejected invalid_request""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("released before it was answered: kept aside",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:01 release=13:00:59 -> rejected release_before_answer""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("exactly five minutes ahead of our clock",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:00 report o c1 answer=13:04 release=13:05""",
          "2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"),
    Story("a microsecond more",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:00 report o c1 answer=13:04 release=13:05:00.000001 -> rejected time_in_future""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("ahead over the month's end: answered in November, known in October",
          """2026-10-31 12:00 bind o 1
             2026-10-31 23:59 report o c1 answer=2026-11-01T00:00 release=2026-11-01T00:01""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 1 x 0.02 = 0.02, due 0.02, carry 0.00018"""),
    Story("local time taken for UTC: eight hours ahead, kept aside, sent again rightly",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00Z release=13:01Z -> rejected time_in_future
             2026-10-05 13:06 report o c1 answer=13:00 release=13:01""",
          "2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"),
]  # fmt: skip

TWICE = [
    Story("the same record twice",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00 release=13:01:01
             2026-10-05 13:06 report o c1 answer=13:00 release=13:01:01 -> duplicate""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("the same in other zones",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00 release=13:01:01
             2026-10-05 13:06 report o c1 answer=05:00:00Z release=06:01:01+01:00 -> duplicate
             2026-10-05 13:07 report o c1 answer=2026-10-04T23:30-05:30 release=05:01:01+00:00 -> duplicate""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("the same with milliseconds",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00 release=13:01:01
             2026-10-05 13:06 report o c1 answer=13:00:00.999 release=13:01:01.001 -> duplicate""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("a second longer is another content: a conflict, and the first is charged",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00 release=13:01:00
             2026-10-05 13:06 report o c1 answer=13:00 release=13:01:01 -> conflict record_conflict""",
          "2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"),
    Story("answered, then told as unanswered: a conflict",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00 release=13:01
             2026-10-05 13:06 report o c1 dial=13:00 release=13:01 -> conflict record_conflict""",
          "2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"),
    Story("unanswered, then told as answered: a conflict, never charged silently",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 dial=13:00 release=13:01
             2026-10-05 13:06 report o c1 answer=13:00 release=13:01 -> conflict record_conflict""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("again after its month was closed: a duplicate, nothing late",
          """2026-10-05 12:00 bind o 1
             2026-10-05 13:05 report o c1 answer=13:00 release=13:01
             2026-11-01 03:00 close 2026-10
             2026-11-02 09:00 report o c1 answer=2026-10-05T13:00 release=2026-10-05T13:01 -> duplicate""",
          """2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02
             2026-11: nothing"""),
]  # fmt: skip

LATE = [
    Story("after the month's end and before its close: in time",
          """2026-10-31 12:00 bind o 1
             2026-11-01 02:59 report o c1 answer=2026-10-31T23:00 release=2026-10-31T23:01
             2026-11-01 03:00 close 2026-10""",
          """2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02
             2026-11: nothing"""),
    Story("late by one month, beside November's own",
          """2026-10-31 12:00 bind o 2
             2026-11-01 03:00 close 2026-10
             2026-11-01 04:00 call o c2 1
             2026-11-05 09:00 report o c1 answer=2026-10-31T23:59:59 release=2026-11-01T00:01""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 1 x 0.00018 + 1 x 0.02 + late 1 x 0.04 = 0.06018, due 0.06"""),
    Story("late by two months",
          """2026-10-31 12:00 bind o 1
             2026-11-01 03:00 close 2026-10
             2026-12-01 03:00 close 2026-11
             2026-12-05 09:00 report o c1 answer=2026-10-31T23:00 release=2026-10-31T23:01""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00, carry 0.00018
             2026-11: nothing
             2026-12: late 1 x 0.02 = 0.02, due 0.02, carry 0.00018
             2027-01: nothing"""),
    Story("late in a month that had no invoice, and nothing else in the next",
          """2026-10-30 12:00 bind o 1
             2026-11-01 03:00 close 2026-10
             2026-12-01 03:00 close 2026-11
             2026-12-05 09:00 report o c1 dial=2026-10-31T11:00 answer=2026-11-01T00:00 release=2026-11-01T00:01""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: nothing
             2026-12: late 1 x 0.02 = 0.02, due 0.02
             2027-01: nothing"""),
    Story("three late ones of two months on one invoice",
          """2026-10-31 12:00 bind o 30
             2026-11-01 03:00 close 2026-10
             2026-12-01 03:00 close 2026-11
             2026-12-05 09:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01
             2026-12-05 09:00 report o c2 answer=2026-11-05T13:00 release=2026-11-05T13:01
             2026-12-05 09:00 report o c3 answer=2026-11-06T13:00 release=2026-11-06T13:03""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 29 x 0.00018 = 0.00522, due 0.01, carry -0.0046
             2026-12: late 2 x 0.02 + late 1 x 0.06 = 0.1, due 0.10, carry -0.0046"""),
    Story("late, and sent twice",
          """2026-10-31 12:00 bind o 1
             2026-11-01 03:00 close 2026-10
             2026-11-05 09:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01
             2026-11-05 10:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01 -> duplicate
             2026-12-01 03:00 close 2026-11
             2026-12-05 10:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01 -> duplicate""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: late 1 x 0.02 = 0.02, due 0.02
             2026-12: nothing"""),
    Story("late and unanswered: nothing",
          """2026-10-31 12:00 bind o 1
             2026-11-01 03:00 close 2026-10
             2026-11-05 09:00 report o c1 dial=2026-10-31T13:00 release=2026-10-31T13:01""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: nothing"""),
    Story("by a slow clock, before the merchant's first month: late on that",
          """2026-11-01 00:00:10 merchant m
             2026-11-01 00:00:10 bind o 1
             2026-11-01 00:05 report o c1 answer=2026-10-31T23:59:58 release=00:00:40""",
          "2026-11: 1 x 0.00018 + late 1 x 0.02 = 0.02018, due 0.02"),
    Story("before he was opened, within his first month: in time",
          """2026-11-05 00:00:10 merchant m
             2026-11-05 00:00:10 bind o 1
             2026-11-05 00:05 report o c1 answer=2026-11-04T23:59:58 release=00:00:40""",
          "2026-11: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"),
    Story("late for one merchant whose month was closed by itself, in time for the other",
          """2026-10-31 11:00 merchant a
             2026-10-31 12:00 bind o1 1 a
             2026-10-31 12:00 bind o2 1 m
             2026-11-01 02:00 close 2026-10 a
             2026-11-01 02:30 report o1 c1 answer=2026-10-31T13:00 release=2026-10-31T13:01
             2026-11-01 02:30 report o2 c2 answer=2026-10-31T13:00 release=2026-10-31T13:01""",
          """a 2026-10: 1 x 0.00018 = 0.00018, due 0.00
             m 2026-10: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02
             a 2026-11: late 1 x 0.02 = 0.02, due 0.02"""),
]  # fmt: skip


@pytest.mark.parametrize("story", LENGTHS + INSTANTS + TWICE + LATE, ids=lambda story: story.name)
async def test_calls(told: Callable[[Story], Awaitable[None]], story: Story) -> None:
    await told(story)
