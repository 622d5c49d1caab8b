"""Price lists: increments, fees, free minutes, taxes, and who pays which from when on (billing rules 6.10 to 6.12)."""

from collections.abc import Awaitable, Callable

import pytest

from .story import Story


def on_list(name: str, terms: str, calls: str, bills: str) -> Story:
    """A merchant on a price list where a day costs nothing; `calls` = their seconds, an hour apart."""
    steps = [f"2026-10-01 09:00 tariff t 1970-01-01 day=0 {terms}", "2026-10-01 09:00 merchant m t"]
    steps.append("2026-10-05 00:00 bind o 1")
    steps += [f"2026-10-05 {hour:02}:00 call o c{hour} {talked}" for hour, talked in enumerate(calls.split(), start=1)]
    return Story(name, "\n".join(steps), bills)


INCREMENTS = [
    on_list("6/6: 61 s are 11 units of 6 s", "minute=0.03 first=6 next=6", "61",
            "2026-10: 1 x 0 + 11 x 0.003 = 0.033, due 0.03"),
    on_list("6/6: 6 s are one unit, 7 s two, 1 s one", "minute=0.03 first=6 next=6", "6 7 1",
            "2026-10: 1 x 0 + 4 x 0.003 = 0.012, due 0.01"),
    on_list("1/1: 61 s are 61 units", "minute=0.03 first=1 next=1", "61",
            "2026-10: 1 x 0 + 61 x 0.0005 = 0.0305, due 0.03"),
    on_list("1/1: 0.9 s are none", "minute=0.03 first=1 next=1", "0.9",
            "2026-10: 1 x 0 = 0, due 0.00"),
    on_list("30/6: 10 s and 30 s are 5 units each, 31 s 6", "minute=0.03 first=30 next=6", "10 30 31",
            "2026-10: 1 x 0 + 16 x 0.003 = 0.048, due 0.05"),
    on_list("60/1: 5 s are 60 units, 61 s 61", "minute=0.03 first=60 next=1", "5 61",
            "2026-10: 1 x 0 + 121 x 0.0005 = 0.0605, due 0.06"),
    on_list("60/60 at a price that no second could have", "minute=0.02", "61",
            "2026-10: 1 x 0 + 2 x 0.02 = 0.04, due 0.04"),
    on_list("a minimum of 30 s at 6/6: 10 s are 5 units, 31 s 6", "minute=0.03 first=6 next=6 minimum=30", "10 31",
            "2026-10: 1 x 0 + 11 x 0.003 = 0.033, due 0.03"),
    on_list("a minimum is no price of silence: 0 s are free", "minute=0.03 first=6 next=6 minimum=30", "0",
            "2026-10: 1 x 0 = 0, due 0.00"),
    on_list("10 free seconds: 10 s are free, 11 s are a minute, 70 s as well, 71 s are two", "free=10", "10 11 70 71",
            "2026-10: 1 x 0 + 4 x 0.02 = 0.08, due 0.08"),
    on_list("free seconds before the minimum: 11 s are charged as 30", "minute=0.03 first=6 next=6 minimum=30 free=10",
            "10 11",
            "2026-10: 1 x 0 + 5 x 0.003 = 0.015, due 0.02"),
    on_list("a set-up fee for each call that is charged", "setup=0.05", "61 1 0",
            "2026-10: 1 x 0 + 3 x 0.02 + 2 x 0.05 = 0.16, due 0.16"),
    on_list("a call within the free seconds has no set-up fee", "setup=0.05 free=10", "10 11",
            "2026-10: 1 x 0 + 1 x 0.02 + 1 x 0.05 = 0.07, due 0.07"),
    on_list("a minute for nothing, its set-up fee for something", "minute=0 setup=0.005", "61",
            "2026-10: 1 x 0 + 2 x 0 + 1 x 0.005 = 0.005, due 0.01"),
]  # fmt: skip

