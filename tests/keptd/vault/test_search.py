"""What is in memory of an unlocked vault, against a plain model of it."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from keptd.vault import search
from keptd.vault.entries import About
from keptd.vault.search import Contents, Known

names = st.text("abAü\u0308u ", min_size=1, max_size=4)


def entry(number: int, name: str, category: str = "general", tags: tuple[str, ...] = (), size: int = 1) -> Known:
    return search.known(f"id{number}", 1, About(name, category, tags, {}, False, False, 0, number), 0, size)


def normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@given(
    changes=st.lists(st.tuples(st.integers(0, 5), st.none() | names, st.integers(0, 9)), max_size=20),
    prefix=names | st.just(""),
    behind=st.none() | names,
)
def test_entries_are_found_and_listed_as_if_each_were_looked_at(
    changes: list[tuple[int, str | None, int]], prefix: str, behind: str | None
) -> None:
    contents, model = Contents(), dict[str, Known]()
    for number, name, size in changes:
        if name is None:
            contents.remove(f"id{number}")
            model.pop(f"id{number}", None)
        elif not any(normal(one.about.name) == normal(name) and one.id != f"id{number}" for one in model.values()):
            made = entry(number, name, size=size)
            contents.put(made)
            model[made.id] = made

    ordered = sorted(model.values(), key=lambda one: normal(one.about.name))
    for whole in (contents, Contents(model.values())):
        assert list(whole.after(None)) == ordered
        assert list(whole.after(behind and normal(behind), prefix)) == [
            one
            for one in ordered
            if normal(one.about.name).startswith(normal(prefix))
            and (behind is None or normal(one.about.name) > normal(behind))
        ]
        assert (len(whole), whole.bytes) == (len(model), sum(one.bytes for one in model.values()))
        assert {one.id for one in whole} == model.keys()
        for one in model.values():
            assert whole.find(one.about.name) is whole.find(one.id) is whole.get(one.id) is one
        assert whole.find("nothing") is None


def test_whole_names_come_before_words_in_names_and_those_before_other_words() -> None:
    contents = Contents(
        [
            entry(1, "other", tags=("mail",)),
            entry(2, "mail box"),
            entry(3, "mail"),
            entry(4, "none"),
            entry(5, "a mail"),
        ]
    )
    assert [hit.about.name for _, hit in contents.search("mail", None, 9)] == ["mail", "a mail", "mail box", "other"]
    assert [hit.about.name for _, hit in contents.search("MAIL", None, 1)] == ["mail"]
    assert contents.search("mail", "own", 9) == []


def test_a_word_counts_once_however_often_it_is_said() -> None:
    contents = Contents([entry(1, "mail mail"), entry(2, "a mail"), entry(3, "other", tags=("mail",))])
    hits = contents.search("mail mail", None, 9)
    assert [hit.about.name for _, hit in hits] == ["mail mail", "a mail", "other"]
    assert contents.search("mail " * 100, None, 9) == contents.search("mail", None, 9)


def test_a_snippet_shows_the_word_in_its_place() -> None:
    long = entry(1, "x" * 100 + " needle " + "y" * 100)
    told = search.snippet(long, "needle")
    assert "needle" in told
    assert told.startswith("…")
    assert told.endswith("…")
    assert search.snippet(entry(1, "short"), "short") == "short general"
