"""Results as text."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from kept.cli.text import age, duration, one_line
from kept.wire import Actor, Done, Page
from kept.wire.component import Component, ListComponents
from kept.wire.context import Bundle, BundleContext, Item, Section
from kept.wire.daemon import Discover, Reload, Reloaded
from kept.wire.event import Change, ListEvents
from kept.wire.journal import Decision, GetDecision, ListActions, ListDecisions, Resolution
from kept.wire.memory import DeleteMemory, FoundMemory, GetMemory, ListMemories, Memory, SearchMemories, SetMemory

from .typing_at import NOW, Recorder, type_in

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202ered\r\nnext"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def memory(key: str = "k", value: Any = "v", **changes: Any) -> Memory:
    return msgspec.convert(
        {
            "id": "01890000-0000-7000-8000-000000000001",
            "key": key,
            "scope": "global",
            "value": value,
            "tier": "persistent",
            "category": "general",
            "priority": 5,
            "tags": (),
            "session_id": None,
            "expires_at": None,
            "created_at": NOW - timedelta(days=2),
            "updated_at": NOW - timedelta(minutes=3),
            "version": 1,
            "actor": "tester",
            **changes,
        },
        Memory,
    )


def decision(text: str = "use SQLite", **changes: Any) -> Decision:
    return msgspec.convert(
        {
            "id": "01890000-0000-7000-8000-000000000002",
            "decision": text,
            "reasoning": "one file",
            "status": "open",
            "alternatives": ("a", "b"),
            "outcome": None,
            "former_outcomes": (),
            "supersedes": None,
            "superseded_by": None,
            "contradicts": (),
            "project": None,
            "session_id": None,
            "created_at": NOW,
            "updated_at": NOW,
            "version": 1,
            "actor": "tester",
            **changes,
        },
        Decision,
    )


def shown(call: type[Any], result: Any, words: str, **how: Any) -> str:
    printed = type_in(words, Recorder({call: result}), **how)
    assert printed.code == 0, printed.err
    return printed.out


def test_a_value_is_printed_by_itself() -> None:
    assert shown(GetMemory, memory(value="plain\ntext"), "memory get k") == "plain\ntext\n"
    assert shown(GetMemory, memory(value={"a": [1]}), "memory get k") == '{\n  "a": [\n    1\n  ]\n}\n'
    assert shown(GetMemory, memory(value=None), "memory get k") == "null\n"


def test_a_value_reaches_a_file_as_it_was_stored_and_a_terminal_without_control_characters() -> None:
    found = memory(value=HOSTILE)
    assert shown(GetMemory, found, "memory get k", terminal=False) == HOSTILE + "\n"
    assert not UNSAFE.search(shown(GetMemory, found, "memory get k"))


def test_json_is_one_exact_document_that_a_terminal_can_show() -> None:
    found = memory(key="k" + HOSTILE, value={HOSTILE: [HOSTILE]})
    for terminal in (True, False):
        out = shown(GetMemory, found, "memory get k --json", terminal=terminal)
        assert json.loads(out) == json.loads(msgspec.json.encode(found))
        assert not UNSAFE.search(out)


def test_an_entity_is_shown_line_by_line_without_what_is_empty() -> None:
    former = (Resolution(text="no", actor="a", replaced_at=NOW),)
    out = shown(GetDecision, decision("two\nlines", former_outcomes=former), "decision get 1")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines == [
        "id:           01890000-0000-7000-8000-000000000002",
        "decision:     two",
        "              lines",
        "reasoning:    one file",
        "alternatives: a",
        "              b",
        "status:       open",
        "created at:   now (2026-01-01T00:00:00Z)",
        "updated at:   now (2026-01-01T00:00:00Z)",
        "version:      1",
        "actor:        tester",
        "",
        "former outcomes",
        "TEXT  REPLACED AT",
        "no    now",
    ]


def test_what_was_written_is_shown_in_one_line_per_part() -> None:
    long = memory(value={"a": "日本 " * 100_000, "b": "x\ny"})
    lines = shown(SetMemory, long, "memory set k v", columns=60).splitlines()
    assert len(lines) == 11
    assert max(map(cell_len, lines)) <= 60
    assert lines[3].startswith('value:      { "a": "日本 日本')
    assert lines[3].endswith("…")


def test_a_list_is_a_table_with_ages_on_a_terminal_and_times_in_a_pipe() -> None:
    page = Page(items=[memory("editor", {"indent": 4}), memory("build", "uv", tags=("ci", "py"))])
    assert shown(ListMemories, page, "memory list", columns=100).splitlines() == [
        "KEY     SCOPE   VALUE         UPDATED AT  CATEGORY  PRIORITY  TAGS",
        'editor  global  {"indent":4}  3 min ago   general   5',
        "build   global  uv            3 min ago   general   5         ci, py",
    ]
    assert "2025-12-31T23:57:00Z" in shown(ListMemories, page, "memory list", terminal=False, columns=100)


def test_ids_are_shown_whole_where_a_method_needs_them_and_only_there() -> None:
    page = Page(items=[decision("a long text " * 20)])
    assert page.items[0].id in shown(ListDecisions, page, "decision list", columns=60)
    assert memory().id not in shown(ListMemories, Page(items=[memory()]), "memory list", columns=200)


def test_one_long_value_does_not_make_every_row_long_in_a_pipe() -> None:
    page = Page(items=[memory("a", "x" * 100_000), memory("b")])
    lines = shown(ListMemories, page, "memory list", columns=10_000, terminal=False).splitlines()
    assert max(map(len, lines)) < 300


def test_keys_stay_whole_as_long_as_they_leave_room() -> None:
    key = "a-key-of-thirty-nine-characters-in-all!"
    page = Page(items=[memory(key, "long " * 50, category="c" * 30)])
    assert key in shown(ListMemories, page, "memory list", columns=80)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_one_long_key_leaves_the_others_their_table(columns: int) -> None:
    long = "k" * 200
    page = Page(items=[memory("one", "first"), memory(long, "second"), memory("two", "third")])
    head, first, key, second, third = shown(ListMemories, page, "memory list", columns=columns).splitlines()
    assert key == long
    assert first.startswith("one ")
    assert third.startswith("two ")
    assert [line.index(value) for line, value in ((first, "first"), (second, "second"), (third, "third"))] == [
        head.index("VALUE")
    ] * 3


def test_keys_that_are_all_long_stay_in_a_column_while_there_is_room() -> None:
    page = Page(items=[memory(f"{number}-" + "k" * 43, "the value") for number in range(3)])
    lines = shown(ListMemories, page, "memory list", columns=80).splitlines()
    assert len(lines) == 4
    assert all("the value" in line for line in lines[1:])


def test_a_key_is_never_cut() -> None:
    key = "project:" + "k" * 150
    page = Page(items=[memory(key, "the value"), memory("short", "another")])
    for columns, terminal in ((30, True), (80, True), (10_000, False)):
        out = shown(ListMemories, page, "memory list", columns=columns, terminal=terminal)
        assert key in out
        assert "the value" in out


def test_a_decision_is_read_before_its_id() -> None:
    text = "use SQLite in WAL mode for everything that is stored"
    page = Page(items=[decision(text)])
    row = shown(ListDecisions, page, "decision list", columns=80).splitlines()[1]
    assert row.startswith(text[:40])
    assert row.endswith(page.items[0].id)


@pytest.mark.parametrize("columns", [40, 49])
def test_a_narrow_terminal_gets_lines_for_each_item(columns: int) -> None:
    page = Page(items=[decision("use SQLite", outcome="fine"), decision("ship nightly")])
    lines = shown(ListDecisions, page, "decision list", columns=columns).splitlines()
    assert lines[0] == "use SQLite"
    assert "  outcome: fine" in lines
    assert "ship nightly" in lines
    assert f"  id: {page.items[0].id}" in lines


def test_a_change_shows_what_it_was_about_however_narrow_the_terminal_is() -> None:
    change = Change(
        seq=7,
        at=NOW,
        actor=Actor(client="nvim", uid=1, pid=2),
        method="memory.set",
        entity="memory",
        entity_id="0" * 36,
        label="editor",
    )
    for columns in (30, 40, 60, 80):
        assert "editor" in shown(ListEvents, Page(items=[change]), "event list", columns=columns)


def test_an_empty_text_is_shown_as_one() -> None:
    assert 'value:      ""' in shown(SetMemory, memory(value=""), "memory set k ''")


def test_what_was_written_is_not_given_back_whole_to_a_program() -> None:
    out = shown(SetMemory, memory(value="long " * 100_000), "memory set k v", columns=10_000, terminal=False)
    assert len(out) < 2000


def test_a_hit_shows_the_place_that_fits() -> None:
    fields = msgspec.to_builtins(memory("build", "a long value"))
    found = msgspec.convert({**fields, "score": 1.5, "snippet": "the place"}, FoundMemory)
    out = shown(SearchMemories, Page(items=[found]), "memory search place")
    assert "the place" in out
    assert "a long value" not in out


def test_what_is_left_of_a_list_and_an_empty_list_are_told_beside_the_output() -> None:
    more = type_in("memory list", Recorder({ListMemories: Page(items=[memory()], next_cursor="abc")}))
    assert more.err == "more: repeat with --cursor abc\n"
    none = type_in("memory list", Recorder({ListMemories: Page(items=[])}))
    assert (none.code, none.out, none.err) == (0, "", "nothing there\n")
    assert type_in("memory list --json", Recorder({ListMemories: Page(items=[])})).err == ""


def test_nested_things_are_shown_by_their_first_part_in_a_table() -> None:
    change = msgspec.convert(
        {
            "seq": 7,
            "at": NOW,
            "actor": {"client": "nvim", "uid": 1, "pid": 2},
            "method": "memory.set",
            "entity": "memory",
            "entity_id": "x",
            "label": "editor",
        },
        Change,
    )
    out = shown(ListEvents, Page(items=[change]), "event list")
    assert out.splitlines()[1].split() == ["7", "now", "memory.set", "editor", "memory", "x"]


def test_a_component_keeps_its_numbers_and_its_metadata() -> None:
    component = msgspec.convert(
        {
            "id": "1",
            "name": "web",
            "status": "degraded",
            "health": 0,
            "metadata": {"a": 1},
            "checked_at": NOW,
            "created_at": NOW,
            "updated_at": NOW,
            "version": 1,
            "actor": "t",
        },
        Component,
    )
    row = shown(ListComponents, Page(items=[component]), "component list", columns=100).splitlines()[1]
    assert row.split() == ["web", "degraded", "0", "now", '{"a":1}', "now"]


def test_short_answers_are_told_in_a_line() -> None:
    assert shown(DeleteMemory, Done(id="k\x1b"), "memory delete k") == "deleted k\ufffd\n"
    assert shown(DeleteMemory, Done(id="0-1", label="k\x1b"), "memory delete k") == "deleted k\ufffd (0-1)\n"
    assert shown(Reload, Reloaded(applied=(), needs_restart=()), "daemon reload") == "no setting has changed\n"
    assert shown(Reload, Reloaded(applied=("log.level",), needs_restart=()), "daemon reload") == "applied: log.level\n"
    assert shown(Discover, {"openrpc": "1.4.0"}, "rpc discover") == '{\n  "openrpc": "1.4.0"\n}\n'


def test_a_bundle_is_shown_as_markdown_or_with_what_each_entry_costs() -> None:
    marked = Bundle(etag="e", markdown=f"## Known\n- {HOSTILE}\n")
    out = shown(BundleContext, marked, "context bundle --format markdown")
    assert out.startswith("## Known\n- ")
    assert not UNSAFE.search(out)
    item = Item(id="1", text="x", why="open", tokens=3, stale="superseded")
    section = Section(name="decisions", title="Open", items=(item,), tokens=3, left_out=2)
    told = Bundle(etag="e", sections=(section,), tokens=3, budget_tokens=100)
    assert shown(BundleContext, told, "context bundle").splitlines() == [
        "Open (3 tokens, 2 left out)",
        "  x [stale: superseded] (open, 3)",
        "3 of 100 tokens, etag e",
    ]
    many = Bundle(etag="e", sections=(Section(name="n", title="T", items=(), tokens=0, left_out=1000, uncounted=True),))
    assert shown(BundleContext, many, "context bundle").startswith("T (0 tokens, at least 1,000 left out)\n")
    assert shown(BundleContext, Bundle(etag="e", unchanged=True), "context bundle") == "unchanged (e)\n"


def test_escape_sequences_of_kept_itself_need_a_terminal_that_wants_colour() -> None:
    page = Page(items=[memory()])
    for words, call, result in (("memory list", ListMemories, page), ("memory set k v", SetMemory, memory())):
        assert "\x1b" in shown(call, result, words, colour=True)
        assert "\x1b" not in shown(call, result, words)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
WIDE = st.text(st.sampled_from("a日本e\u0301👩🏽\u200d🚀\t\n ⚠️"), max_size=60)


@example(keys=["\u200d\u200d⺀0⺀⺀⺀⺀"], value="", tags=[], columns=10)
@given(
    keys=st.lists(TEXTS | WIDE, min_size=1, max_size=5),
    value=TEXTS | WIDE,
    tags=st.lists(WIDE, max_size=3),
    columns=st.integers(10, 200),
)
def test_no_list_is_wider_than_its_terminal_but_for_its_keys_or_holds_a_control_character(
    keys: list[str], value: str, tags: list[str], columns: int
) -> None:
    page = Page(items=[memory(key, value, tags=tuple(tags)) for key in keys])
    lines = shown(ListMemories, page, "memory list", columns=columns).removesuffix("\n").split("\n")
    heads = {one_line(key) for key in keys}
    assert all(cell_len(line) <= columns for line in lines if line not in heads)
    assert all(any(line.startswith(head) for line in lines) for head in heads)
    assert not any(UNSAFE.search(line) for line in lines)


@given(text=TEXTS)
def test_nothing_stored_reaches_a_terminal_as_a_control_character(text: str) -> None:
    answers: dict[type[Any], Any] = {
        GetDecision: decision(text, alternatives=(text,), reasoning=text),
        GetMemory: memory(text, text),
        ListActions: Page(items=[], next_cursor=None),
        BundleContext: Bundle(etag=text, markdown=text),
    }
    for words in ("decision get 1", "memory get k", "context", "recall k", "context bundle"):
        assert not UNSAFE.search(type_in(words, Recorder(answers)).out)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "now"),
        (59, "59 s ago"),
        (3600, "1 h ago"),
        (86_400 * 59, "59 d ago"),
        (86_400 * 900, "2 years ago"),
        (-90, "in 1 min"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, told: str) -> None:
    page = Page(items=[memory(updated_at=NOW - timedelta(seconds=seconds))])
    assert told in shown(ListMemories, page, "memory list", columns=120)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (119, "1 min 59 s"),
        (7199, "1 h 59 min"),
        (7200, "2 h"),
        (9 * 3600 + 59 * 60, "9 h 59 min"),
        (10 * 3600 + 59 * 60, "10 h"),
        (86_400 * 2 - 1, "1 d 23 h"),
        (86_400 * 59.9, "59 d"),
        (86_400 * 400, "13 months"),
    ],
)
def test_a_length_of_time_is_not_told_as_half_of_what_it_is(seconds: float, told: str) -> None:
    assert duration(seconds) == told
    assert age(NOW, NOW - timedelta(seconds=seconds)) in (f"in {told}", "now")


def test_how_long_ago_something_was_is_told_in_one_unit() -> None:
    assert age(NOW - timedelta(seconds=7199), NOW) == "1 h ago"


@given(st.floats(60, 86_400 * 60, exclude_max=True))
def test_a_length_of_time_is_rounded_down_by_less_than_a_tenth(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
    words = duration(seconds).split()
    told = sum(int(count) * units[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    assert 0.9 * seconds < told <= seconds
