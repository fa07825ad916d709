"""One instance's configuration: the defaults, every fault at once and by name, and never a value."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.settings import CommonSettings, InstanceSettings, read_instance_settings

REQUIRED = {
    "DISCORD_APPLICATION_ID": "1200000000000000001",
    "DISCORD_PUBLIC_KEY": "ab" * 32,
    "INSTANCE_ID": "2",
    "OPENAI_API_KEY": "sk-recognisable-openai",
    "MINIMAX_API_KEY": "recognisable-minimax",
    "STABILITY_API_KEY": "sk-recognisable-stability",
}

DESIGN = {
    "instance_count": 4,
    "data_dir": Path("data"),
    "store_url": "sqlite:///data/quartet.db",
    "discord_api_url": "https://discord.com/api/v10",
    "openai_base_url": "https://api.openai.com/v1",
    "stability_base_url": "https://api.stability.ai",
    "minimax_base_url": "https://api.minimax.io",
    "openai_rpm": 3500,
    "stability_rpm": 100,
    "minimax_rpd": 100,
    "max_concurrent_jobs": 10,
    "max_queued_jobs": 1000,
    "chat_daily_limit": 1000,
    "image_daily_limit": 50,
    "video_daily_limit": 10,
    "chat_cooldown_s": 0,
    "image_cooldown_s": 1,
    "video_cooldown_s": 2,
    "lease_s": 20,
    "routing": "user",
}
"""The design's table of defaults."""

NUMBERS = {
    "INSTANCE_COUNT": ("1", "16", "0", "17"), "OPENAI_RPM": ("0", "10000000", "-1", "10000001"),
    "STABILITY_RPM": ("0", "10000000", "-1", "1e3"), "MINIMAX_RPD": ("0", "10000000", "-1", "1.5"),
    "MAX_CONCURRENT_JOBS": ("0", "1000", "-1", "1001"), "MAX_QUEUED_JOBS": ("0", "10000000", "-1", "many"),
    "CHAT_DAILY_LIMIT": ("0", "10000000", "-1", "nan"), "IMAGE_DAILY_LIMIT": ("0", "10000000", "-1", "x"),
    "VIDEO_DAILY_LIMIT": ("0", "10000000", "-1", "x"), "CHAT_COOLDOWN_S": ("0", "86400", "-0.1", "nan"),
    "IMAGE_COOLDOWN_S": ("0", "0.5", "inf", "nan"), "VIDEO_COOLDOWN_S": ("0", "86400", "86401", "nan"),
    "CHAT_TIMEOUT_S": ("0.1", "840", "0", "841"), "IMAGE_TIMEOUT_S": ("0.1", "840", "0", "nan"),
    "VIDEO_POLL_S": ("0.1", "120", "0", "121"), "LEASE_S": ("2", "600", "1.9", "nan"),
    "OPENAI_MAX_OUTPUT_TOKENS": ("16", "1000000", "15", "x"), "PORT": ("1", "65535", "0", "65536"),
    "PRICE_IMAGE": ("0", "0.04", "-1", "nan"), "PRICE_UPSCALE": ("0", "0.25", "-1", "x"),
    "PRICE_CHAT_INPUT_PER_MILLION": ("0", "10000", "10001", "x"),
}  # fmt: skip
"""The least and the greatest value a variable takes, and two it refuses."""

BAD_URLS = ["x", "ftp://x", "//x", "https://", "https://x?a=1", "https://x#a", "https://x:99999", "https://[x", "http://:1",
            "https://user:recognisable@x", "https://recognisable@x"]  # fmt: skip