FREE_MINUTES = [
    on_list("used up within a call", "free_minutes=5", "180 240",
            "2026-10: 1 x 0 + 7 x 0.02 - 5 x 0.02 = 0.04, due 0.04"),
    on_list("exactly used up", "free_minutes=5", "180 120 1",
            "2026-10: 1 x 0 + 6 x 0.02 - 5 x 0.02 = 0.02, due 0.02"),
    on_list("more than there are calls", "free_minutes=100", "61",
            "2026-10: 1 x 0 + 2 x 0.02 - 2 x 0.02 = 0, due 0.00"),
    on_list("by the second", "minute=0.03 first=1 next=1 free_minutes=1", "40 40",
            "2026-10: 1 x 0 + 80 x 0.0005 - 60 x 0.0005 = 0.01, due 0.01"),
    on_list("unanswered and empty calls take none", "free_minutes=1", "0 0.9 60 60",
            "2026-10: 1 x 0 + 2 x 0.02 - 1 x 0.02 = 0.02, due 0.02"),
    on_list("set-up fees are not covered", "free_minutes=5 setup=0.05", "61 1",
            "2026-10: 1 x 0 + 3 x 0.02 + 2 x 0.05 - 3 x 0.02 = 0.1, due 0.10"),
    on_list("units charged by a minimum are taken as well", "minute=0.03 first=6 next=6 minimum=30 free_minutes=1",
            "1 1 1",
            "2026-10: 1 x 0 + 15 x 0.003 - 10 x 0.003 = 0.015, due 0.02"),
    Story("by the order of the answers although the records come the other way round, over two versions",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=5
             2026-10-01 09:00 tariff t 2026-10-16T00:00 day=0 minute=0.05 free_minutes=7
             2026-10-01 09:00 merchant m t
             2026-10-15 00:00 bind o 2
             2026-10-16 09:00 report o late answer=00:00 release=00:04
             2026-10-16 09:01 report o early answer=2026-10-15T12:00 release=2026-10-15T12:04""",
          "2026-10: 1 x 0 + 1 x 0 + 4 x 0.02 + 4 x 0.05 - 4 x 0.02 - 1 x 0.05 = 0.15, due 0.15"),
    Story("two calls answered at the same instant: by their ids, and no minute twice",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=3
             2026-10-01 09:00 merchant m t
             2026-10-05 00:00 bind o 1
             2026-10-05 09:00 report o b answer=08:00 release=08:02
             2026-10-05 09:00 report o a answer=08:00 release=08:02""",
          "2026-10: 1 x 0 + 4 x 0.02 - 3 x 0.02 = 0.02, due 0.02"),
    Story("what is left over lapses at the month's end",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=5
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 1
             2026-10-31 13:00 call o c1 60
             2026-11-01 01:00 call o c2 360""",
          """2026-10: 1 x 0 + 1 x 0.02 - 1 x 0.02 = 0, due 0.00
             2026-11: 6 x 0.02 - 5 x 0.02 = 0.02, due 0.02"""),
    Story("a call that begins at the last instant takes October's",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=5
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 1
             2026-10-31 23:59:59.999999 call o c1 360
             2026-11-01 01:00 call o c2 240""",
          """2026-10: 1 x 0 + 6 x 0.02 - 5 x 0.02 = 0.02, due 0.02
             2026-11: 4 x 0.02 - 4 x 0.02 = 0, due 0.00"""),
    Story("late calls take none, neither of their own month nor of the next",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=5
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 1
             2026-11-01 03:00 close 2026-10
             2026-11-01 04:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:02
             2026-11-01 05:00 call o c2 60""",
          """2026-10: 1 x 0 = 0, due 0.00
             2026-11: 1 x 0.02 - 1 x 0.02 + late 1 x 0.04 = 0.04, due 0.04"""),
    Story("by the list of the month's first instant, although another follows",
          """2026-09-20 09:00 tariff t 1970-01-01 day=0 free_minutes=5
             2026-09-20 09:00 tariff u 1970-01-01 day=0 free_minutes=50
             2026-09-20 09:00 merchant m t
             2026-09-20 09:00 bind o 30
             2026-10-02 00:00 assign m u 2026-10-03T00:00
             2026-10-05 09:00 call o c1 600""",
          """2026-09: 11 x 0 = 0, due 0.00
             2026-10: 2 x 0 + 17 x 0 + 10 x 0.02 - 5 x 0.02 = 0.1, due 0.10"""),
    Story("of a merchant opened in mid-month: by the version in force when he was, not when the month began",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=5
             2026-10-01 09:00 tariff t 2026-10-08T00:00 day=0 free_minutes=2
             2026-10-20 09:00 merchant m t
             2026-10-20 10:00 bind o 1
             2026-10-20 11:00 call o c1 600""",
          "2026-10: 1 x 0 + 10 x 0.02 - 2 x 0.02 = 0.16, due 0.16"),
]  # fmt: skip

