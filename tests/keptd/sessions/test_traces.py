"""What is left of a session that was removed for good: nothing that it was called, and nothing that was said in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Daemon, Peer
from tests.working import done

from .moving import document, entry, put
from .test_removal import run

pytestmark = pytest.mark.anyio

CANARY = "Zanzibarcanary"


def readable(daemon: Daemon, word: str = CANARY) -> list[str]:
    """The files of the database in which a word stands, in capitals or not."""
    home = Path(daemon.paths.data_dir)
    files = [path for path in home.glob("kept.db*") if word.lower().encode() in path.read_bytes().lower()]
    return sorted(path.name for path in files)


async def let_go(peer: Peer, session: str) -> None:
    await peer.result("session.delete", id=session, idempotency_key=f"delete {session}")
    [entry] = [one for one in (await peer.result("trash.list"))["items"] if one["entity_id"] == session]
    await peer.result("trash.empty", id=entry["id"], idempotency_key=f"empty {session}")
    await run(peer, "session.remove")
    # The index has words, no texts; merging leaves those of messages behind that are no more.
    await done(peer, "maintenance.optimize")


async def talk(peer: Peer, word: str) -> str:
    """A session that has the word wherever it can have one, with a key for each write."""
    key = iter(f"{word} {number}" for number in range(100))
    session = {"title": f"{word} title", "tags": [f"{word}-tag"], "metadata": f"{word} metadata"}
    made = await peer.result("session.create", **session, idempotency_key=next(key))
    name: dict[str, Any] = {"id": made["id"]}
    said = {"session_id": made["id"], "speaker": f"{word} speaker", "metadata": [word]}
    await peer.result("message.send", **said, content=f"{word} one", idempotency_key=next(key))
    # Longer than what is kept as it is: it is compressed, and would not be found by its bytes.
    await peer.result("message.send", **said, content=f"{word} " * 2000, idempotency_key=next(key))
    several = [{"role": "user", "content": f"{word} {number}"} for number in range(700)]
    await peer.result("message.send", session_id=made["id"], messages=several, idempotency_key=next(key))
    await peer.result("session.update", **name, summary=f"{word} summary", idempotency_key=next(key))
    await peer.result("session.update", **name, title=f"{word} title", idempotency_key=next(key))
    for method in ("session.attach", "session.detach"):
        await peer.result(method, **name)
    await peer.result("session.close", **name, idempotency_key=next(key))
    await peer.result("session.close", **name, idempotency_key=next(key))
    return str(made["id"])


async def test_what_is_removed_for_good_is_not_readable_in_the_database(daemon: Daemon, peer: Peer) -> None:
    session, stays = await talk(peer, CANARY), await talk(peer, "Timbuktu")
    assert "kept.db-wal" in readable(daemon)
    await let_go(peer, session)
    assert readable(daemon) == []
    assert readable(daemon, "Timbuktu") == ["kept.db"]
    results = daemon.supervisor._store.inline.execute(
        "SELECT count(*), count(session), sum(length(result) = 0) FROM receipt"
    ).fetchall()
    assert results == [(18, 9 - 1, 10)]
    changes = (await peer.result("event.list", topics=[f"session:{stays}"], limit=1000))["items"]
    assert {change["label"] for change in changes} == {"Timbuktu title"}


async def test_repeating_a_write_whose_result_is_gone_says_so_and_does_nothing(daemon: Daemon, peer: Peer) -> None:
    first = {"title": CANARY, "idempotency_key": "k"}
    session = (await peer.result("session.create", **first))["id"]
    await let_go(peer, session)
    error = (await peer.ask("session.create", **first))["error"]
    assert error["data"]["type"] == "conflict"
    assert error["message"] == "this was done, and what came of it has been removed for good since"
    assert (await peer.result("session.list"))["items"] == []


async def test_the_changes_of_one_that_is_removed_stay_without_what_it_was_called(daemon: Daemon, peer: Peer) -> None:
    session = await talk(peer, CANARY)
    before = (await peer.result("event.list", limit=1000))["items"]
    await let_go(peer, session)
    after = (await peer.result("event.list", limit=1000))["items"]
    assert [change["seq"] for change in after[: len(before)]] == [change["seq"] for change in before]
    assert [change["entity_id"] for change in after[: len(before)]] == [change["entity_id"] for change in before]
    assert {(change["label"], change["number"]) for change in after[: len(before)]} == {("", None)}
    [last] = (await peer.result("event.list", topics=[f"session:{session}"]))["items"]
    assert (last["method"], last["label"]) == ("session.remove", "")


async def test_what_an_import_replaced_is_forgotten_with_it_and_not_with_what_came(daemon: Daemon, peer: Peer) -> None:
    session = await talk(peer, CANARY)
    text = json.dumps(document(entry(session, {"role": "user", "content": "Timbuktu"}, title="Timbuktu title")))
    await put(peer, text, on_conflict="replace")
    await peer.result("trash.empty")
    await run(peer, "session.remove")
    await done(peer, "maintenance.optimize")
    assert readable(daemon) == []
    assert readable(daemon, "Timbuktu") == ["kept.db"]
    [change] = (await peer.result("event.list", topics=[f"session:{session}"]))["items"]
    assert (change["method"], change["label"]) == ("session.import", "Timbuktu title")


async def test_while_something_reads_the_log_is_left_and_the_job_says_so(daemon: Daemon, peer: Peer) -> None:
    session = await talk(peer, CANARY)
    await peer.result("session.delete", id=session)
    with daemon.supervisor._store.snapshot() as db:
        db.execute("SELECT count(*) FROM session").fetchall()
        await peer.result("trash.empty")
        assert (await run(peer, "session.remove")).endswith("; the log still has them, since something reads it")
        assert "kept.db-wal" in readable(daemon)
    await done(peer, "maintenance.optimize")
    assert readable(daemon) == []