URLS = ["DISCORD_API_URL", "OPENAI_BASE_URL", "STABILITY_BASE_URL", "MINIMAX_BASE_URL"]
IDS = [f"{rule}_{kind}" for rule in ("ALLOWED", "BLOCKED") for kind in ("USERS", "ROLES", "CHANNELS", "GUILDS")]
KEYS = ["OPENAI_API_KEY", "MINIMAX_API_KEY", "STABILITY_API_KEY"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with the required variables and no other."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def read(**variables: str) -> InstanceSettings:
    """Read the environment with some more variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return read_instance_settings()


def faults(**variables: str) -> list[str]:
    """Return the faults of an environment with some more variables."""
    with pytest.raises(SettingsError) as caught:
        read(**variables)
    return caught.value.faults


class TestDefaults:
    @pytest.mark.parametrize("name", DESIGN)
    def test_are_the_designs(self, name: str) -> None:
        """With only the required variables set, everything else has the value the design states."""
        assert getattr(read(), name) == DESIGN[name]

    def test_an_empty_variable_is_an_absent_one(self) -> None:
        """As Compose passes a variable that nobody set."""
        empty = {name.upper(): "" for name in CommonSettings.model_fields if name.upper() not in REQUIRED}
        assert read(**empty) == read()

    def test_a_file_lying_about_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the environment counts."""
        (tmp_path / ".env").write_text("OPENAI_RPM=1\n")
        monkeypatch.chdir(tmp_path)
        assert read().openai_rpm == 3500

    @pytest.mark.parametrize(
        ("variables", "path"),
        [
            ({"DATA_DIR": "/var/lib/quartet"}, "/var/lib/quartet/quartet.db"),
            ({"STORE_URL": "sqlite:////srv/jobs.db"}, "/srv/jobs.db"),
            ({"STORE_URL": "sqlite:///jobs.db"}, "jobs.db"),
            ({"STORE_URL": "sqlite:///${DATA_DIR}/x.db", "DATA_DIR": "/d"}, "/d/x.db"),
        ],
    )
    def test_the_store_lies_where_it_is_said_to(self, variables: dict[str, str], path: str) -> None:
        """`$DATA_DIR` is filled in; three slashes are relative, four absolute."""
        assert read(**variables).sqlite_path == Path(path)


class TestValues:
    @pytest.mark.parametrize("name", NUMBERS)
    def test_a_number_has_its_bounds(self, name: str) -> None:
        """The least and the greatest are taken, what lies beyond or is no number is one fault of that name."""
        least, greatest, *wrong = NUMBERS[name]
        for value in (least, greatest):
            more = {"INSTANCE_ID": "1"} if name == "INSTANCE_COUNT" else {}
            assert getattr(read(**{name: value, **more}), name.lower()) == float(value)
        for value in wrong:
            assert [fault.partition(": ")[0] for fault in faults(**{name: value})].count(name) == 1

    @pytest.mark.parametrize("name", URLS)
    def test_an_address_is_a_whole_http_url(self, name: str) -> None:
        """Trailing slashes and spaces are dropped; anything that is no plain http(s) URL is a fault, also one with a
        password in it, which the HTTP client would send in place of the API key.
        """
        for good in ("http://127.0.0.1:9000", "https://proxy.example/v1/"):
            assert getattr(read(**{name: f" {good}"}), name.lower()) == good.rstrip("/")
        for bad in BAD_URLS:
            (fault,) = faults(**{name: bad})
            assert fault.startswith(f"{name}: ") and "recognisable" not in fault

    @pytest.mark.parametrize("name", KEYS)
    def test_a_key_can_stand_in_a_header(self, name: str) -> None:
        """Surrounding white space goes; a key that can't be sent is a fault, an absent one is said to be missing."""
        assert getattr(read(**{name: " abc\n"}), name.lower()).get_secret_value() == "abc"
        for bad in ("a b", "a\nb", "키", "a\x07b", "   ", "a\u200bb"):
            (fault,) = faults(**{name: bad})
            assert fault.startswith(f"{name}: ")
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(name)
            assert faults() == [f"{name}: is missing"]

    @pytest.mark.parametrize("value", ["", "x", "ab" * 31, "ab" * 33, "zz" * 32, "０" * 64])
    def test_a_public_key_is_64_digits(self, value: str) -> None:
        """Anything else is a fault that says where to find the right one; either case is taken."""
        (fault,) = faults(DISCORD_PUBLIC_KEY=value)
        assert fault.startswith("DISCORD_PUBLIC_KEY: is missing" if not value else "DISCORD_PUBLIC_KEY: is not")
        assert read(DISCORD_PUBLIC_KEY=" " + "AB" * 32).discord_public_key == "ab" * 32

    @pytest.mark.parametrize("value", ["x", "12x", "1" * 21, "-1", "１２"])
    def test_an_application_id_is_digits(self, value: str) -> None:
        """Up to twenty."""
        (fault,) = faults(DISCORD_APPLICATION_ID=value)
        assert fault.startswith("DISCORD_APPLICATION_ID: is not")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ROUTING", "random"), ("LOG_LEVEL", "verbose"), ("STORE_URL", "mysql://localhost/db"), ("STORE_URL", "x"),
            ("STORE_URL", "sqlite:///"), ("INSTANCE_ID", "5"), ("INSTANCE_ID", "0"), ("INSTANCE_ID", "x"),
            ("OPENAI_MODEL", "x" * 201), ("SYSTEM_PROMPT", "x" * 32_001),
        ],
    )  # fmt: skip
    def test_what_is_not_offered_is_a_fault(self, name: str, value: str) -> None:
        """One line, with the variable's name."""
        (fault,) = faults(**{name: value})
        assert fault.startswith(f"{name}: ")

    @pytest.mark.parametrize("name", IDS)
    def test_a_list_of_ids(self, name: str) -> None:
        """Ids with commas between, spaces and trailing commas do no harm; anything else is one fault of that name."""
        assert getattr(read(), name.lower()) == frozenset()
        assert getattr(read(**{name: " 123, 456 ,123,"}), name.lower()) == {"123", "456"}
        for bad in ("@everyone", "123;456", "123 456", "1" * 21, "１２", "-1", '["123"]'):
            (fault,) = faults(**{name: bad})
            assert fault.startswith(f"{name}: is not a list of ids")

    def test_quotas_of_roles(self) -> None:
        """Pairs of a role and its jobs a day; a pair that is none is a fault, whatever the others are."""
        assert read().role_daily_quotas == {}
        assert read(ROLE_DAILY_QUOTAS="12=50, 34 = 0,").role_daily_quotas == {"12": 50, "34": 0}
        for bad in ("12", "12=", "=5", "a=5", "12=x", "12=-1", "12=5=6", "12=5;34=6", "12=99999999"):
            (fault,) = faults(ROLE_DAILY_QUOTAS=f"1=1,{bad}")
            assert fault.startswith("ROLE_DAILY_QUOTAS: is not a list of quotas")

    def test_further_models(self) -> None:
        """In the order given, each once; a name that can't be a choice in Discord is a fault."""
        assert read().chat_models == ()
        assert read(CHAT_MODELS="b, a,b,").chat_models == ("b", "a")
        for bad in ("a b", "x" * 101, "a\tb"):
            (fault,) = faults(CHAT_MODELS=bad)
            assert fault.startswith("CHAT_MODELS: is not a list of models")

    def test_an_instance_lies_within_the_count(self) -> None:
        """The message names the other variable."""
        assert "INSTANCE_COUNT" in faults(INSTANCE_COUNT="2", INSTANCE_ID="3")[0]