TAXES = [
    Story("included: told, and not added",
          """2026-10-01 09:00 tariff t 1970-01-01 tax=included:0.06
             2026-10-01 09:00 merchant m t
             2026-10-05 12:00 bind o 1
             2026-10-05 13:00 call o c1 61""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, due 0.04"),
    Story("added: exact, and part of the balance",
          """2026-10-01 09:00 tariff t 1970-01-01 tax=added:0.06
             2026-10-01 09:00 merchant m t
             2026-10-05 12:00 bind o 1
             2026-10-05 13:00 call o c1 61""",
          "2026-10: 1 x 0.00018 + 2 x 0.02 = 0.04018, tax 0.04018 x 0.06 = 0.0024108, due 0.04, carry 0.0025908"),
    Story("added, over months: the carried rest is not taxed again",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.1 tax=added:0.06
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 2""",
          """2026-10: 1 x 0.1 = 0.1, tax 0.1 x 0.06 = 0.006, due 0.11, carry -0.004
             2026-11: 1 x 0.1 = 0.1, tax 0.1 x 0.06 = 0.006, due 0.10, carry 0.002"""),
    Story("another rate from November on",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.1 tax=added:0.06
             2026-10-01 09:00 tariff t 2026-11-01T00:00 day=0.1 tax=added:0.13
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 2""",
          """2026-10: 1 x 0.1 = 0.1, tax 0.1 x 0.06 = 0.006, due 0.11, carry -0.004
             2026-11: 1 x 0.1 = 0.1, tax 0.1 x 0.13 = 0.013, due 0.11, carry -0.001"""),
    Story("two rates in a month",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.1 tax=added:0.06
             2026-10-01 09:00 tariff t 2026-10-16T00:00 day=0.1 tax=added:0.13
             2026-10-01 09:00 merchant m t
             2026-10-15 12:00 bind o 2""",
          "2026-10: 1 x 0.1 + 1 x 0.1 = 0.2, tax 0.1 x 0.06 + 0.1 x 0.13 = 0.019, due 0.22, carry -0.001"),
    Story("a late call bears the tax of its own month",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.1 tax=added:0.06
             2026-10-01 09:00 tariff t 2026-11-01T00:00 day=0.1 tax=added:0.13
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 2
             2026-11-01 03:00 close 2026-10
             2026-11-01 04:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01""",
          """2026-10: 1 x 0.1 = 0.1, tax 0.1 x 0.06 = 0.006, due 0.11, carry -0.004
             2026-11: 1 x 0.1 + late 1 x 0.02 = 0.12, tax 0.1 x 0.13 + 0.02 x 0.06 = 0.0142, due 0.13, carry 0.0002"""),
    Story("free minutes bear no tax",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 free_minutes=1 tax=added:0.06
             2026-10-01 09:00 merchant m t
             2026-10-05 12:00 bind o 1
             2026-10-05 13:00 call o c1 61""",
          "2026-10: 1 x 0 + 2 x 0.02 - 1 x 0.02 = 0.02, tax 0.02 x 0.06 = 0.0012, due 0.02, carry 0.0012"),
    Story("a late call of a list without tax beside one with",
          """2026-10-01 09:00 tariff t 1970-01-01 tax=added:0.06
             2026-10-01 09:00 bind o 31
             2026-10-31 09:00 assign m t 2026-11-01T00:00
             2026-11-01 03:00 close 2026-10
             2026-11-01 04:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01
             2026-11-01 05:00 release o""",
          """2026-10: 31 x 0.00018 = 0.00558, due 0.01, carry -0.00442
             2026-11: late 1 x 0.02 = 0.02, due 0.02, carry -0.00442"""),
]  # fmt: skip

