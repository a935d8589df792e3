from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kept.wire.errors import InvalidParams
from keptd.store import search
from keptd.store.database import open_reader, open_writer
from keptd.store.queries import TERMS
from keptd.store.search import Index, json_text
from keptd.store.snippets import SNIPPET_LENGTH, snippet

DEEP = st.integers(1, 499).map(lambda depth: "(" * depth + "a" + ")" * depth)

INDEX = Index("thing_text", {"title": 3.0, "body": 1.0})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_writer(tmp_path / "kept.db")
    opened.execute(INDEX.create_sql())
    yield opened
    opened.close()


def fill(db: apsw.Connection, *bodies: str) -> None:
    for rowid, body in enumerate(bodies, 1):
        INDEX.add(db, rowid, ("", body))


def found(db: apsw.Connection, query: str, **options: Any) -> list[int]:
    return [hit.rowid for hit in INDEX.search(db, query, **options)]


def test_a_word_finds_its_stem_in_any_case_and_accent(db: apsw.Connection) -> None:
    fill(db, "Running the CAFÉ", "walks")

    assert found(db, "runs cafe") == [1]


def test_rows_with_all_words_come_alone(db: apsw.Connection) -> None:
    fill(db, "red apple", "red", "apple")

    assert found(db, "apple red") == [1]


def test_without_a_row_that_has_all_words_rows_with_any_are_found_rarest_first(db: apsw.Connection) -> None:
    fill(db, "red", "red", "blue")

    assert found(db, "red blue green") == [3, 2, 1]


def test_a_common_word_does_not_crowd_out_the_rare_ones(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CANDIDATES", 3)
    fill(db, "rare", *["common"] * 5)

    assert found(db, "rare common") == [1]


def test_equal_rows_come_newest_first_and_scores_fall(db: apsw.Connection) -> None:
    fill(db, "word", "word and much else besides it", "word")
    hits = INDEX.search(db, "word")

    assert [hit.rowid for hit in hits] == [3, 1, 2]
    assert hits[0].score == hits[1].score > hits[2].score > 0


def test_a_hit_in_a_weightier_column_counts_more(db: apsw.Connection) -> None:
    INDEX.add(db, 1, ("word", "other"))
    INDEX.add(db, 2, ("other", "word"))

    assert found(db, "word") == [1, 2]


def test_a_rarer_word_counts_more(db: apsw.Connection) -> None:
    fill(db, "common common rare", "rare rare common", *["common"] * 10)

    assert found(db, "common rare") == [2, 1]


def test_only_the_newest_candidates_are_ranked(db: apsw.Connection) -> None:
    with db:
        fill(db, "word word word", *["word else"] * search.CANDIDATES)
    hits = found(db, "word")

    assert len(hits) == search.CANDIDATES
    assert 1 not in hits


def test_how_common_a_word_is_comes_from_the_density_of_its_newest_hits(db: apsw.Connection) -> None:
    with db:
        fill(db, *("often seldom" if number % 10 == 0 else "often" for number in range(4000)))
    hits = {word: INDEX.search(db, word)[0].score for word in ("often", "seldom")}

    assert hits["seldom"] > 2 * hits["often"]


def test_a_single_word_is_looked_for_once(db: apsw.Connection) -> None:
    """FTS5 joins all words with a beginning before it gives the first row, whatever is asked of it then."""
    fill(db, "word", "wording", "other")
    looks: list[str] = []

    def note(_: object, sql: str, __: object) -> bool:
        looks.extend([sql] * ("MATCH" in sql))
        return True

    db.exec_trace = note
    hits = INDEX.search(db, "wo", syntax="prefix", facets=["scope=global"]), INDEX.search(db, "wo", syntax="prefix")
    db.exec_trace = None

    assert [len(found) for found in hits] == [0, 2]
    assert len(looks) == 2


def test_hits_are_a_sequence_whose_parts_agree(db: apsw.Connection) -> None:
    fill(db, "red word", "word", "red word word", "red")
    for query in ("word", "red word"):
        hits = INDEX.search(db, query)

        assert list(hits) == hits[:] == [hits[place] for place in range(len(hits))]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert hits[-1:] == [hits[len(hits) - 1]]


def test_facets_narrow_a_search_and_are_never_words(db: apsw.Connection) -> None:
    INDEX.add(db, 1, ("", "word"), ["scope=global", "category=a b"])
    INDEX.add(db, 2, ("", "word"), ["scope=project"])

    assert found(db, "word", facets=["scope=global"]) == [1]
    assert found(db, "word", facets=["scope=global", "category=a b"]) == [1]
    assert found(db, "word", facets=["scope=project", "category=a b"]) == []
    assert found(db, "scope global project") == []


@pytest.mark.parametrize("expression", ["facets : x*", "word) OR facets : (x*", "{facets body} : x*"])
def test_an_fts5_expression_can_not_reach_past_the_text(db: apsw.Connection, expression: str) -> None:
    INDEX.add(db, 1, ("", "other"), ["scope=global"])
    hits = []
    with suppress(InvalidParams):
        hits = found(db, expression, syntax="fts5")

    assert hits == []


def test_a_removed_row_is_not_found(db: apsw.Connection) -> None:
    fill(db, "word", "word")
    INDEX.remove(db, 1)

    assert found(db, "word") == [2]


@pytest.mark.parametrize("query", ["", "***", '"', "- ; '", "\0", "\u200b"])
def test_a_query_without_a_word_finds_nothing(db: apsw.Connection, query: str) -> None:
    fill(db, "word")

    assert found(db, query) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("word NOT other", [3, 4, 5]),
        ("word OR other", [3, 4, 5]),
        ("wor*", []),
        ("^word OR", [1, 3, 4, 5]),
        ("title : other", [6]),
        ('"word other"', [5, 4, 3]),
    ],
)
def test_operators_are_words_to_a_plain_query(db: apsw.Connection, query: str, expected: list[int]) -> None:
    fill(db, "word", "other", "other word", "word not other", "word or other", "title other")

    assert sorted(found(db, query)) == sorted(expected)


