"""The settings: precedence, refusals, what a reload applies, and the example file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptd import config
from keptd.config import Config, ConfigError, Limits, load

ROOT = Path(__file__).parents[2]


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def refusal(
    file: Path | None = None, environ: dict[str, str] | None = None, overrides: tuple[str, ...] = ()
) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        load(file, environ or {}, overrides)
    return refused.value


def test_the_example_file_is_the_generated_one() -> None:
    assert (ROOT / "config.example.toml").read_text() == config.example(), (
        "run: python -m keptd.config > config.example.toml"
    )


def test_the_example_file_loads_and_gives_the_defaults() -> None:
    assert load(ROOT / "config.example.toml", {}) == Config()


def test_every_default_is_within_its_own_limits() -> None:
    for setting in config.settings().values():
        assert msgspec.convert(setting.default, setting.kind, strict=True) == setting.default


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml", {}) == load(None, {}) == Config()


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, "[limits]\nin_flight = 2\nbatch = 2\nconnections = 2\n")
    environ = {"KEPT_LIMITS_BATCH": "3", "KEPT_LIMITS_CONNECTIONS": "3"}
    assert load(file, environ, ["limits.connections=4"]) == Config(limits=Limits(in_flight=2, batch=3, connections=4))


def test_the_later_of_two_options_wins() -> None:
    assert load(None, {}, ["limits.batch=3", "limits.batch = 4"]).limits.batch == 4


def test_text_from_outside_the_file_becomes_the_type_of_the_setting() -> None:
    environ = {"KEPT_MIRROR_ENABLED": "false", "KEPT_STORAGE_READ_SECONDS": "0.5", "KEPT_SECRETS_ON_SECRET": "redact"}
    loaded = load(None, environ)
    assert (loaded.mirror.enabled, loaded.storage.read_seconds, loaded.secrets.on_secret) == (False, 0.5, "redact")


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("[limits]\nin_fligth = 2", "limits.in_fligth", "did you mean limits.in_flight?"),
        ("[limit]\nin_flight = 2", "limit", "did you mean limits?"),
        ("[limits]\nzzz = 2", "limits.zzz", "config.example.toml lists all"),
        ("limits = 3", "limits", "expected a section, [limits]"),
        ("[limits]\nin_flight = '2'", "limits.in_flight", "expected a whole number from 1 to 65_536"),
        ("[limits]\nin_flight = true", "limits.in_flight", "expected a whole number from 1 to 65_536"),
        ("[limits]\nin_flight = 0", "limits.in_flight", "expected a whole number from 1 to 65_536"),
        ("[storage]\nread_seconds = nan", "storage.read_seconds", "expected a number from 0.01 to 3_600"),
        ("[storage]\nread_seconds = inf", "storage.read_seconds", "expected a number from 0.01 to 3_600"),
        ("[secrets]\non_secret = 'ask'", "secrets.on_secret", "expected one of refuse, redact, allow"),
        ("[mirror]\nenabled = 1", "mirror.enabled", "expected true or false"),
        ("[limits", "", "expected TOML"),
        ("a = " + "[" * 5000, "", "expected TOML"),
    ],
)
def test_a_fault_in_the_file_names_the_file_the_key_and_what_was_expected(
    tmp_path: Path, text: str, key: str, expected: str
) -> None:
    file = written(tmp_path, text)
    error = refusal(file)
    assert (error.source, error.key) == (str(file), key)
    assert expected in str(error)
    assert str(file) in str(error)


def test_a_file_that_is_too_long_not_utf_8_or_no_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"#" * (config.FILE_BYTES + 1))
    assert "at most" in refusal(file).expected
    file.write_bytes(b"# \xff")
    assert "UTF-8" in refusal(file).expected
    assert "can't be read" in refusal(tmp_path).expected
    file.unlink()
    os.mkfifo(file)
    assert "no regular file" in refusal(file).expected


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("KEPT_LIMITS_IN_FLIGTH", "2", "did you mean KEPT_LIMITS_IN_FLIGHT?"),
        ("KEPT_LIMTS_IN_FLIGHT", "2", "did you mean KEPT_LIMITS_IN_FLIGHT?"),
        ("KEPT_LIMITS_IN_FLIGHT", "many", "expected a whole number"),
        ("KEPT_LIMITS_IN_FLIGHT", "", "expected a whole number"),
        ("KEPT_MIRROR_ENABLED", "perhaps", "expected true or false"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(variable: str, value: str, expected: str) -> None:
    error = refusal(environ={variable: value})
    assert (error.source, error.key) == ("environment", variable)
    assert expected in error.expected


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = {
        "KEPT_HOME": "/x",
        "KEPT_SOCKET": "/x/s",
        "KEPT_STATE_FILE": "/x/f",
        "KEPT_LOG": "x",
        "HOME": "/",
        "KEPT_": "",
    }
    assert load(None, environ) == Config()


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [
        ("limits.connections", "limits.connections", "section.key=value"),
        ("limits.conections=1", "limits.conections", "did you mean limits.connections?"),
        ("connections=1", "connections", "did you mean limits.connections?"),
        ("limits.connections=0", "limits.connections", "expected a whole number"),
    ],
)
def test_a_fault_in_an_option_names_it(override: str, key: str, expected: str) -> None:
    error = refusal(overrides=(override,))
    assert (error.source, error.key) == ("--set", key)
    assert expected in error.expected


def test_a_refusal_does_not_repeat_the_value(tmp_path: Path) -> None:
    assert "hunter2" not in str(refusal(written(tmp_path, "[secrets]\non_secret = 'hunter2'")))


def test_changes_tells_what_takes_effect_from_what_needs_a_restart() -> None:
    new = load(None, {}, ["secrets.on_secret=allow", "storage.readers=3"])
    assert config.changes(Config(), new) == (("secrets.on_secret",), ("storage.readers",))
    assert config.changes(new, new) == ((), ())
    assert config.apply(Config(), new) == load(None, {}, ["secrets.on_secret=allow"])


@given(st.sampled_from(sorted(config.settings())), st.text(max_size=20) | st.integers().map(str) | st.floats().map(str))
def test_any_text_for_any_setting_is_taken_within_its_limits_or_refused(name: str, text: str) -> None:
    setting = config.settings()[name]
    try:
        loaded = load(None, {setting.variable: text})
    except ConfigError:
        loaded = Config()
    value = getattr(getattr(loaded, setting.section), setting.key)
    assert msgspec.convert(value, setting.kind) == value
