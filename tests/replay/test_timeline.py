"""When things happen in a replay."""

from datetime import UTC, date, datetime, timedelta

from vnum.model.phones import is_mobile
from vnum.replay.files import SHANGHAI, Call, Parcel
from vnum.replay.timeline import Bind, Close, Dial, Post, batches, phone_of, timeline


def parcel(order_id: str, day: int, hour: int) -> Parcel:
    at = datetime(2022, 4, day, hour, tzinfo=SHANGHAI)
    return Parcel(order_id=order_id, city="Jilin", merchant_id="Jilin-1", accepted_at=at)


def call(call_id: str, hour: int, talk_s: int | None = 60) -> Call:
    at = datetime(1999, 10, 1, hour, 30, tzinfo=SHANGHAI)
    return Call(call_id=call_id, called_at=at, wait_s=10, talk_s=talk_s, agent="")


def test_the_first_parcel_falls_on_the_start_and_the_spacing_is_kept() -> None:
    events = timeline([parcel("a", 26, 8), parcel("b", 28, 9)], [], date(2024, 2, 28))
    binds = [event.at for event in events if isinstance(event, Bind)]
    assert binds == [datetime(2024, 2, 28, 0, tzinfo=UTC), datetime(2024, 3, 1, 1, tzinfo=UTC)]


def test_parcels_of_one_moment_are_bound_together() -> None:
    events = timeline([parcel("a", 26, 8), parcel("b", 26, 8)], [], date(2024, 2, 28))
    assert [event.parcels for event in events if isinstance(event, Bind)] == [(0, 1)]


def test_call_k_goes_to_parcel_k_mod_n_1_plus_k_mod_28_days_later_at_its_own_time_of_day() -> None:
    calls = [call(f"c{k}", hour=23 if k == 29 else 7) for k in range(30)]
    # 23:00 in Shanghai is the day before in UTC: the local date counts
    events = timeline([parcel("a", 26, 23), parcel("b", 27, 1)], calls, date(2022, 4, 26))
    dials = {event.call.call_id: event for event in events if isinstance(event, Dial)}
    assert [dials[f"c{k}"].parcel for k in (0, 1, 28, 29)] == [0, 1, 0, 1]
    assert dials["c0"].at == datetime(2022, 4, 27, 7, 30, tzinfo=SHANGHAI)
    assert dials["c1"].at == datetime(2022, 4, 29, 7, 30, tzinfo=SHANGHAI)
    assert dials["c28"].at == datetime(2022, 4, 27, 7, 30, tzinfo=SHANGHAI)
    assert dials["c29"].at == datetime(2022, 4, 29, 23, 30, tzinfo=SHANGHAI)


def test_an_answer_comes_after_the_wait_and_a_release_after_the_talk() -> None:
    (dial,) = (
        event for event in timeline([parcel("a", 26, 8)], [call("c", 9)], date(2022, 4, 26)) if isinstance(event, Dial)
    )
    assert dial.answered_at == dial.at + timedelta(seconds=10)
    assert dial.released_at == dial.at + timedelta(seconds=70)


def test_nobody_answers_an_abandoned_call() -> None:
    events = timeline([parcel("a", 26, 8)], [call("c", 9, talk_s=None)], date(2022, 4, 26))
    (dial,) = (event for event in events if isinstance(event, Dial))
    assert dial.answered_at is None
    assert dial.released_at == dial.at + timedelta(seconds=10)


def test_records_are_posted_after_their_calls_and_before_their_month_closes() -> None:
    calls = [call(f"c{k}", hour=23) for k in range(28)]
    events = timeline([parcel("a", 26, 8)], calls, date(2022, 4, 26))
    posts = [event for event in events if isinstance(event, Post)]
    assert sum(len(post.dials) for post in posts) == 28
    assert all(dial.released_at <= post.at for post in posts for dial in post.dials)
    closes = [event.at for event in events if isinstance(event, Close)]
    for post in posts:
        for dial in post.dials:
            month_end = next(at for at in closes if at > dial.at)
            assert post.at < month_end


def test_every_month_with_a_live_binding_closes_three_hours_after_its_end() -> None:
    events = timeline([parcel("a", 26, 8)], [], date(2024, 1, 31))
    closes = [(str(event.period), event.at.astimezone(SHANGHAI)) for event in events if isinstance(event, Close)]
    assert closes == [
        ("2024-01", datetime(2024, 2, 1, 3, tzinfo=SHANGHAI)),
        ("2024-02", datetime(2024, 3, 1, 3, tzinfo=SHANGHAI)),
        ("2024-03", datetime(2024, 4, 1, 3, tzinfo=SHANGHAI)),
    ]


def test_events_are_in_the_order_of_time_and_only_neighbouring_calls_go_together() -> None:
    calls = [call(f"c{k}", hour=k % 24) for k in range(60)]
    events = timeline([parcel("a", 26, 8), parcel("b", 27, 8)], calls, date(2022, 4, 26))
    assert [event.at for event in events] == sorted(event.at for event in events)
    groups = list(batches(events))
    assert [event for group in groups for event in group] == events
    assert all(len(group) == 1 or all(isinstance(event, Dial) for event in group) for group in groups)


def test_made_up_phones_are_valid_mobiles_and_always_the_same() -> None:
    phones = [phone_of(f"order {n}") for n in range(1000)]
    assert all(is_mobile(phone) for phone in phones)
    assert phones == [phone_of(f"order {n}") for n in range(1000)]
    assert len(set(phones)) > 990
