"""Rows of each vendor's file as calls: times, who dialled, what nobody answered, and rows that are none."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from vnum.carrier import CallFile, CarrierCall, Form, zone_named

HUAWEI = {
    "direction": "0",
    "icid": "ba171f34e6953fcd751edc77127748f4.3757223714.337238282.9",
    "bindNum": "+8618400913965",
    "sessionId": "1200_1029_4294967295_20261005040114@callenabler246",
    "callerNum": "+8613800000000",
    "calleeNum": "+8618400913965",
    "extendNum": "7576",
    "fwdDstNum": "+8613900000000",
    "callInTime": "2026-10-05 04:01:14",
    "fwdStartTime": "2026-10-05 04:01:15",
    "fwdAlertingTime": "2026-10-05 04:01:21",
    "fwdAnswerTime": "2026-10-05 04:01:36",
    "callEndTime": "2026-10-05 04:02:41",
    "failTime": "",
    "fwdUnaswRsn": "0",
    "ulFailReason": "0",
}
ALIBABA = {
    "call_id": "43612633712c",
    "phone_no": "13900000000",
    "secret_no": "18400913965",
    "peer_no": "13800000000",
    "extension": "7576",
    "call_type": "1",
    "call_time": "2026-10-05 12:01:14",
    "start_time": "2026-10-05 12:01:36",
    "call_out_time": "2026-10-05 12:01:15",
    "ring_time": "2026-10-05 12:01:20",
    "free_ring_time": "2026-10-05 12:01:21",
    "release_time": "2026-10-05 12:02:41",
    "release_dir": "1",
    "release_cause": "16",
    "unconnected_cause": "0",
}
ASTERISK = {
    "accountcode": "",
    "src": "18400913965",
    "dst": "18400913965",
    "dcontext": "vnum",
    "clid": '"" <18400913965>',
    "channel": "PJSIP/in-0001",
    "dstchannel": "PJSIP/out-0002",
    "lastapp": "Dial",
    "lastdata": "PJSIP/x@out,30",
    "start": "2026-10-05 12:01:14",
    "answer": "2026-10-05 12:01:14",
    "end": "2026-10-05 12:02:41",
    "duration": "87",
    "billsec": "87",
    "disposition": "ANSWERED",
    "amaflags": "DOCUMENTATION",
    "uniqueid": "1791172874.12",
    "userfield": "caller=13800000000;ext=7576;answer=2026-10-05 12:01:36",
}
PLAIN = {
    "call_id": "c-1",
    "host": "18400913965",
    "extension": "7576",
    "caller": "13800000000",
    "call_time": "2026-10-05T12:01:14+08:00",
    "ring_time": "2026-10-05T12:01:21+08:00",
    "answer_time": "2026-10-05T12:01:36+08:00",
    "release_time": "2026-10-05T12:02:41+08:00",
    "release_dir": "1",
    "release_cause": "16",
}
DIALLED = datetime(2026, 10, 5, 4, 1, 14, tzinfo=UTC)
ANSWERED = datetime(2026, 10, 5, 4, 1, 36, tzinfo=UTC)
RELEASED = datetime(2026, 10, 5, 4, 2, 41, tzinfo=UTC)
VENDORS = {Form.HUAWEI: HUAWEI, Form.ALIBABA: ALIBABA, Form.ASTERISK: ASTERISK, Form.PLAIN: PLAIN}


def line(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def read(form: Form, zone: str | None = None, **changed: str) -> Any:
    """The one row of a file of that vendor, with some cells changed."""
    row = VENDORS[form] | changed
    lines = [] if form is Form.ASTERISK else [line(list(row))]
    text = "\n".join([*lines, line(list(row.values()))])
    chosen = zone or ("Asia/Shanghai" if form is Form.ASTERISK else None)
    file = CallFile(None, zone_named(chosen) if chosen else None)
    (found,) = [*file.feed(text.encode()), *file.end()]
    assert file.form is form
    return found


def call(form: Form, zone: str | None = None, **changed: str) -> CarrierCall:
    found = read(form, zone, **changed)
    assert found.reason is None, found.reason
    return found.call


def reason(form: Form, **changed: str) -> str:
    found = read(form, **changed)
    assert found.call is None
    return found.reason


@pytest.mark.parametrize("form", list(Form))
def test_every_vendor_writes_the_same_call(form: Form) -> None:
    found = call(form)
    assert found.host.endswith("18400913965")
    assert found.caller.endswith("13800000000")
    assert found.extension == "7576"
    assert (found.call_time, found.answer_time, found.release_time) == (DIALLED, ANSWERED, RELEASED)


@pytest.mark.parametrize("form", [Form.HUAWEI, Form.ALIBABA, Form.PLAIN])
def test_the_ring_is_told(form: Form) -> None:
    assert call(form).ring_time == datetime(2026, 10, 5, 4, 1, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "changed", "answered"),
    [
        (Form.HUAWEI, {"fwdAnswerTime": ""}, None),
        (Form.ALIBABA, {"start_time": "2026-10-05 12:02:41"}, None),
        (Form.ALIBABA, {"start_time": "2026-10-05 12:02:41", "call_type": "4"}, None),
        (Form.ASTERISK, {"userfield": "caller=13800000000;ext=7576;answer="}, None),
        (Form.PLAIN, {"answer_time": ""}, None),
    ],
)
def test_what_nobody_answered(form: Form, changed: dict[str, str], answered: datetime | None) -> None:
    found = call(form, **changed)
    assert found.answer_time is answered
    assert found.release_time == RELEASED


@pytest.mark.parametrize(
    ("form", "zone", "changed", "dialled"),
    [
        (Form.HUAWEI, None, {"callInTime": "2026-10-31 16:00:00"}, "2026-10-31T16:00:00+00:00"),
        (Form.HUAWEI, "Asia/Shanghai", {}, "2026-10-05T04:01:14+08:00"),
        (Form.ALIBABA, None, {"call_time": "2026-10-05 00:00:00"}, "2026-10-04T16:00:00+00:00"),
        (Form.ALIBABA, "UTC", {}, "2026-10-05T12:01:14+00:00"),
        (Form.ALIBABA, "UTC", {"call_time": "2026-10-05 12:01:14+09:00"}, "2026-10-05T12:01:14+09:00"),
        (Form.ASTERISK, "UTC", {}, "2026-10-05T12:01:14+00:00"),
        (Form.PLAIN, None, {"call_time": "2026-10-05T12:01:14.250Z"}, "2026-10-05T12:01:14.250+00:00"),
        (Form.PLAIN, "Asia/Shanghai", {"call_time": "2026-10-05 12:01:14"}, "2026-10-05T12:01:14+08:00"),
        (Form.PLAIN, "Europe/Berlin", {"call_time": "2026-10-04 12:01:14"}, "2026-10-04T12:01:14+02:00"),
    ],
)
def test_zones(form: Form, zone: str | None, changed: dict[str, str], dialled: str) -> None:
    assert call(form, zone, **changed).call_time == datetime.fromisoformat(dialled)


def test_a_call_over_midnight_of_a_month() -> None:
    times = {"call_time": "2026-10-31 23:59:50", "start_time": "2026-10-31 23:59:59"}
    found = call(
        Form.ALIBABA, **times, release_time="2026-11-01 00:00:59", **{"call_out_time": "", "free_ring_time": ""}
    )
    assert found.answer_time is not None
    assert found.release_time - found.answer_time == timedelta(seconds=60)


@pytest.mark.parametrize("wall", ["2026-03-29 02:30:00", "2026-10-25 02:30:00"])
def test_an_hour_that_a_zone_skips_or_has_twice_is_not_guessed(wall: str) -> None:
    found = read(Form.PLAIN, "Europe/Berlin", call_time=wall)
    assert "where clocks are changed" in found.reason


@pytest.mark.parametrize(("call_type", "caller"), [("0", "13900000000"), ("1", "13800000000"), ("4", "13800000000")])
def test_alibaba_says_who_dialled_by_the_type(call_type: str, caller: str) -> None:
    assert call(Form.ALIBABA, call_type=call_type).caller == caller


def test_alibaba_steps_that_did_not_happen_are_no_ring() -> None:
    assert (
        call(Form.ALIBABA, ring_time=ALIBABA["call_out_time"], free_ring_time=ALIBABA["call_out_time"]).ring_time
        is None
    )


def test_huawei_calls_that_failed_bear_another_end() -> None:
    found = call(Form.HUAWEI, callEndTime="", fwdAnswerTime="", failTime="2026-10-05 04:01:20", fwdUnaswRsn="31")
    assert (found.release_time.second, found.release_cause, found.answer_time) == (20, 31, None)


def test_a_huawei_session_that_holds_phones_is_no_call_id() -> None:
    session = "+8613442977762_+8615006212131_4_627e5c1f_963036_669_1_0"
    assert call(Form.HUAWEI, sessionId=session).call_id == HUAWEI["icid"]
    assert "icid" in reason(Form.HUAWEI, sessionId=session, icid="")
    assert call(Form.HUAWEI).call_id == HUAWEI["sessionId"]


@pytest.mark.parametrize(
    ("userfield", "seconds"),
    [
        ("caller=13800000000;ext=7576;answer=1791172896", 65),
        ("caller=13800000000;ext=7576;answer=1791172896.75", 64),
        ("caller=13800000000;ext=7576;answer=2026-10-05T04:01:36Z", 65),
        ("ext=7576; answer=2026-10-05 12:01:36 ;caller=13800000000", 65),
        ("caller=13800000000;ext=7576;answer=1791172896;caller=13800000000;ext=7576;answer=1791172896", 65),
        ("caller=13800000000;ext=7576;answer=1791172961.9", 0),
    ],
)
def test_asterisk_counts_from_the_callees_answer(userfield: str, seconds: int) -> None:
    """Never the 87 seconds of billsec, which contain the prompt."""
    found = call(Form.ASTERISK, userfield=userfield)
    assert found.answer_time is not None
    assert int((found.release_time - found.answer_time).total_seconds()) == seconds
    assert (found.seconds, found.minutes, found.cost) == (None, None, None)


@pytest.mark.parametrize(
    "userfield", ["", "7576", "caller=13800000000;ext=7576", "ext=7576;answer=", "answer=1791172896;caller=1"]
)
def test_asterisk_rows_that_would_bill_the_prompt_are_refused(userfield: str) -> None:
    assert "billsec counts the prompt" in reason(Form.ASTERISK, userfield=userfield)


def test_asterisk_may_name_host_and_id() -> None:
    told = "host=18400913966;call_id=abc;caller=13800000000;ext=;answer="
    found = call(Form.ASTERISK, userfield=told, dst="s")
    assert (found.host, found.call_id, found.extension) == ("18400913966", "abc", None)
    assert "two different things" in reason(Form.ASTERISK, userfield=told + ";ext=1")


def test_a_plain_file_says_what_the_carrier_counted() -> None:
    found = call(Form.PLAIN, seconds="65", minutes="2", cost="0.030")
    assert (found.seconds, found.minutes, found.cost) == (65, 2, Decimal("0.030"))


@pytest.mark.parametrize(
    ("form", "changed", "said"),
    [
        (Form.HUAWEI, {"sessionId": ""}, "sessionId is empty"),
        (Form.HUAWEI, {"callEndTime": ""}, "callEndTime is empty"),
        (Form.HUAWEI, {"callInTime": "2026/10/05 04:01:14"}, "callInTime is not a time"),
        (Form.HUAWEI, {"callInTime": "2026-10-05"}, "callInTime is not a time"),
        (Form.HUAWEI, {"callInTime": "2026-10-05 04:01"}, "callInTime is not a time"),
        (Form.HUAWEI, {"callInTime": "2026-02-30 04:01:14"}, "callInTime is not a time"),
        (Form.HUAWEI, {"callInTime": "２０２６-10-05 04:01:14"}, "callInTime is not a time"),
        (Form.HUAWEI, {"callInTime": "0001-01-01 00:00:00"}, "the years"),
        (Form.HUAWEI, {"fwdAnswerTime": "soon"}, "fwdAnswerTime is not a time"),
        (Form.HUAWEI, {"callInTime": "2026-08-05 04:01:14"}, "a week apart"),
        (Form.PLAIN, {"call_time": "2026-10-05 12:01:1499"}, "call_time is not a time"),
        (Form.PLAIN, {"call_time": "2026-10-05 23:59:60"}, "call_time is not a time"),
        (Form.ALIBABA, {"call_id": "1.23457E+14"}, "cut by a spreadsheet"),
        (Form.PLAIN, {"call_id": "9E+21"}, "cut by a spreadsheet"),
        (Form.ALIBABA, {"call_id": "13800000000-77"}, "a phone stands in the call id"),
        (Form.ASTERISK, {"uniqueid": "in_+8613800000000_4"}, "a phone stands in the call id"),
        (Form.ALIBABA, {"call_type": "3"}, "a text message"),
        (Form.ALIBABA, {"call_type": "9"}, "call_type must be"),
        (Form.ALIBABA, {"secret_no": " "}, "secret_no is empty"),
        (Form.ALIBABA, {"start_time": ""}, "start_time is empty"),
        (Form.ASTERISK, {"end": ""}, "end is empty"),
        (Form.ASTERISK, {"userfield": "caller=1;ext=1;answer=later"}, "answer= is not a time"),
        (Form.PLAIN, {"call_time": "2026-10-05T12:01:14"}, "no offset"),
        (Form.PLAIN, {"call_id": "13812345678"}, "the call id is a phone"),
        (Form.ALIBABA, {"call_id": "+8613812345678"}, "the call id is a phone"),
        (Form.PLAIN, {"release_dir": "3"}, "release_dir must be"),
        (Form.PLAIN, {"release_cause": "-1"}, "release_cause must be"),
    ],
)
def test_rows_that_are_no_call(form: Form, changed: dict[str, str], said: str) -> None:
    assert said in reason(form, **changed)


@pytest.mark.parametrize("column", ["seconds", "minutes", "cost"])
@pytest.mark.parametrize("value", ["-1", "1e3", "NaN", "一", "1,5", "9999999999999"])
def test_figures_that_are_none(column: str, value: str) -> None:
    assert column in reason(Form.PLAIN, **{column: value})


@pytest.mark.parametrize("form", list(Form))
def test_no_reason_quotes_a_phone(form: Form) -> None:
    phone = "13812345678"
    for column in VENDORS[form]:
        found = read(form, **{column: phone}) if column not in {"duration", "billsec", "start"} else None
        assert found is None or phone not in (found.reason or "")


@pytest.mark.parametrize(
    "call_id",
    ["7f3a0c52-7f00-7000-b40f-a13812345678", "138123456789", "1791172874.13812", "c13812345678x", "2026100513812"],
)
def test_call_ids_of_many_digits_are_no_phones(call_id: str) -> None:
    assert call(Form.PLAIN, call_id=call_id).call_id == call_id


def test_numbers_that_were_kept_from_a_spreadsheet() -> None:
    found = call(Form.PLAIN, call_id='="43612633712"', host='="18400913965"', extension='=""')
    assert (found.call_id, found.host, found.extension) == ("43612633712", "18400913965", None)
