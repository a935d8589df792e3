"""SIGKILL in the middle of an import: at the next start there is all of it or nothing, and it can be imported again.
And conversations from one daemon to another."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from kept.cli.process import Process
from kept.cli.session_files import fetch, send
from kept.cli.session_moves import ExportToFile, ImportFromFile
from kept.cli.surface import Surface
from kept.client import Client
from kept.faults import Fault
from kept.wire.errors import KeptError
from kept.wire.message import ListMessages, NewMessage, SendMessage
from kept.wire.session import CreateSession, ListSessions
from kept.wire.session_move import ImportSessions
from tests.faulty_vfs import DEADLINE
from tests.keptd.sessions.moving import document, entry, says

from .homes import Home, home

SESSIONS, MESSAGES = 4, 1500


def whole() -> dict[str, Any]:
    return document(
        *(
            entry(f"s-{n}", *(says(f"message {k} é\n# x", id=f"m-{n}-{k}") for k in range(MESSAGES)), tags=["t"])
            for n in range(SESSIONS)
        )
    )


def standing(db: apsw.Connection) -> tuple[int, int]:
    """How many sessions are here, and how many messages there are."""
    [(sessions,)] = db.execute("SELECT count(*) FROM session WHERE place = 'here'").fetchall()
    [(messages,)] = db.execute("SELECT count(*) FROM message").fetchall()
    return int(str(sessions)), int(str(messages))


def killed_at(place: Home, client: Client, messages: int, sessions: int) -> None:
    """Import, and kill the daemon as soon as it has so many messages, and shows so many sessions."""

    def work() -> None:
        with suppress(Fault, KeptError):
            client.call(ImportSessions(document=whole()))

    thread = threading.Thread(target=work)
    db = apsw.Connection(place.paths.database, flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(5000)
    try:
        thread.start()
        while thread.is_alive():
            here, said = standing(db)
            if said >= messages and here >= sessions:
                break
        place.end(signal.SIGKILL)
        thread.join(DEADLINE)
        assert not thread.is_alive()
    finally:
        db.close()


@pytest.mark.crash
@pytest.mark.parametrize(
    ("messages", "sessions"), [(1, 0), (MESSAGES, 0), (SESSIONS * MESSAGES - 500, 0), (SESSIONS * MESSAGES, SESSIONS)]
)
def test_all_of_an_import_or_nothing_outlives_a_kill(tmp_path: Path, messages: int, sessions: int) -> None:
    with home(tmp_path) as place:
        with place.connect(patience=10) as client:
            client.call(ListSessions())
            killed_at(place, client, messages, sessions)
        with place.connect() as client:
            shown = client.call(ListSessions(tag="t")).items
            assert len(shown) in (0, SESSIONS)
            assert len(shown) == SESSIONS or not sessions
            got = client.call(ImportSessions(document=whole(), on_conflict="skip"))
            assert {one.action for one in got.sessions} == {"skipped" if shown else "created"}
            assert {one.id for one in got.sessions} == {f"s-{n}" for n in range(SESSIONS)}
            for one in got.sessions:
                listed = client.call(ListMessages(session_id=one.id, order="oldest", limit=1000)).items
                assert [message.number for message in listed] == list(range(1, 1001))
                assert listed[7].id == f"m-{one.id[2:]}-7"
        place.end(signal.SIGTERM)
        db = apsw.Connection(place.paths.database)
        assert db.pragma("integrity_check") == "ok"
        rows = db.execute("SELECT place, messages, count(*) FROM session GROUP BY 1, 2").fetchall()
        assert {place for place, *_ in rows} <= {"here", "going"}
        assert ("here", MESSAGES, SESSIONS) in rows
        db.close()


@pytest.mark.crash
def test_a_tree_moves_from_one_daemon_to_another_byte_for_byte(tmp_path: Path) -> None:
    """With the files that the command line writes and reads."""
    with home(tmp_path / "a") as first, home(tmp_path / "b") as second:
        with first.connect() as client:
            root = client.call(CreateSession(title="Über\u2028alles", metadata={"n": 1.5}, tags=("x",)))
            child = client.call(CreateSession(parent_id=root.id))
            for session in (root, child):
                said = tuple(NewMessage(role="tool", content=f"{n}\r\n\x1b é 漢", metadata=[n]) for n in range(800))
                client.call(SendMessage(session_id=session.id, messages=said))
        texts: list[bytes] = []
        for place, file in ((first, tmp_path / "a.json"), (second, tmp_path / "b.json")):
            process = Process(place.environ, start=True)
            surface = Surface(lambda _: None, lambda _: None)
            surface = surface.at_home(process)
            if texts:
                send(ImportFromFile(file=str(tmp_path / "a.json")), process, surface)
            fetch(ExportToFile(id=root.id, file=str(file), tree=True), process, surface)
            process.close()
            texts.append(file.read_bytes())
    heads, rests = zip(*(text.split(b"\n", 1) for text in texts), strict=True)
    assert rests[0] == rests[1]
    assert [json.loads(head + b"]}").keys() for head in heads] == [json.loads(heads[0] + b"]}").keys()] * 2
