"""Numbers that end with their parcels: rental stops to the day, as at a release (billing rules 6.2 and 6.3)."""

from collections.abc import Awaitable, Callable

import pytest

from .story import Story

POLICY = "2026-10-01 09:00 policy end_after_signed_days=7 end_after_closed_days=0"

STORIES = [
    Story("signed on the third day: ten days and not thirty",
          f"""{POLICY}
              2026-10-05 12:00 bind o 30
              2026-10-08 12:00 told o signed""",
          "2026-10: 10 x 0.00018 = 0.0018, due 0.00"),
    Story("a microsecond later it is eleven: the eleventh has begun",
          f"""{POLICY}
              2026-10-05 12:00 bind o 30
              2026-10-08 12:00:00.000001 told o signed""",
          "2026-10: 11 x 0.00018 = 0.00198, due 0.00"),
    Story("signed over the end of a month: the days after the early end are in no month",
          f"""{POLICY}
              2026-10-25 12:00 bind o 30
              2026-10-27 12:00 told o signed""",
          """2026-10: 7 x 0.00018 = 0.00126, due 0.00
             2026-11: 2 x 0.00018 = 0.00036, due 0.00"""),
    Story("after-sales take the end back while October is closed already: its days stay, November has the others",
          f"""{POLICY}
              2026-10-25 12:00 bind o 30
              2026-10-30 12:00 told o signed
              2026-11-01 03:00 close 2026-10
              2026-11-02 12:00 told o after_sales_opened""",
          """2026-10: 7 x 0.00018 = 0.00126, due 0.00
             2026-11: 23 x 0.00018 = 0.00414, due 0.01"""),
    Story("signed after October was closed: November alone is cut",
          f"""{POLICY}
              2026-10-25 12:00 bind o 30
              2026-11-01 03:00 close 2026-10
              2026-11-03 12:00 told o signed""",
          """2026-10: 7 x 0.00018 = 0.00126, due 0.00
             2026-11: 9 x 0.00018 = 0.00162, due 0.00"""),
    Story("cancelled within the first day: that day, at least one",
          f"""{POLICY}
              2026-10-05 12:00 bind o 30
              2026-10-05 12:10 told o cancelled""",
          "2026-10: 1 x 0.00018 = 0.00018, due 0.00"),
    Story("cancelled at the very instant at which the third day would begin",
          f"""{POLICY}
              2026-10-05 12:00 bind o 30
              2026-10-07 12:00 told o cancelled""",
          "2026-10: 2 x 0.00018 = 0.00036, due 0.00"),
    Story("signed, extended, and signed again changes nothing",
          f"""{POLICY}
              2026-10-05 12:00 bind o 30
              2026-10-06 12:00 told o signed
              2026-10-07 12:00 extend o 7
              2026-10-08 12:00 told o signed""",
          "2026-10: 15 x 0.00018 = 0.0027, due 0.00"),
    Story("beyond the window of reach nothing is bound or extended, and nothing is charged",
          """2026-10-01 09:00 policy max_reach_days=10
             2026-10-05 12:00 bind o 11 -> reach_window_over
             2026-10-05 12:00 bind o 5
             2026-10-06 12:00 extend o 7 -> reach_window_over
             2026-10-12 12:00 bind o 3
             2026-10-15 12:00 bind o 1 -> reach_window_over""",
          "2026-10: 8 x 0.00018 = 0.00144, due 0.00"),
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_early_ends(told: Callable[[Story], Awaitable[None]], story: Story) -> None:
    await told(story)
