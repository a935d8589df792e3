"""What fits into a bundle, as laws over any candidates and any budget."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.cli.parse import parse
from kept.cli.registry import find
from kept.cli.surface import Surface
from keptd.context import rules
from keptd.context.rules import Candidate, SectionName, Shelf
from keptd.tokens import BYTES_PER_TOKEN

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=400)
candidates = st.lists(
    st.builds(Candidate, id=st.uuids().map(str), text=texts, why=st.just("because"), stale=st.none() | st.just("old")),
    max_size=12,
)


def shown(*shelves: Shelf, budget: int = 500) -> str:
    return rules.markdown(rules.arrange(shelves, budget))


@st.composite
def shelf_lists(draw: st.DrawFn) -> list[Shelf]:
    return [
        Shelf("components", "Not in order", 10, draw(candidates)),
        Shelf("memories", "Known", 60, draw(candidates)),
        Shelf("actions", "Done lately", 30, draw(candidates)),
    ]


@given(shelf_lists(), st.integers(100, 2000))
def test_a_bundle_never_takes_more_than_its_budget(shelves: list[Shelf], budget: int) -> None:
    bundle = rules.bundle(rules.arrange(shelves, budget), budget, wants_markdown=True, known=None)
    assert bundle.tokens <= budget
    assert bundle.markdown is not None
    assert -(-len(bundle.markdown.encode()) // BYTES_PER_TOKEN) <= bundle.tokens


@given(shelf_lists(), st.integers(100, 2000))
def test_every_entry_is_in_whole_or_counted_as_left_out(shelves: list[Shelf], budget: int) -> None:
    sections = {section.name: section for section in rules.arrange(shelves, budget).sections}
    for shelf in shelves:
        if not shelf.candidates:
            assert shelf.name not in sections
            continue
        section = sections[shelf.name]
        whole = {(candidate.id, candidate.text) for candidate in shelf.candidates}
        assert {(item.id, item.text) for item in section.items} <= whole
        assert len(section.items) + section.left_out == len(shelf.candidates)


@given(shelf_lists(), st.integers(100, 2000))
def test_the_same_candidates_give_the_same_bytes_and_the_etag_says_so(shelves: list[Shelf], budget: int) -> None:
    first = rules.bundle(rules.arrange(shelves, budget), budget, wants_markdown=True, known=None)
    again = rules.bundle(rules.arrange(shelves, budget), budget, wants_markdown=True, known=None)
    assert first == again
    known = rules.bundle(rules.arrange(shelves, budget), budget, wants_markdown=True, known=first.etag)
    assert known.unchanged
    assert known.sections == ()


@given(shelf_lists())
def test_with_room_enough_nothing_is_left_out_and_the_order_stays(shelves: list[Shelf]) -> None:
    sections = {section.name: section for section in rules.arrange(shelves, 200_000).sections}
    for shelf in shelves:
        if shelf.candidates:
            assert [item.text for item in sections[shelf.name].items] == [item.text for item in shelf.candidates]


def test_a_section_can_not_take_the_share_of_a_later_one() -> None:
    many = [Candidate(str(number), "m" * 100, "because") for number in range(100)]
    few = [Candidate("last", "a" * 100, "because")]
    sections = rules.fill([Shelf("memories", "Known", 60, many), Shelf("actions", "Done lately", 30, few)], 300)
    assert [item.id for item in sections[1].items] == ["last"]


def test_what_one_section_leaves_goes_to_the_others() -> None:
    many = [Candidate(str(number), "m" * 100, "because") for number in range(100)]
    share_alone = rules.fill([Shelf("memories", "Known", 50, many), Shelf("actions", "Done", 50, many)], 1000)
    with_rest = rules.fill([Shelf("memories", "Known", 50, many), Shelf("actions", "Done", 50, [])], 1000)
    assert len(with_rest[0].items) > len(share_alone[0].items)


def test_further_lines_of_an_entry_stay_inside_it() -> None:
    shelf = Shelf("memories", "Known", 100, [Candidate("1", "first\n## not a heading\n- no entry", "because")])
    assert shown(shelf) == "## Known\n- first\n  \\## not a heading\n  - no entry\n"


def test_a_stale_entry_says_so_in_front() -> None:
    shelf = Shelf("memories", "Known", 100, [Candidate("1", "port: 8080", "because", stale="expired 2026-01-01")])
    assert shown(shelf) == "## Known\n- [stale: expired 2026-01-01] port: 8080\n"


def test_no_line_of_an_entry_reads_as_a_heading_and_a_number_sign_in_it_stays() -> None:
    shelf = Shelf("memories", "Known", 100, [Candidate("1", "## Decided\n # x\n#12 and C# \n#", "because")])
    assert shown(shelf) == "## Known\n- \\## Decided\n   \\# x\n  #12 and C# \n  \\#\n"


@pytest.mark.parametrize("name", ["decisions", "errors"])
def test_what_can_be_resolved_has_its_id_in_its_line(name: SectionName) -> None:
    assert shown(Shelf(name, "T", 100, [Candidate("0-1", "so", "because")])) == "## T\n- so (id 0-1)\n"


def test_a_section_that_left_something_out_says_how_much_and_how_to_see_it() -> None:
    many = [Candidate(str(number), "m" * 100, "because") for number in range(30)]
    text = shown(Shelf("memories", "Known", 60, many, more=70, uncounted=True))
    entries = text.count("\n- ")
    assert 0 < entries < 30
    assert text.splitlines()[-1] == f"(at least {100 - entries} more: kept memory list --order priority)"


def test_a_section_in_which_nothing_fits_still_says_what_there_is() -> None:
    huge = Shelf("errors", "Unresolved errors", 60, [Candidate("1", "e" * 9000, "because")])
    assert shown(huge) == "## Unresolved errors\n(1 more: kept error list --status open)\n"


def test_a_small_budget_has_one_line_for_all_that_was_left_out() -> None:
    names: tuple[SectionName, ...] = ("memories", "decisions", "errors", "actions")
    huge = [Shelf(name, name, 25, [Candidate("1", "e" * 9000, "because")]) for name in names]
    assert shown(*huge, budget=100) == "(4 left out, for want of room)\n"


def test_a_bundle_with_room_for_it_closes_with_how_to_write_back() -> None:
    small = Shelf("memories", "Known", 60, [Candidate("1", "port: 8080", "because")])
    assert rules.CLOSING not in shown(small, budget=500)
    assert shown(small, budget=2000).splitlines() == ["## Known", "- port: 8080", "", rules.CLOSING]


@pytest.mark.parametrize("words", [*rules.COMMANDS.values(), *re.findall("`(.*?)`", rules.CLOSING)])
def test_every_command_that_a_bundle_names_is_one(words: str) -> None:
    command, rest = find(shlex.split(words)[1:])
    assert parse(command, rest, Surface(str, str))