CHANGES = [
    Story("a new version in mid-month: each day and call by the version when it begins",
          """2026-10-01 12:00 bind o 30
             2026-10-02 09:00 tariff default 2026-10-16T00:00 day=0.001 minute=0.05
             2026-10-15 23:59:59 call o c1 301
             2026-10-16 00:10 call o c2 1""",
          """2026-10: 15 x 0.00018 + 15 x 0.001 + 6 x 0.02 + 1 x 0.05 = 0.1877, due 0.19"""),
    Story("a version in force from the very instant of a day and of a call",
          """2026-10-05 12:00 bind o 3
             2026-10-05 13:00 tariff default 2026-10-06T12:00 day=0.001 minute=0.05
             2026-10-06 12:00 call o c1 60""",
          "2026-10: 1 x 0.00018 + 2 x 0.001 + 1 x 0.05 = 0.05218, due 0.05"),
    Story("from a microsecond later: that day and that call keep the old price",
          """2026-10-05 12:00 bind o 3
             2026-10-05 13:00 tariff default 2026-10-06T12:00:00.000001 day=0.001 minute=0.05
             2026-10-06 12:00 call o c1 60""",
          "2026-10: 2 x 0.00018 + 1 x 0.001 + 1 x 0.02 = 0.02136, due 0.02"),
    Story("three versions in a month, one of them without any usage",
          """2026-10-05 12:00 bind o 2
             2026-10-05 13:00 tariff default 2026-10-05T14:00 day=0.001
             2026-10-05 13:00 tariff default 2026-10-05T15:00 day=0.002""",
          "2026-10: 1 x 0.00018 + 1 x 0.002 = 0.00218, due 0.00"),
    Story("a new version from the month's first instant: no month has two prices",
          """2026-10-31 12:00 bind o 2
             2026-10-31 13:00 tariff default 2026-11-01T00:00 day=0.001""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 1 x 0.001 = 0.001, due 0.00"""),
    Story("a merchant goes to another list in mid-month",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001 minute=0.05
             2026-10-01 12:00 bind o 30
             2026-10-09 09:00 assign m t 2026-10-10T00:00
             2026-10-09 23:59:59 call o c1 60
             2026-10-10 00:10 call o c2 60""",
          "2026-10: 9 x 0.00018 + 21 x 0.001 + 1 x 0.02 + 1 x 0.05 = 0.09262, due 0.09"),
    Story("at the exact instant a day starts: that day is of the new list",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001
             2026-10-05 12:00 bind o 3
             2026-10-05 13:00 assign m t 2026-10-06T12:00""",
          "2026-10: 1 x 0.00018 + 2 x 0.001 = 0.00218, due 0.00"),
    Story("to another list and back within a month: two lines of the first, one of the second",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001
             2026-10-05 12:00 bind o 5
             2026-10-05 13:00 assign m t 2026-10-07T00:00
             2026-10-05 13:00 assign m default 2026-10-09T00:00""",
          "2026-10: 2 x 0.00018 + 2 x 0.001 + 1 x 0.00018 = 0.00254, due 0.00"),
    Story("without an instant: from the next midnight on, for one who has usage",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001
             2026-10-05 12:00 bind o 3
             2026-10-05 13:00 assign m t""",
          "2026-10: 1 x 0.00018 + 2 x 0.001 = 0.00218, due 0.00"),
    Story("without an instant and without usage: at once",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001
             2026-10-05 11:00 merchant m
             2026-10-05 12:00 assign m t
             2026-10-05 12:00 bind o 3""",
          "2026-10: 3 x 0.001 = 0.003, due 0.00"),
    Story("less than ten minutes from now, or back in time: refused, nothing is repriced",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001
             2026-10-05 12:00 bind o 3
             2026-10-05 13:00 assign m t 2026-10-05T13:09:59 -> tariff_invalid
             2026-10-05 13:00 assign m t 2026-10-05T00:00 -> tariff_invalid
             2026-10-05 13:00 assign m unknown 2026-10-07T00:00 -> tariff_not_found""",
          "2026-10: 3 x 0.00018 = 0.00054, due 0.00"),
    Story("the first list is that of the registration, also for what is dated a little before it",
          """2026-11-01 00:00 tariff t 1970-01-01 day=0.001 minute=0.05
             2026-11-01 00:00:10 merchant m t
             2026-11-01 00:00:10 bind o 1
             2026-11-01 00:05 report o c1 answer=2026-10-31T23:59:58 release=00:00:40""",
          "2026-11: 1 x 0.001 + late 1 x 0.05 = 0.051, due 0.05"),
    Story("two merchants on two lists",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001
             2026-10-01 09:00 merchant a t
             2026-10-05 12:00 bind o1 1 a
             2026-10-05 12:00 bind o2 1 m""",
          """a 2026-10: 1 x 0.001 = 0.001, due 0.00
             m 2026-10: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("a late call by the list of its answer, although the merchant has left it",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.001 minute=0.05
             2026-10-31 09:00 merchant m t
             2026-10-31 12:00 bind o 1
             2026-10-31 13:00 assign m default 2026-11-01T00:00
             2026-11-01 03:00 close 2026-10
             2026-11-05 09:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01""",
          """2026-10: 1 x 0.001 = 0.001, due 0.00
             2026-11: late 1 x 0.05 = 0.05, due 0.05"""),
    Story("a late call keeps its set-up fee and its units",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0 minute=0.03 first=6 next=6 setup=0.05
             2026-10-31 09:00 merchant m t
             2026-10-31 12:00 bind o 1
             2026-11-01 03:00 close 2026-10
             2026-11-05 09:00 report o c1 answer=2026-10-31T13:00 release=2026-10-31T13:01:01""",
          """2026-10: 1 x 0 = 0, due 0.00
             2026-11: late 1 x 0.083 = 0.083, due 0.08"""),
]  # fmt: skip


@pytest.mark.parametrize("story", INCREMENTS + FREE_MINUTES + TAXES + CHANGES, ids=lambda story: story.name)
async def test_price_lists(told: Callable[[Story], Awaitable[None]], story: Story) -> None:
    await told(story)
