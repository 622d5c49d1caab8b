"""Settings: what the environment may say, and what is a typing error."""

from pathlib import Path

import pytest

from vnum.model.call_policy import PlatformPolicy, Quiet
from vnum.settings import SettingsError, read


def test_nothing_said_means_embedded_servers() -> None:
    settings = read({})
    assert settings.embedded
    assert settings.redis_url is None
    assert (settings.schema, settings.cells, settings.port) == ("vnum", 1, 8080)


def test_every_setting_is_an_environment_variable() -> None:
    settings = read(
        {"VNUM_DATA_DIR": "/data", "VNUM_POSTGRES_DSN": "postgresql://x", "VNUM_CELLS": "16", "PATH": "/bin"}
    )
    assert settings.data_dir == Path("/data")
    assert settings.cells == 16
    assert not settings.embedded
    assert settings.key_file == Path("/data/master.key")


def test_the_key_may_lie_elsewhere() -> None:
    assert read({"VNUM_MASTER_KEY_FILE": "/safe/key", "VNUM_DATA_DIR": "/data"}).key_file == Path("/safe/key")


def test_who_issues_is_said_or_not() -> None:
    settings = read({})
    assert (settings.issuer_name, settings.issuer_tax_no, settings.fapiao_item) == (None, None, None)
    said = {
        "VNUM_ISSUER_NAME": "杭州某某 Ltd",
        "VNUM_ISSUER_TAX_NO": "91330100MA2BBBBB2Y",
        "VNUM_FAPIAO_ITEM": "通信费",
    }
    settings = read(said)
    assert [settings.issuer_name, settings.issuer_tax_no, settings.fapiao_item] == list(said.values())


def test_the_policy_of_merchants_who_set_none() -> None:
    assert read({}).calls == PlatformPolicy()
    said = read({"VNUM_CALL_POLICY": '{"all_calls_per_day": 9, "quiet": {"from": "22:00", "to": "07:00"}}'}).calls
    assert (said.all_calls_per_day, said.quiet) == (9, Quiet(since="22:00", until="07:00"))


def test_an_empty_variable_is_not_set() -> None:
    assert read({"VNUM_POSTGRES_DSN": "", "VNUM_PORT": ""}).port == 8080


@pytest.mark.parametrize("name", ["VNUM_POSTGRES_DNS", "VNUM_", "VNUM_REDIS", "VNUM_CELL"])
def test_an_unknown_name_is_a_typing_error(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {name}; there are VNUM_"):
        read({name: "1"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("VNUM_CELLS", "0"),
        ("VNUM_CELLS", "4097"),
        ("VNUM_CELLS", "many"),
        ("VNUM_PORT", "0"),
        ("VNUM_PORT", "65536"),
        ("VNUM_PORT", "http"),
        ("VNUM_POSTGRES_CONNECTIONS", "1"),
        ("VNUM_POSTGRES_CONNECTIONS", "65"),
        ("VNUM_STATEMENT_TIMEOUT_S", "0"),
        ("VNUM_MAX_CALL_SECONDS", "86401"),
        ("VNUM_CALL_POLICY", "{"),
        ("VNUM_CALL_POLICY", '{"calls_per_day": 0}'),
        ("VNUM_CALL_POLICY", '{"surprise": 1}'),
        ("VNUM_ISSUER", "V N"),
        ("VNUM_ISSUER_NAME", " "),
        ("VNUM_ISSUER_NAME", "x" * 101),
        ("VNUM_ISSUER_NAME", "two\nlines"),
        ("VNUM_ISSUER_TAX_NO", "91330100ma2bbbbb2y"),
        ("VNUM_ISSUER_TAX_NO", "9133"),
        ("VNUM_FAPIAO_ITEM", "\u202e"),
        ("VNUM_FAPIAO_ITEM", "\t"),
        ("VNUM_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_out_of_range_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match="VNUM_"):
        read({name: text})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        read({"VNUM_CELLS": "0", "VNUM_PORT": "0"})
    assert "VNUM_CELLS" in str(error.value)
    assert "VNUM_PORT" in str(error.value)


def test_the_master_key_comes_from_one_place() -> None:
    assert read({"VNUM_MASTER_KEY": "1:ab"}).key_place.named == "VNUM_MASTER_KEY"
    assert read({"VNUM_MASTER_KEY_COMMAND": "kms x"}).key_place.command == "kms x"
    both = {"VNUM_MASTER_KEY": "1:" + "ab" * 32, "VNUM_MASTER_KEY_COMMAND": "kms"}
    with pytest.raises(SettingsError, match="give one of VNUM_MASTER_KEY_FILE, VNUM_MASTER_KEY and") as error:
        read(both)
    assert "abab" not in str(error.value)


def test_no_key_is_shown_with_the_settings() -> None:
    settings = read({"VNUM_MASTER_KEY": "1:" + "ab" * 32})
    assert "abab" not in repr(settings)
    assert "abab" not in repr(settings.key_place)
