"""Secrets are taken out of a stream, whatever pieces it comes in."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.vault_run.scrub import SHOWN_BYTES, CannotHide, Scrubber

MARK = b"[vault:n]"

FORMS = st.lists(st.text("ab", min_size=2, max_size=9).map(str.encode), min_size=1, max_size=4, unique=True)
"""Few letters, so that they overlap, hold and continue one another."""


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Forms, and the pieces of a stream in which they stand."""
    forms = draw(FORMS)
    parts = draw(st.lists(st.sampled_from(forms) | st.text("abc", max_size=5).map(str.encode), max_size=12))
    whole = b"".join(parts)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    return forms, [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def through(pieces: Iterable[bytes], forms: list[bytes], pauses: Iterable[bool] = ()) -> bytes:
    """What comes out."""
    scrubber = Scrubber({"n": forms})
    waits = iter(pauses)
    out = b""
    for piece in pieces:
        out += scrubber.feed(piece)
        out += scrubber.pause() if next(waits, False) else b""
    return out + scrubber.close()


def expected(whole: bytes, forms: list[bytes]) -> bytes:
    """The same by other means: the first place counts, and there the longest."""
    longest_first = sorted(forms, key=lambda form: -len(form))
    return re.sub(b"|".join(map(re.escape, longest_first)), MARK, whole)


@given(streams())
def test_the_output_is_the_input_with_marks_whatever_the_pieces(given_: tuple[list[bytes], list[bytes]]) -> None:
    forms, pieces = given_
    out = through(pieces, forms)
    assert out == expected(b"".join(pieces), forms)
    assert not any(form in out for form in forms)


@given(streams(), st.lists(st.booleans(), max_size=14))
def test_a_pause_shows_half_of_a_secret_at_most_and_changes_nothing_else(
    given_: tuple[list[bytes], list[bytes]], pauses: list[bool]
) -> None:
    forms, pieces = given_
    out = through(pieces, forms, pauses)
    assert not any(form in out for form in forms)
    begun = {form[:length] for form in forms for length in range(1, min(len(form) // 2, SHOWN_BYTES) + 1)}
    shown = b"(?:" + b"|".join(map(re.escape, sorted(begun))) + b")?" + re.escape(MARK)
    pattern = shown.join(map(re.escape, expected(b"".join(pieces), forms).split(MARK)))
    assert re.fullmatch(pattern, out)


def test_nothing_is_held_back_that_can_be_no_secret() -> None:
    scrubber = Scrubber({"n": [b"secret"]})
    assert scrubber.feed(b"any words, sec") == b"any words, "
    assert scrubber.holds
    assert scrubber.feed(b"ond") == b"second"
    assert not scrubber.holds


def test_the_end_of_a_question_is_shown_after_a_while() -> None:
    scrubber = Scrubber({"n": [b" hunter2"]})
    assert scrubber.feed(b"Password: ") == b"Password:"
    assert scrubber.pause() == b" "
    assert scrubber.feed(b"hunter2") == MARK
    assert scrubber.close() == b""


def test_more_than_half_of_a_secret_is_not_shown_however_long_it_takes() -> None:
    scrubber = Scrubber({"n": [b"hunter2!"]})
    out = b"".join(scrubber.feed(bytes([letter])) + scrubber.pause() for letter in b"hunter2!")
    assert out == b"hunt" + MARK


def test_of_a_long_secret_a_pause_shows_no_more_than_of_a_short_one() -> None:
    token = b"ghp_" + b"0123456789abcdefghij"
    scrubber = Scrubber({"n": [token]})
    out = b"".join(scrubber.feed(bytes([letter])) + scrubber.pause() for letter in token)
    assert out == b"ghp_" + MARK


def test_a_whole_secret_is_not_shown_while_a_longer_one_may_come() -> None:
    scrubber = Scrubber({"n": [b"x-ab-and-so-on-for-a-while", b"ab"]})
    assert scrubber.feed(b"x-ab") + scrubber.pause() == b"x-"
    assert scrubber.feed(b"!") == MARK + b"!"


@pytest.mark.parametrize(
    ("name", "form", "out"),
    [
        ("n", b"vault", b"*****"),
        ("n", b"secret[", b"*****"),
        ("secret", b"secret", b"[vault]"),
        ("n", b"]secret*", b"<hidden>"),
    ],
)
def test_a_mark_has_nothing_of_the_secret(name: str, form: bytes, out: bytes) -> None:
    scrubber = Scrubber({name: [form]})
    assert scrubber.feed(form + form) + scrubber.close() == out + out


def test_what_stands_for_a_secret_is_chosen_once_for_all_its_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []

    def choose(name: str, _: object) -> bytes:
        chosen.append(name)
        return MARK

    monkeypatch.setattr("kept.vault_run.scrub._mark", choose)
    Scrubber({name: [f"{name}{number}".encode() for number in range(100)] for name in ("one", "two")})
    assert sorted(chosen) == ["one", "two"]


def test_secrets_that_leave_no_mark_are_refused() -> None:
    with pytest.raises(CannotHide):
        Scrubber({"n": [b"][", b"**", b"><", b"##", b"~~", b"\xbd\xef"]})


def test_each_secret_is_called_by_its_name() -> None:
    scrubber = Scrubber({"one": [b"1111"], "two": [b"2222"]})
    assert scrubber.feed(b"1111, 2222.") == b"[vault:one], [vault:two]."
