from __future__ import annotations

import pytest

from keptd.sessions.ranking import Asked, Date, Turn, dates, is_question, rank


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("what happened on 8 May, 2023?", [Date(2023, 5, 8)]),
        ("on May 8th", [Date(None, 5, 8)]),
        ("in September 2022", [Date(2022, 9, None)]),
        ("in june", [Date(None, 6, None)]),
        ("since 2021", [Date(2021, None, None)]),
        ("on 2024-02-29", [Date(2024, 2, 29)]),
        ("she may come, I march on", []),
    ],
)
def test_a_date_is_read_as_far_as_it_is_named(query: str, expected: list[Date]) -> None:
    assert dates(query) == expected


@pytest.mark.parametrize(
    ("query", "terms", "expected"),
    [("needle", 1, False), ("red apple", 2, False), ("who is it?", 1, False), ("when did Ann paint", 2, True)],
)
def test_a_question_is_told_from_words_to_look_for(query: str, terms: int, expected: bool) -> None:
    assert is_question(query, terms) is expected


def turn(number: int, text: str, score: float = 0.0, terms: int = 0, speaker: str | None = None) -> Turn:
    return Turn(number, 1, number, "user", speaker, text, (2026, 1, 1), 0, score, terms)


def ranked(query: str, *turns: Turn) -> list[int]:
    asked = Asked(query, (2.0, 2.0), (frozenset(("red",)), frozenset(("appl",))))
    return [one.seq for one in rank(asked, turns, {1: 0}, str.split)]


def test_a_turn_far_from_every_word_is_left_out() -> None:
    assert ranked("red apple", turn(1, "red " * 20, 2.0, 1), turn(2, "near " * 20), turn(9, "far " * 20)) == [1, 2]


def test_words_in_the_order_of_the_query_count_more() -> None:
    apart, together = turn(1, "red and some appl " * 4, 4.0, 3), turn(9, "the red appl and some " * 4, 4.0, 3)

    assert ranked("red apple", together, apart) == ranked("red apple", apart, together) == [9, 1]


def test_the_speaker_is_also_read_from_the_beginning_of_the_text() -> None:
    one, other = turn(1, "Ann: " + "red " * 20, 2.0, 1), turn(9, "Bob: " + "red " * 20, 2.0, 1)

    assert ranked("what has Bob in red", one, other)[0] == 9
    assert ranked("what has Ann in red", one, other)[0] == 1
