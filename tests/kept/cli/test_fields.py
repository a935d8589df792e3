"""Text to values: times and whole numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec import Struct

from kept.cli.fields import fields_of
from kept.cli.parse import Command, parse
from kept.cli.surface import Surface, UsageError
from kept.wire.journal import ListActions
from kept.wire.memory import SetMemory

from .typing_at import NOW, Recorder, type_in


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5+02:00", datetime(2026, 1, 31, 12, 0, 0, 500_000, timezone(timedelta(hours=2)))),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("3d", NOW - timedelta(days=3)),
        ("2h ago", NOW - timedelta(hours=2)),
        ("30m", NOW - timedelta(minutes=30)),
        ("+1w", NOW + timedelta(weeks=1)),
        ("in 5 s", NOW + timedelta(seconds=5)),
    ],
)
def test_a_time_is_rfc_3339_a_date_or_a_span(recorder: Recorder, text: str, moment: datetime) -> None:
    type_in(["action", "list", "--since", text], recorder)
    assert recorder.last == ListActions(since=moment)


def test_a_span_without_a_direction_is_only_taken_where_it_means_the_past(recorder: Recorder) -> None:
    assert type_in("memory set k v --expires-at 2h", recorder).code == 2
    type_in("memory set k v --expires-at +2h", recorder)
    assert recorder.last == SetMemory(key="k", value="v", expires_at=NOW + timedelta(hours=2))


@pytest.mark.parametrize("text", ["999999w ago", "+999999w", "in 2h ago", "2026-13-01", "10:00", "٣d", "", "1" * 5000])
def test_what_is_no_time_is_refused(recorder: Recorder, text: str) -> None:
    assert type_in(["action", "list", "--since", text], recorder).code == 2


@pytest.mark.parametrize("text", ["1_000", " 5", "\u0665", "5.0", "0x5", "", "9" * 5000])
def test_a_whole_number_is_ascii_digits(recorder: Recorder, text: str) -> None:
    assert type_in(["action", "list", "--limit", text], recorder).code == 2


class Flags(Struct, frozen=True, kw_only=True):
    """Some flags."""

    dry_run: bool = False
    colour: bool = True
    sure: bool


def test_a_boolean_is_a_flag_and_a_required_one_a_word() -> None:
    kinds = {field.option: (field.kind, tuple(field.choices)) for field in fields_of(Flags)}
    assert kinds == {"--dry-run": ("flag", ()), "--colour": ("flag", ()), "--sure": ("choice", ("true", "false"))}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--sure true", Flags(sure=True)),
        ("--dry-run --sure=false", Flags(dry_run=True, sure=False)),
        ("--no-dry-run --no-colour --sure true", Flags(colour=False, sure=True)),
    ],
)
def test_flags_are_set_and_unset(words: str, wanted: Flags) -> None:
    command = Command(("try",), Flags, lambda *_: 0)
    assert parse(command, words.split(), Surface(str, str))[0] == wanted


@pytest.mark.parametrize("words", ["--dry-run=yes --sure true", "--no-sure --sure true", "--sure perhaps", "--json=1"])
def test_a_flag_takes_no_value_and_only_a_flag_can_be_unset(words: str) -> None:
    with pytest.raises(UsageError):
        parse(Command(("try",), Flags, lambda *_: 0), words.split(), Surface(str, str))


def test_a_flag_with_a_value_is_told_how_it_is_set() -> None:
    with pytest.raises(UsageError, match="--dry-run takes no value") as refused:
        parse(Command(("try",), Flags, lambda *_: 0), ["--dry-run=perhaps"], Surface(str, str))
    assert refused.value.hint == "--dry-run says yes, and --no-dry-run no."


class Odd(Struct):
    """A field that no text can give."""

    raw: bytes


def test_a_type_without_a_form_as_text_is_refused_when_the_command_is_built() -> None:
    with pytest.raises(TypeError, match=r"Odd\.raw"):
        fields_of(Odd)
