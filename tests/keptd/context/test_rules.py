"""What fits into a bundle, as laws over any candidates and any budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keptd.context import rules
from keptd.context.rules import Candidate, Shelf

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=400)
candidates = st.lists(
    st.builds(Candidate, id=st.uuids().map(str), text=texts, why=st.just("because"), stale=st.none() | st.just("old")),
    max_size=12,
)


@st.composite
def shelf_lists(draw: st.DrawFn) -> list[Shelf]:
    return [
        Shelf("components", "Not in order", 10, draw(candidates)),
        Shelf("memories", "Known", 60, draw(candidates)),
        Shelf("actions", "Done lately", 30, draw(candidates)),
    ]


@given(shelf_lists(), st.integers(100, 2000))
def test_a_bundle_never_takes_more_than_its_budget(shelves: list[Shelf], budget: int) -> None:
    bundle = rules.bundle(rules.fill(shelves, budget), budget, wants_markdown=True, known=None)
    assert bundle.tokens <= budget
    assert bundle.markdown is not None
    assert -(-len(bundle.markdown.encode()) // rules.BYTES_PER_TOKEN) <= bundle.tokens


@given(shelf_lists(), st.integers(100, 2000))
def test_every_entry_is_in_whole_or_counted_as_left_out(shelves: list[Shelf], budget: int) -> None:
    sections = {section.name: section for section in rules.fill(shelves, budget)}
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
    first = rules.bundle(rules.fill(shelves, budget), budget, wants_markdown=True, known=None)
    again = rules.bundle(rules.fill(shelves, budget), budget, wants_markdown=True, known=None)
    assert first == again
    known = rules.bundle(rules.fill(shelves, budget), budget, wants_markdown=True, known=first.etag)
    assert known.unchanged
    assert known.sections == ()


@given(shelf_lists())
def test_with_room_enough_nothing_is_left_out_and_the_order_stays(shelves: list[Shelf]) -> None:
    sections = {section.name: section for section in rules.fill(shelves, 200_000)}
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
    text = rules.markdown(rules.fill([shelf], 1000))
    assert text == "## Known\n- first\n  ## not a heading\n  - no entry\n"


def test_a_stale_entry_says_so_in_front() -> None:
    shelf = Shelf("memories", "Known", 100, [Candidate("1", "port: 8080", "because", stale="expired 2026-01-01")])
    assert rules.markdown(rules.fill([shelf], 1000)) == "## Known\n- [stale: expired 2026-01-01] port: 8080\n"