class TestFaults:
    def test_all_at_once(self, environment: pytest.MonkeyPatch) -> None:
        """An empty environment names every required variable, each on its line."""
        for name in REQUIRED:
            environment.delenv(name)
        assert sorted(faults()) == sorted(f"{name}: is missing" for name in REQUIRED)

    def test_every_variable_at_once(self) -> None:
        """With every variable wrong, every variable is named exactly once, and so is each in the error's own text."""
        wrong = _wrong_everywhere()
        named = [fault.partition(":")[0] for fault in faults(**wrong)]
        assert sorted(named) == sorted(wrong)
        with pytest.raises(SettingsError) as caught:
            read(**wrong)
        assert all(name in str(caught.value) for name in wrong)


def _variables() -> list[str]:
    return [name.upper() for name in InstanceSettings.model_fields]


_FREE = {"DATA_DIR", "DISCORD_TOKEN", "HOST"}
"""Variables that take any text."""


def _wrong_everywhere() -> dict[str, str]:
    """Return a value for every variable that it does not take."""
    long = {"OPENAI_MODEL", "MINIMAX_IMAGE_MODEL", "MINIMAX_VIDEO_MODEL", "SYSTEM_PROMPT"}
    secret = "recognisable secret 1234"
    return {name: (secret * 2000 if name in long else secret) for name in _variables() if name not in _FREE}


class TestSecrecy:
    def test_no_fault_repeats_a_value(self) -> None:
        """Whatever was pasted into whichever variable, no message, traceback or representation of the error has it."""
        for name in _variables():
            values = [
                _wrong_everywhere().get(name, "recognisable secret 1234"),
                "recognisable-1234",
                "https://recognisable",
            ]
            for value in values:
                try:
                    settings: Any = read(**{name: value})
                    assert "recognisable" not in repr(settings) + str(settings), name
                except SettingsError as error:
                    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.faults)
                    assert "recognisable" not in shown.replace(os.fspath(Path(__file__)), ""), name

    def test_a_good_configuration_shows_no_text(self) -> None:
        """`repr` and `str` hold the numbers that help, and none of the texts, secret or not."""
        given = dict.fromkeys((*KEYS, "DISCORD_TOKEN", "OPENAI_MODEL", "SYSTEM_PROMPT", "HOST"), "recognisable-1234")
        given |= {"DATA_DIR": "/recognisable", **dict.fromkeys(URLS, "https://recognisable.example")}
        settings = read(**given)
        for shown in (repr(settings), str(settings), f"{settings!r:>9}", repr([settings])):
            assert "recognisable" not in shown
            assert "instance_id=2" in shown and "openai_rpm=3500" in shown

    def test_the_list_for_redaction_is_complete(self) -> None:
        """Every variable that is a secret is on it; an absent token is not, since masking "" would mask everything."""
        secrets = {
            "DISCORD_TOKEN": "t-1",
            "OPENAI_API_KEY": "k-1",
            "MINIMAX_API_KEY": "k-2",
            "STABILITY_API_KEY": "k-3",
        }
        assert sorted(read(**secrets).secrets) == sorted(secrets.values())
        assert len(read().secrets) == 3
        named = {name for name in _variables() if name.endswith(("_KEY", "_TOKEN", "_SECRET", "_PASSWORD"))}
        assert named - {"DISCORD_PUBLIC_KEY"} == set(secrets)
