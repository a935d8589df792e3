"""The lines that a new terminal shows, made of what is stored."""

from __future__ import annotations

from kept.cli.banner import LINES
from kept.wire.component import SetComponent
from kept.wire.journal import AddDecision, LogAction, RecordError
from kept.wire.memory import SetMemory
from kept.wire.message import SendMessage
from kept.wire.session import CreateSession

from .typing_at import OverTheWire, type_in

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e" + "long 日本 " * 200 + "\r\n\x9b31m"


def test_it_says_how_much_is_open_and_what_comes_first(rooms: OverTheWire) -> None:
    for number in range(5):
        rooms(AddDecision(decision=f"decision {number}", reasoning="a reason"))
    rooms(RecordError(error="the build broke"))
    rooms(SetComponent(name="web", status="down", health=10))
    rooms(SetMemory(key="deploy.port", value=8080))
    rooms(LogAction(action="moved the API"))
    session = rooms(CreateSession(title="move the API"))
    rooms(SendMessage(session_id=session.id, role="user", content="which port?"))
    printed = type_in("shell-banner", rooms)
    lines = printed.out.splitlines()
    assert lines[0] == "kept: 5 open decisions, 1 unresolved error, 1 component not in order"
    assert [line[2:14].strip() for line in lines[1:-1]] == [
        *["not in order", "error", "decided", "decided", "decided", "last session", "known", "done"]
    ]
    assert lines[-1] == "  more: kept context"
    assert len(lines) <= LINES


def test_where_nothing_is_kept_there_is_nothing(rooms: OverTheWire) -> None:
    assert type_in("shell-banner", rooms).out == ""


def test_stored_text_can_neither_act_nor_spill(rooms: OverTheWire) -> None:
    for number in range(30):
        rooms(AddDecision(decision=f"{number} {HOSTILE}", reasoning=HOSTILE))
        rooms(RecordError(error=f"{number} {HOSTILE}"))
        rooms(LogAction(action=f"{number} {HOSTILE}"))
        rooms(SetMemory(key=f"key{number}", value=HOSTILE))
        rooms(SetComponent(name=f"part{number}", status="down"))
    for columns in (20, 33, 80, 300):
        printed = type_in("shell-banner", rooms, columns=columns)
        lines = printed.out.splitlines()
        assert 1 < len(lines) <= LINES
        for line in lines:
            assert len(line) <= columns
            assert not set(line) & set("\x1b\x07\x9b\u202e\r\t")
    assert type_in("shell-banner", rooms, columns=10).out == ""


def test_escape_sequences_only_where_colour_is_welcome(rooms: OverTheWire) -> None:
    rooms(LogAction(action="moved the API"))
    assert "\x1b" not in type_in("shell-banner", rooms).out
    assert type_in("shell-banner", rooms, colour=True).out.startswith("\x1b[1mkept: nothing open\x1b[0m\n")
