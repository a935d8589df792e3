"""What is in memory of an unlocked vault, against a plain model of it; and a search of it, which holds nobody up."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kept.wire.errors import DeadlinePassed, InvalidParams, Locked
from kept.wire.vault import FoundEntry, SearchSecrets
from keptd.vault import methods, search
from keptd.vault.entries import METADATA_BYTES, About
from keptd.vault.search import Contents, Known, Query
from tests.harness import PATIENCE

from .strongbox import Strongbox, cheap, furnish, strongbox

names = st.text("abAü\u0308u ", min_size=1, max_size=4)


def entry(
    number: int,
    name: str,
    tags: tuple[str, ...] = (),
    size: int = 1,
    metadata: dict[str, Any] | None = None,
) -> Known:
    about = About(name, "general", tags, metadata or {}, False, 0, number)
    return search.known(f"id{number}", 1, about, 0, size)


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


def nothing() -> None:
    """A search that goes on."""


def hits(entries: Iterable[Known], query: str, category: str | None = None, limit: int = 9) -> list[str]:
    found = search.found(entries, Query.of(query), category, limit, nothing)
    return [hit.about.name for _, hit in found]


def test_whole_names_come_before_words_in_names_and_those_before_other_words() -> None:
    entries = [
        entry(1, "other", tags=("mail",)),
        entry(2, "mail box"),
        entry(3, "mail"),
        entry(4, "none"),
        entry(5, "a mail"),
    ]
    assert hits(entries, "mail") == ["mail", "a mail", "mail box", "other"]
    assert hits(entries, "MAIL", limit=1) == ["mail"]
    assert hits(entries, "mail", "own") == []


def test_a_word_that_is_said_twice_counts_once_but_in_a_whole_name() -> None:
    entries = [entry(1, "a"), entry(2, "a a"), entry(3, "a", tags=("b",))]
    (best, whole), (other, _), _ = search.found(entries, Query.of("a a"), None, 3, nothing)
    assert (whole.about.name, best, other) == ("a a", 7.0, 3.0)


def test_a_query_of_too_many_different_words_is_refused() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    Query.of(" ".join(letters[: search.MOST_WORDS]) + " a A")
    with pytest.raises(InvalidParams) as refused:
        Query.of(" ".join(letters[: search.MOST_WORDS + 1]))
    assert refused.value.data["field"] == "query"


def shown(known: Known, query: str) -> str:
    return search.snippet(known, Query.of(query))


def test_a_snippet_shows_the_word_in_its_place() -> None:
    long = entry(1, "x" * 100 + " needle " + "y" * 100)
    told = shown(long, "needle")
    assert "needle" in told
    assert told.startswith("…")
    assert told.endswith("…")
    assert shown(entry(1, "short"), "short") == shown(entry(1, "short"), " ") == "short general"


@given(before=st.text(max_size=600), behind=st.text(max_size=300))
@example(before="\ufdfa" * 500, behind="")
@example(before="ßﬃ\u0130" * 300, behind="\u0315\u0300" * 99)
def test_a_snippet_shows_the_word_whatever_is_before_it(before: str, behind: str) -> None:
    told = shown(entry(1, f"{before} n\u00e9edle {behind}"), "N\u00c9EDLE")
    assert "n\u00e9edle" in told


@contextmanager
def folding() -> Iterator[list[int]]:
    """How much is folded, each time."""
    lengths: list[int] = []
    fold = search._folded

    def counted(text: str) -> str:
        lengths.append(len(text))
        return fold(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_folded", counted)
        yield lengths


def test_no_query_makes_a_text_be_folded_more_than_once() -> None:
    text = " ".join("\u00e9" * 50 for _ in range(METADATA_BYTES // 102))
    long = entry(1, "a", metadata={"text": text, "end": "0123456789 bcdfghijklmnop"})
    query = " ".join("0123456789bcdfghijklmnop")
    with folding() as lengths:
        assert hits([long] * 3, query) == ["a"] * 3
        assert lengths == [len(query)], "what is found was folded before"
        shown(long, query)
    assert len(text) <= sum(lengths) - 2 * len(query) <= len(text) + search._PIECE + 200


def test_what_is_remembered_of_a_text_is_no_more_than_a_script_takes() -> None:
    hangul = "\uac01" * (METADATA_BYTES // 3 - 10) + "."
    assert hits([entry(1, "a", metadata={"t": hangul + " end"})], "end") == ["a"]
    swollen = entry(1, "a", metadata={"t": "\ufdfa" * (METADATA_BYTES // 3)})
    assert len(swollen.folded) <= 4 * METADATA_BYTES
    assert hits([swollen], "a") == ["a"]
    assert shown(swollen, "\u0648\u0633\u0644\u0645")


pytestmark = pytest.mark.anyio


@pytest.fixture
async def box(home: Path) -> AsyncIterator[Strongbox]:
    """An unlocked vault with three entries."""
    with cheap():
        async with strongbox(home) as made:
            await furnish(made, 3)
            yield made


@contextmanager
def on_the_way(box: Strongbox, act: Callable[[], object]) -> Iterator[list[str]]:
    """Do something whenever a search has found an entry; what was found."""
    score = search._score
    found: list[str] = []

    def meanwhile(known: Known, query: Query) -> float:
        found.append(known.about.name)
        act()
        return score(known, query)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_score", meanwhile)
        patch.setattr(search, "_EVERY", 1)  # There are three entries.
        yield found


async def test_a_search_does_not_run_on_the_loop(box: Strongbox) -> None:
    threads = set()
    with on_the_way(box, lambda: threads.add(threading.get_ident())):
        assert len((await box(SearchSecrets(query="name"))).items) == 3
    assert threads
    assert threading.get_ident() not in threads


async def test_one_search_runs_at_a_time(box: Strongbox) -> None:
    at_work, most = 0, 0
    first, go = threading.Event(), threading.Event()

    def count() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        first.set()
        assert go.wait(PATIENCE)
        at_work -= 1

    with on_the_way(box, count):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(box, SearchSecrets(query="name 1"))
            await anyio.to_thread.run_sync(first.wait)
            await anyio.lowlevel.checkpoint()
            go.set()
    assert most == 1


async def test_a_lock_meanwhile_ends_a_search(box: Strongbox) -> None:
    with on_the_way(box, lambda: anyio.from_thread.run_sync(box.keyring.lock)) as found, pytest.raises(Locked):
        await box(SearchSecrets(query="name"))
    assert len(found) == 1, "nothing more is looked at"


async def test_a_lock_when_all_is_found_is_the_last_word(box: Strongbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def locking(items: Iterable[FoundEntry]) -> list[FoundEntry]:
        fitting = list(items)
        anyio.from_thread.run_sync(box.keyring.lock)
        return fitting

    monkeypatch.setattr(methods, "fit", locking)
    with pytest.raises(Locked):
        await box(SearchSecrets(query="name"))


async def test_a_search_past_its_deadline_is_given_up(box: Strongbox) -> None:
    late = box.config.storage.read_seconds + 1
    advance = partial(anyio.from_thread.run_sync, box.clock.advance, late)
    with on_the_way(box, advance) as found, pytest.raises(DeadlinePassed):
        await box(SearchSecrets(query="name"))
    assert len(found) == 1


async def test_a_search_that_nobody_waits_for_any_more_ends(box: Strongbox) -> None:
    with anyio.CancelScope() as scope, on_the_way(box, lambda: anyio.from_thread.run_sync(scope.cancel)) as found:
        await box(SearchSecrets(query="name"))
    assert scope.cancelled_caught
    assert len(found) == 1
