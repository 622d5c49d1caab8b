"""Roundings over months, invoice numbers, and closes that are early, out of order or repeated (6.7 and 6.9)."""

from collections.abc import Awaitable, Callable

import pytest

from .story import Story, read_sum

ROUNDINGS = [
    Story("half a cent is rounded up, and carried as debt",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.005
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 2""",
          """2026-10: 1 x 0.005 = 0.005, due 0.01, carry -0.005
             2026-11: 1 x 0.005 = 0.005, due 0.00, carry 0"""),
    Story("just below half a cent is not",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.004999999999
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 2""",
          """2026-10: 1 x 0.004999999999 = 0.004999999999, due 0.00, carry 0.004999999999
             2026-11: 1 x 0.004999999999 = 0.004999999999, due 0.01, carry -0.000000000002"""),
    Story("a balance below zero is rounded to nothing, never paid back",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.0051
             2026-10-01 09:00 merchant m t
             2026-10-31 12:00 bind o 1
             2026-11-02 09:00 tariff t 2026-11-03T00:00 day=0.0001
             2026-11-05 09:00 bind o 1""",
          """2026-10: 1 x 0.0051 = 0.0051, due 0.01, carry -0.0049
             2026-11: 1 x 0.0001 = 0.0001, due 0.00, carry -0.0048"""),
    Story("carried over months without an invoice",
          """2026-10-05 12:00 bind o 20
             2027-01-05 12:00 bind o 10""",
          """2026-10: 20 x 0.00018 = 0.0036, due 0.00, carry 0.0036
             2026-11: nothing
             2026-12: nothing
             2027-01: 10 x 0.00018 = 0.0018, due 0.01, carry -0.0046"""),
    Story("a day a month for a year: a cent is due when it is there, and once",
          "2026-01-05 12:00 tariff t 1970-01-01 day=0.0011\n2026-01-05 12:00 merchant m t\n"
          + "\n".join(f"2026-{month:02}-05 12:00 bind o{month} 1" for month in range(1, 13)),
          """2026-01: 1 x 0.0011 = 0.0011, due 0.00, carry 0.0011
             2026-02: 1 x 0.0011 = 0.0011, due 0.00, carry 0.0022
             2026-03: 1 x 0.0011 = 0.0011, due 0.00, carry 0.0033
             2026-04: 1 x 0.0011 = 0.0011, due 0.00, carry 0.0044
             2026-05: 1 x 0.0011 = 0.0011, due 0.01, carry -0.0045
             2026-06: 1 x 0.0011 = 0.0011, due 0.00, carry -0.0034
             2026-07: 1 x 0.0011 = 0.0011, due 0.00, carry -0.0023
             2026-08: 1 x 0.0011 = 0.0011, due 0.00, carry -0.0012
             2026-09: 1 x 0.0011 = 0.0011, due 0.00, carry -0.0001
             2026-10: 1 x 0.0011 = 0.0011, due 0.00, carry 0.001
             2026-11: 1 x 0.0011 = 0.0011, due 0.00, carry 0.0021
             2026-12: 1 x 0.0011 = 0.0011, due 0.00, carry 0.0032"""),
    Story("a price of twelve places is exact",
          """2026-10-01 09:00 tariff t 1970-01-01 day=0.000000000001 minute=0.0000003
             2026-10-01 09:00 merchant m t
             2026-10-05 12:00 bind o 3
             2026-10-05 13:00 call o c1 7""",
          "2026-10: 3 x 0.000000000001 + 1 x 0.0000003 = 0.000000300003, due 0.00, carry 0.000000300003"),
]  # fmt: skip

CLOSES = [
    Story("a minute before and after the year's end: each year's series begins at one",
          """2026-10-31 12:00 bind o 31
             2026-12-31 23:59 close 2026-10
             2027-01-01 00:01 close 2026-11""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 30 x 0.00018 = 0.0054, due 0.01"""),
    Story("closed twice",
          """2026-10-05 12:00 bind o 1
             2026-11-01 00:00 close 2026-10
             2026-11-01 00:00 close 2026-10
             2026-11-01 00:00 close 2026-10 m""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("too early, by a microsecond",
          """2026-10-05 12:00 bind o 1
             2026-10-31 23:59:59.999999 close 2026-10 -> period_not_over
             2026-11-01 00:00 close 2026-10""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("out of order, for all and for one",
          """2026-10-05 12:00 bind o 30
             2026-12-01 03:00 close 2026-11 -> period_out_of_order
             2026-12-01 03:00 close 2026-11 m -> period_out_of_order
             2026-12-01 03:00 close 2026-10
             2026-12-01 03:00 close 2026-11""",
          """2026-10: 27 x 0.00018 = 0.00486, due 0.00
             2026-11: 3 x 0.00018 = 0.00054, due 0.01"""),
    Story("one merchant first, then all: he is left as he is",
          """2026-10-05 11:00 merchant a
             2026-10-05 11:00 merchant z
             2026-10-05 12:00 bind o1 1 a
             2026-10-05 12:00 bind o2 2 m
             2026-10-05 12:00 bind o3 3 z
             2026-11-01 03:00 close 2026-10 m
             2026-11-01 03:00 close 2026-10""",
          """a 2026-10: 1 x 0.00018 = 0.00018, due 0.00
             m 2026-10: 2 x 0.00018 = 0.00036, due 0.00
             z 2026-10: 3 x 0.00018 = 0.00054, due 0.00"""),
    Story("one month ahead of the others: his November waits for nobody else's October",
          """2026-10-05 11:00 merchant a
             2026-10-31 12:00 bind o1 2 a
             2026-10-31 12:00 bind o2 2 m
             2026-12-01 03:00 close 2026-10 m
             2026-12-01 03:00 close 2026-11 m
             2026-12-01 03:00 close 2026-11 -> period_out_of_order""",
          """a 2026-10: 1 x 0.00018 = 0.00018, due 0.00
             m 2026-10: 1 x 0.00018 = 0.00018, due 0.00
             a 2026-11: 1 x 0.00018 = 0.00018, due 0.00
             m 2026-11: 1 x 0.00018 = 0.00018, due 0.00"""),
    Story("a merchant closed by himself goes on in the new month",
          """2026-10-31 12:00 bind o1 1
             2026-11-01 01:00 close 2026-10 m
             2026-11-01 02:00 bind o2 1
             2026-11-01 02:30 call o2 c1 60""",
          """2026-10: 1 x 0.00018 = 0.00018, due 0.00
             2026-11: 1 x 0.00018 + 1 x 0.02 = 0.02018, due 0.02"""),
    Story("a merchant that nobody knows, and one who came later",
          """2026-10-05 12:00 bind o 1
             2026-11-05 12:00 merchant late
             2026-11-05 12:00 close 2026-10 nobody -> merchant_not_found
             2026-11-05 12:00 close 2026-10 late
             2026-11-05 12:00 close 2026-10""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
]  # fmt: skip

# Each is wrong in one thing. A teller that told them without a word would have gone blind.
WRONG = [
    Story("quantity", "2026-10-05 12:00 bind o 1", "2026-10: 2 x 0.00018 = 0.00036, due 0.00"),
    Story("rate", "2026-10-05 12:00 bind o 1", "2026-10: 1 x 0.00019 = 0.00019, due 0.00"),
    Story("due", "2026-10-05 12:00 bind o 1", "2026-10: 1 x 0.00018 = 0.00018, due 0.01"),
    Story("carry", "2026-10-05 12:00 bind o 1", "2026-10: 1 x 0.00018 = 0.00018, due 0.00, carry 0"),
    Story("month", "2026-10-05 12:00 bind o 1", "2026-11: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("no invoice", "2026-10-05 12:00 bind o 1", "2026-10: nothing"),
    Story("late", "2026-10-05 12:00 bind o 1", "2026-10: late 1 x 0.00018 = 0.00018, due 0.00"),
    Story("answer", "2026-10-05 12:00 bind o 1 -> merchant_not_found", "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
]


@pytest.mark.parametrize("story", ROUNDINGS + CLOSES, ids=lambda story: story.name)
async def test_closes(told: Callable[[Story], Awaitable[None]], story: Story) -> None:
    await told(story)


@pytest.mark.parametrize("story", WRONG, ids=lambda story: story.name)
async def test_a_wrong_bill_is_seen(told: Callable[[Story], Awaitable[None]], story: Story) -> None:
    with pytest.raises(AssertionError):
        await told(story)


def test_a_sum_that_is_wrong_in_itself_is_seen() -> None:
    with pytest.raises(AssertionError, match=r"makes 0\.04"):
        read_sum("2 x 0.02 = 0.05")
