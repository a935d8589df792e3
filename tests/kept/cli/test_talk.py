"""Conversations on the command line, in front of the real room."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kept.cli.session_tree import _leads
from kept.wire import Page
from kept.wire.errors import StorageFull
from kept.wire.message import NewMessage, SendMessage
from kept.wire.session import (
    Attendee,
    Branch,
    CloseSession,
    CreateSession,
    DeleteSession,
    ListSessions,
    Session,
    SessionId,
    UpdateSession,
)

from .test_local import Played
from .typing_at import NOW, OverTheWire, Printed, Recorder, type_in

HOSTILE = "evil\x1b[31m \x9b2J\u202e"
COMMAND = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def session(rooms: OverTheWire) -> Session:
    created = rooms(CreateSession(title="move the API", tags=("api",), project="web"))
    rooms(SendMessage(session_id=created.id, content="Which **port** does the API use?"))
    rooms(SendMessage(session_id=created.id, role="assistant", speaker="Ann", content="# It is\n\n8080, deployed"))
    return created


def typed(words: str | list[str], rooms: OverTheWire | Recorder, **more: Any) -> Printed:
    return type_in(["session", *words] if isinstance(words, list) else f"session {words}", rooms, **more)


def many(rooms: OverTheWire, session: Session, count: int, content: str = "m") -> None:
    said = tuple(NewMessage(role="user", content=f"{content}{number}") for number in range(count))
    rooms(SendMessage(session_id=session.id, messages=said))


def test_a_new_session_is_its_id_alone_in_a_pipe_and_tells_people_the_next_step(rooms: OverTheWire) -> None:
    piped = typed("new 'a title' --tag x --tag y --project p", rooms, terminal=False)
    (made,) = rooms(ListSessions()).items
    assert (piped.out, piped.err) == (f"{made.id}\n", "")
    assert (made.title, made.tags, made.project) == ("a title", ("x", "y"), "p")
    child, step = typed("new --parent last", rooms).out.splitlines()
    assert step == f"say something: kept session send {child} TEXT"
    assert rooms(ListSessions(parent_id=made.id)).items[0].id == child
    assert json.loads(typed("new --json", rooms).out)["title"] == ""


def test_what_is_sent_is_the_words_or_the_standard_input_as_it_is(rooms: OverTheWire, session: Session) -> None:
    assert typed(["send", session.id, "one", "two"], rooms).out == "sent #3\n"
    assert typed(["send", "last", "-", "--role", "tool"], rooms, stdin="  a\n\n\n").out == "sent #4\n"
    assert typed(["send", "last", "--speaker", "Bob"], rooms, stdin="b\n").out == "sent #5\n"
    said = json.loads(typed(f"show {session.id} --json", rooms).out)["messages"]
    assert [(each["content"], each["role"], each["speaker"]) for each in said[2:]] == [
        ("one two", "user", None),
        ("  a\n\n", "tool", None),
        ("b", "user", "Bob"),
    ]
    assert json.loads(typed("send last x --json", rooms).out)["number"] == 6


def test_what_is_sent_is_not_blank_and_not_too_long(rooms: OverTheWire, session: Session) -> None:
    for stdin in ("", "\n", " \t\n"):
        printed = typed("send last", rooms, stdin=stdin)
        assert (printed.code, printed.err.splitlines()[0]) == (2, "kept: there is nothing to send: the text is blank")
    assert typed("send last", rooms, stdin="é" * 1_048_576).out == "sent #3\n"
    for words in ("send last", "send last -"):
        printed = typed(words, rooms, stdin="secret" * 200_000)
        assert printed.code == 2
        assert "1,048,576" in printed.err
        assert "secret" not in printed.err


def test_without_a_text_and_without_standard_input_at_hand_it_runs_where_there_is_one(rooms: OverTheWire) -> None:
    assert typed("send x", rooms).local


def test_a_session_is_shown_with_what_was_said_drawn_on_a_terminal(rooms: OverTheWire, session: Session) -> None:
    rooms(UpdateSession(id=session.id, summary="It is " + "long " * 40 + "told"))
    printed = typed(f"show {session.id}", rooms, colour=True)
    for part in (
        "\x1b[1mmove the API\x1b[0m\n",
        f"id:         \x1b[0m {session.id}",
        "2 messages, ",
        "\x1b[1m#1 user, now\x1b[0m\n  Which \x1b[1mport\x1b[0m does the API use?\n",
        "\x1b[1m#2 assistant (Ann), now\x1b[0m\n  \x1b[1;4mIt is\x1b[0m\n\n  8080, deployed\n",
    ):
        assert part in printed.out
    assert max(map(len, re.sub("\x1b.*?m", "", printed.out).splitlines())) <= 80
    assert "\x1b" not in typed("show last", rooms).out


def test_in_a_pipe_it_is_plain_text_that_can_be_coloured_for_less(rooms: OverTheWire, session: Session) -> None:
    plain = typed("show last", rooms, terminal=False, columns=10_000)
    assert "#1 user, 2026-01-01T00:00:00Z\n  Which **port** does the API use?\n" in plain.out
    assert "\n  # It is\n\n  8080, deployed\n" in plain.out
    for words in ("show last --colour always", "show last --colour=always"):
        assert "\x1b[1mport\x1b[0m" in typed(words, rooms, terminal=False).out
    assert "\x1b" not in typed("show last --colour never", rooms, colour=True).out
    assert "\x1b" in type_in("--colour always session show last", rooms, terminal=False).out
    assert typed("show last --colour blue", rooms).code == 2


def test_the_newest_are_shown_and_all_in_the_callers_process(rooms: OverTheWire, session: Session) -> None:
    many(rooms, session, 700)
    shown = re.findall(r"^#(\d+) ", typed("show last", rooms).out, re.MULTILINE)
    assert shown == [str(number) for number in range(683, 703)]
    assert len(re.findall(r"^#", typed("show last -n 100", rooms).out, re.MULTILINE)) == 100
    assert typed("show last -n 101", rooms).local
    assert typed("show last --all", rooms).local
    assert typed("tail last -n 101", rooms).local
    here = Played()
    assert typed("show last --all", rooms, here=here).out == ""
    assert re.findall(r"^#(\d+) ", "".join(here.paper), re.MULTILINE) == [str(number) for number in range(1, 703)]
    assert typed("show last --all --no-pager", rooms, here=here).out == "".join(here.paper)
    assert len(json.loads(typed("show last --all --json", rooms, here=here).out)["messages"]) == 702
    assert typed("show last --all", rooms, here=here, terminal=False).out.count("\n#") == 702


def test_long_messages_are_left_to_the_callers_process(rooms: OverTheWire, session: Session) -> None:
    many(rooms, session, 3, "x" * 100_000)
    assert typed("show last", rooms).local
    assert typed("tail last -n 2", rooms).out.count("\n#") == 2


def test_the_context_is_what_an_agent_continues_with(rooms: OverTheWire, session: Session) -> None:
    rooms(CloseSession(id=session.id, summary="The port is 8080."))
    typed(["new", "next", "--parent", session.id], rooms)
    typed("send last hello", rooms)
    here = Played()
    assert typed("show last --context", rooms, here=here).code == 0
    assert "".join(here.paper) == "\nwhat came before: move the API\n  The port is 8080.\n\n#1 user, now\n  hello\n"
    assert json.loads(typed("show last --context --json", rooms, here=here).out)["parent"]["title"] == "move the API"
    assert "The port is 8080." in type_in("context --session last", rooms).out


def test_a_list_tells_what_each_is_about_in_80_and_in_60_columns(rooms: OverTheWire, session: Session) -> None:
    rooms(CreateSession())
    closed = rooms(CreateSession(title="漢字" * 60))
    rooms(CloseSession(id=closed.id))
    for columns in (80, 60, 200):
        head, *lines = typed("ls", rooms, columns=columns).out.splitlines()
        assert head.split()[:3] == ["ID", "TITLE", "MSGS"]
        assert all(cell_len(line) <= columns for line in lines)
        assert any(session.id in line and "move the API" in line for line in lines)
        assert any("(no title yet)" in line for line in lines)
    assert "closed" in typed("ls", rooms, columns=200).out
    assert typed("ls --tag api --json", rooms, terminal=False).out.count('"id"') == 1
    assert typed("ls --tag none", rooms).err == "no such session\n"
    assert "--cursor" in typed("ls --limit 1", rooms).err


@pytest.mark.parametrize(("columns", "mark"), [(60, "2"), (80, "2"), (130, "codex, vim")])
def test_who_is_there_is_marked_however_narrow_it_is(
    rooms: OverTheWire, session: Session, columns: int, mark: str
) -> None:
    there = tuple(Attendee(client=name, pid=1, user=None, since=NOW) for name in ("vim", "codex"))
    old = msgspec.structs.replace(session, title="a long title " * 9, active_at=NOW - timedelta(days=400))
    page = Page(items=[msgspec.structs.replace(old, attached=there), old])
    head, first, second = typed("ls", Recorder({ListSessions: page}), columns=columns).out.splitlines()
    at = head.index("HERE")
    assert first[at:].startswith(mark)
    assert second[at : at + 4].strip() == ""
    assert all(len(line) <= columns for line in (head, first, second))


def test_without_sessions_the_first_step_is_told(rooms: OverTheWire) -> None:
    assert typed("ls", rooms).err == "no sessions yet; kept session new TITLE begins one\n"
    for words in ("show last", "tail last", "send last x", "tree last", "stats last", "new --parent last"):
        printed = typed(words, rooms)
        assert (printed.code, printed.err.splitlines()[0]) == (2, "kept: there is no session yet")


@pytest.mark.parametrize("words", ["show x", "tail x", "send x hello", "tree x", "stats x", "search a --session x"])
def test_an_unknown_id_leads_to_the_list(rooms: OverTheWire, words: str) -> None:
    printed = typed(words, rooms)
    assert printed.code == 1
    assert printed.err == "kept: there is no such session\nhint: kept session ls shows those that there are.\n"


def test_a_search_tells_where_it_was_said_and_marks_the_words(rooms: OverTheWire, session: Session) -> None:
    printed = typed("search deploying", rooms, colour=True)
    assert printed.out == (
        "\x1b[1mmove the API\x1b[0m  #2 assistant (Ann), now\n"
        f"  # It is 8080, \x1b[1mdeployed\x1b[0m\n  kept session show {session.id}\n"
    )
    assert "\x1b" not in typed("search deploying", rooms).out
    assert "move the API  2 messages, now\n" in typed("search --titles api", rooms).out
    assert json.loads(typed("search port --json", rooms).out)["items"][0]["number"] == 1
    assert typed("search port --role assistant", rooms).err.startswith("nothing was found; --titles")
    assert typed("search port --status active", rooms).code == 2
    assert typed("search port --titles --role user", rooms).code == 2


def test_a_tree_is_drawn_between_what_was_before_and_what_came_of_it(rooms: OverTheWire, session: Session) -> None:
    child = rooms(CreateSession(title="child", parent_id=session.id))
    grand = rooms(CreateSession(title="grand", parent_id=child.id))
    other = rooms(CreateSession(title="other " * 30, parent_id=session.id))
    rooms(DeleteSession(id=child.id))
    lines = typed(f"tree {session.id}", rooms).out.splitlines()
    assert [line.split("  ", 1)[0] for line in lines] == [session.id, child.id, grand.id, other.id]
    assert [line[38:50].rstrip() for line in lines] == ["move the API", "├─ (deleted)", "│  └─ grand", "└─ other oth"]
    assert all(len(line) <= 80 for line in lines)
    lines = typed(f"tree {grand.id}", rooms, columns=60).out.splitlines()
    assert [line[38:].partition(" (0")[0] for line in lines] == ["move the API", "└─ (deleted)", "   └─ grand"]
    assert json.loads(typed("tree last --json", rooms).out)["session"]["id"] == other.id


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_each_line_of_a_tree_leads_from_its_parent_to_its_last_child(steps: list[int]) -> None:
    depths: list[int] = []
    for step in steps:
        depths.append(min(step + 1, depths[-1] + 1 if depths else 1))
    branches = [
        Branch(id=SessionId("x"), parent_id=None, depth=depth, title="", status="active", messages=0, active_at=None)
        for depth in depths
    ]
    leads = _leads(branches, "")
    for at, (depth, lead) in enumerate(zip(depths, leads, strict=True)):
        cells = [lead[begin : begin + 3] for begin in range(0, len(lead), 3)]
        assert len(cells) == depth
        for level, cell in enumerate(cells, 1):
            below = next((other for other in depths[at + 1 :] if other <= level), 0)
            goes_on = below == level
            assert cell == (("├─ " if goes_on else "└─ ") if level == depth else ("│  " if goes_on else "   "))


def test_stats_tell_sizes_in_words(rooms: OverTheWire, session: Session) -> None:
    printed = typed("stats last", rooms).out
    assert "messages:      2 (user 1, assistant 1)\n" in printed
    assert "title:         move the API\n" in printed
    assert json.loads(typed("stats last --json", rooms).out)["messages"] == 2


def test_nothing_that_agents_say_acts_on_a_terminal(rooms: OverTheWire) -> None:
    made = rooms(CreateSession(title="t", tags=("x",)))
    rooms(SendMessage(session_id=made.id, content=HOSTILE + "\n#2 user, now\n```\n" + HOSTILE))
    rooms(UpdateSession(id=made.id, summary=HOSTILE))
    for words in ("show last", "tail last", "ls", "search evil", "search --titles evil", "tree last", "stats last"):
        for terminal in (True, False):
            assert not COMMAND.search(typed(words, rooms, terminal=terminal).out), words
    # A message can't pass for the beginning of another.
    assert re.findall("^#.*", typed("show last", rooms).out, re.MULTILINE) == ["#1 user, now"]


def test_a_warning_about_the_size_is_told_beside_the_number(rooms: OverTheWire, session: Session) -> None:
    for _ in range(8):
        many(rooms, session, 1000)
    printed = typed("send last one more", rooms)
    assert printed.out == "sent #8003\n"
    assert printed.err.startswith("note: ")
    assert "warning:" in typed("show last", rooms).out


def test_completion_knows_short_options_and_the_sessions(rooms: OverTheWire, session: Session) -> None:
    for words in ("session show", "session tail -n 5", "session tail -f"):
        printed = type_in(f"complete -- {words} ''", rooms)
        assert printed.out == f"{session.id}\tmove the API\n"
    assert session.id in type_in("complete -- session new --parent ''", rooms).out


def test_a_refusal_is_no_traceback_and_json_where_that_was_asked_for() -> None:
    full = Recorder({CreateSession: StorageFull("the disk is full")})
    printed = type_in("session new x --json", full)
    assert json.loads(printed.err)["error"]["data"]["type"] == "storage_full"
