"""Conversations between files and a daemon that is played."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kept.cli import transfer
from kept.wire import Call, Done
from kept.wire.data import BeginUpload, DiscardArchive, TransferId, Upload, WritePart
from kept.wire.errors import InvalidParams
from kept.wire.session import SessionId
from kept.wire.session_move import ExportPart, ExportSession, ImportedSession, ImportedSessions, ImportSessions
from tests.kept.cli.test_local import Played
from tests.kept.cli.typing_at import Printed, type_in

ID = TransferId("0" * 32)
PARTS = ("one \x1b[31m", "two \x9b é", "three\n")


class Daemon:
    """Gives an export in three parts, takes a file, and remembers what it was asked."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.received = b""
        self.asked: list[Call[Any]] = []

    def __call__(self, call: Call[Any], /) -> Any:
        self.asked.append(call)
        match call:
            case ExportSession(cursor=cursor):
                at = int(cursor or 0)
                following = str(at + 1) if at + 1 < len(PARTS) else None
                if self.refuses and at:
                    raise InvalidParams("no")
                return ExportPart(text=PARTS[at], next_cursor=following, done=at + 1, total=3)
            case BeginUpload(bytes=size):
                return Upload(id=ID, received=0, bytes=size)
            case WritePart(data=data):
                self.received += base64.b64decode(data)
                return Upload(id=ID, received=len(self.received), bytes=0)
            case ImportSessions():
                if self.refuses:
                    raise InvalidParams("no document")
                some = [ImportedSession(id=SessionId("b"), former_id="a", action="created", messages=2)]
                some += [ImportedSession(id=SessionId("c"), former_id="c", action="skipped", messages=0)] * 30
                return ImportedSessions(sessions=tuple(some), messages=2, warnings=("careful",) * 30)
            case DiscardArchive():
                return Done(id=ID)
        raise AssertionError(call)


def typed(words: list[str], daemon: Daemon, here: Played | None = None, *, terminal: bool = False) -> Printed:
    return type_in(["session", *words], daemon, here=here or Played(), terminal=terminal)


@pytest.mark.parametrize("words", [["export", "x"], ["export", "x", "-"], ["export", "x", "--file", "-"]])
def test_an_export_without_a_file_goes_to_standard_output_as_it_is(words: list[str]) -> None:
    printed = typed(words, Daemon())
    assert (printed.code, printed.out, printed.err) == (0, "".join(PARTS), "")


def test_a_terminal_is_given_nothing_that_it_could_obey() -> None:
    assert typed(["export", "x", "--format", "txt"], Daemon(), terminal=True).out == "one \ufffd[31mtwo \ufffd éthree\n"
    assert "\x9b" not in typed(["export", "x"], Daemon(), terminal=True).out


def test_an_export_into_a_file_is_written_whole_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    daemon = Daemon()
    printed = typed(["export", "x", str(file), "--tree", "--format", "markdown"], daemon)
    assert printed.code == 0
    assert file.read_text() == "".join(PARTS)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "3 messages" in printed.out
    assert {(call.format, call.tree) for call in daemon.asked if isinstance(call, ExportSession)} == {
        ("markdown", True)
    }
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text("mine")
    printed = typed(["export", "x", str(file)], Daemon())
    assert (printed.code, file.read_text()) == (2, "mine")
    assert "--force" in printed.err
    assert typed(["export", "x", str(file), "--force"], Daemon(), Played()).code == 0
    assert file.read_text() == "".join(PARTS)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_folder_is_told_as_one(tmp_path: Path, force: list[str]) -> None:
    printed = typed(["export", "x", str(tmp_path), *force], Daemon())
    assert printed.code == 2
    assert "that is a folder" in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_by_the_name_that_was_typed(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "talk.json"
    printed = typed(["export", "x", str(file)], Daemon())
    assert printed.code == 2
    assert f"{file}: No such file or directory" in printed.err


def test_what_a_killed_export_left_is_named(tmp_path: Path) -> None:
    file, left = tmp_path / "talk.json", tmp_path / "talk.json.part"
    left.write_text("half")
    printed = typed(["export", "x", str(file)], Daemon())
    assert printed.code == 2
    assert f"{left} exists already" in printed.err
    assert "then remove it" in printed.err
    assert list(tmp_path.iterdir()) == [left]


def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    assert typed(["export", "x", str(file)], Daemon(refuses=True)).code == 1
    assert list(tmp_path.iterdir()) == []
    file.write_text("mine")
    assert typed(["export", "x", str(file), "--force"], Daemon(refuses=True)).code == 1
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_an_import_sends_the_file_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    file = tmp_path / "talk.json"
    file.write_bytes(b"0123456789" * 250)
    daemon = Daemon()
    printed = typed(["import", str(file), "--on-conflict", "skip", "--on-secret", "redact"], daemon)
    assert printed.code == 0
    assert daemon.received == file.read_bytes()
    assert sum(isinstance(call, WritePart) for call in daemon.asked) == 3
    assert daemon.asked[-1] == ImportSessions(upload_id=ID, on_conflict="skip", on_secret="redact")
    lines = printed.out.splitlines()
    assert lines[0] == "created   b  2 messages, was a"
    assert lines[-2:] == ["... and 11 more", "imported 2 messages in 1 of 31 sessions"]
    assert printed.err.splitlines()[-1] == "note: and 10 more; --json shows all"


def test_an_import_takes_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    here = Played()
    here.typed = b"0123456789" * 250
    daemon = Daemon()
    assert typed(["import", "-"], daemon, here).code == 0
    assert daemon.received == here.typed


def test_what_was_sent_is_removed_where_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text("{}")
    daemon = Daemon(refuses=True)
    printed = typed(["import", str(file)], daemon)
    assert (printed.code, printed.err.splitlines()[0]) == (1, "kept: no document")
    assert daemon.asked[-1] == DiscardArchive(id=ID)


def test_results_as_json(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    assert json.loads(typed(["export", "x", str(file), "--json"], Daemon()).out) == {
        "file": str(file),
        "bytes": len("".join(PARTS).encode()),
        "messages": 3,
    }
    assert json.loads(typed(["import", str(file), "--json"], Daemon()).out)["messages"] == 2


def test_what_can_not_be_read_or_written_is_said(tmp_path: Path) -> None:
    assert "No such file" in typed(["import", str(tmp_path / "none")], Daemon()).err
    assert "No such file" in typed(["export", "x", str(tmp_path / "none" / "a")], Daemon()).err
    (tmp_path / "empty").touch()
    assert "empty" in typed(["import", str(tmp_path / "empty")], Daemon()).err


def test_inside_the_daemon_neither_runs() -> None:
    assert type_in("session export x", Daemon()).local
    assert type_in("session import -", Daemon()).local