def test_a_word_with_punctuation_is_a_phrase(db: apsw.Connection) -> None:
    fill(db, "see store.py there", "py store")

    assert found(db, "store.py") == [1]
    assert found(db, 'say "store.py') == [1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text('"*()-+^:{}, ANDORT\0\n', max_size=40))
def test_no_query_of_words_is_an_error(db: apsw.Connection, query: str) -> None:
    INDEX.search(db, query, facets=["scope=global"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.text('"*()-+^:{}, abANDORT\0\n', max_size=40) | DEEP)
def test_an_fts5_expression_is_answered_or_refused(db: apsw.Connection, query: str) -> None:
    with suppress(InvalidParams):
        INDEX.search(db, query, syntax="fts5", facets=["scope=global"])


@pytest.mark.parametrize(
    "query", ['"open', "a AND", "(a", "", "*", "nowhere : a", "a) OR (b", "(" * 500 + "a" + ")" * 490]
)
def test_a_bad_fts5_expression_is_refused_with_a_way_out(db: apsw.Connection, query: str) -> None:
    with pytest.raises(InvalidParams) as refusal:
        INDEX.search(db, query, syntax="fts5")

    assert refusal.value.data["field"] == "query"
    assert "syntax" in refusal.value.hint


def test_fts5_syntax_combines_prefixes_columns_and_phrases(db: apsw.Connection) -> None:
    INDEX.add(db, 1, ("kept", "one two three"))
    INDEX.add(db, 2, ("other", "two one keeper"))

    assert sorted(found(db, '"one two" OR keep*', syntax="fts5")) == [1, 2]
    assert found(db, "title : kept", syntax="fts5") == [1]
    assert found(db, "one NOT three", syntax="fts5", facets=[]) == [2]


def test_a_phrase_is_its_words_side_by_side_in_their_order(db: apsw.Connection) -> None:
    fill(db, "the end of the day", "day of the end", "the end")

    assert found(db, "end of the", syntax="phrase") == [1]
    assert found(db, "of the end", syntax="phrase") == [2]
    assert found(db, "end nowhere", syntax="phrase") == []


@pytest.mark.parametrize("typed", ["h", "hap", "happ", "happi", "happin", "happine", "happines", "happiness"])
def test_a_word_is_found_from_its_first_letter_to_its_last(db: apsw.Connection, typed: str) -> None:
    fill(db, "great happiness", "great sorrow")

    assert found(db, f"great {typed}", syntax="prefix") == [1]


def test_words_that_tell_nothing_are_left_out_where_others_remain(db: apsw.Connection) -> None:
    fill(db, "who is the man", "needle")

    assert found(db, "where is the needle") == [2]
    assert found(db, "who is the") == [1]


def test_irregular_forms_are_found_as_stems_are(db: apsw.Connection) -> None:
    fill(db, "we bought it", "we sold it")

    assert found(db, "buy") == found(db, "bought") == [1]


@pytest.mark.parametrize("query", ["東", "京都", "東京都", "都に住んで", "python3東京"])
def test_a_run_of_letters_without_spaces_is_found_by_any_part(db: apsw.Connection, query: str) -> None:
    fill(db, "昔python3東京都に住んでいた", "大阪")

    assert found(db, query) == [1]


def test_a_row_that_was_indexed_before_runs_were_cut_is_still_found(db: apsw.Connection) -> None:
    db.execute("INSERT INTO thing_text (rowid, body) VALUES (1, '東京都')")

    assert found(db, "東京都") == [1]


def test_a_snippet_of_a_script_without_spaces_shows_the_place(db: apsw.Connection) -> None:
    text = "あいうえお" * 60 + "東京都に住む" + "かきくけこ" * 60

    assert "東京都に住む" in snippet(db, text, "東京都")
    assert "東京都に住む" in snippet(db, text, "住")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(st.text("東京都に住ab ", min_size=1, max_size=12), st.integers(0, 11), st.integers(1, 12))
def test_every_part_of_a_run_is_found_in_it(db: apsw.Connection, text: str, begin: int, length: int) -> None:
    part = text[begin : begin + length]
    INDEX.add(db, 1, ("", text))
    hits = found(db, part, syntax="phrase") if part.strip(" ab") == part and part else [1]
    INDEX.remove(db, 1)

    assert hits == [1]


def test_words_past_the_limit_are_ignored(db: apsw.Connection) -> None:
    words = [f"w{number}" for number in range(TERMS + 1)]
    fill(db, " ".join(words[:-1]), words[-1])

    assert found(db, " ".join(words)) == [1]


def test_a_reader_searches_as_the_writer_does(db: apsw.Connection, tmp_path: Path) -> None:
    fill(db, "word")
    reader = open_reader(tmp_path / "kept.db")

    assert found(reader, "word") == [1]
    reader.close()


def test_the_table_keeps_no_copy_of_the_text(db: apsw.Connection) -> None:
    fill(db, "word")

    assert db.execute("SELECT body FROM thing_text").fetchall() == [(None,)]


def test_a_short_text_is_its_own_snippet_on_one_line(db: apsw.Connection) -> None:
    assert snippet(db, "one\n two\tthree", "three") == "one two three"


def test_a_snippet_shows_the_place_with_the_most_words(db: apsw.Connection) -> None:
    text = "needle " + "straw " * 200 + "the needles\nare in a haystack now " + "straw " * 200
    shown = snippet(db, text, "haystack needle")

    assert "needles are in a haystack now" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) <= SNIPPET_LENGTH + 2


def test_a_snippet_without_a_place_is_the_beginning(db: apsw.Connection) -> None:
    text = "straw " * 100

    assert snippet(db, text, "needle") == "straw " * 25 + "straw…"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=600), st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_snippet_is_a_short_part_of_its_text(db: apsw.Connection, text: str, query: str) -> None:
    shown = snippet(db, text, query)

    assert len(shown) <= SNIPPET_LENGTH + 2
    assert shown.removeprefix("…").removesuffix("…") in " ".join(text.split()) + "…"


def test_the_text_of_a_value_is_its_strings_numbers_and_keys() -> None:
    value = {"a\nb": ["c", 1, 2.5, True, None, {"d": "e"}]}

    assert json_text(value) == "a\nb c 1 2.5 d e"
    assert json_text("plain") == "plain"
    assert json_text(None) == ""
