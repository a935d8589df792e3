"""Several clients in one session at once: no message is lost, none changes places with another of its sender's."""

from __future__ import annotations

import threading
from pathlib import Path

import kept
from kept.client import Client
from kept.wire.message import ListMessages, Message, NewMessage, SendMessage, Sent
from kept.wire.session import CreateSession, GetSession
from tests.harness import PATIENCE, Process

CLIENTS = 6
ROUNDS = 20
LIST = 3


def _everything(client: Client, session_id: str) -> list[Message]:
    found: list[Message] = []
    cursor = None
    while True:
        page = client.call(ListMessages(session_id=session_id, order="oldest", limit=97, cursor=cursor))
        found += page.items
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def test_each_clients_messages_are_all_there_in_its_order_and_numbers_have_no_gap(home: Path) -> None:
    with Process(home) as process:
        environ = {"KEPT_HOME": process.paths.data_dir}
        with kept.connect("reader", environ=environ, start=False) as reader:
            session = reader.call(CreateSession(title="t"))
            sent: dict[str, list[Sent]] = {}
            faults: list[BaseException] = []

            def run(name: str) -> None:
                try:
                    with kept.connect(name, environ=environ, start=False) as client:
                        sent[name] = _say(client, session.id, name)
                except BaseException as fault:
                    faults.append(fault)
                    raise

            threads = [threading.Thread(target=run, args=(f"client-{number}",)) for number in range(CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(3 * PATIENCE)
            assert not faults
            found = _everything(reader, session.id)
            total = CLIENTS * ROUNDS * (1 + LIST)
            assert reader.call(GetSession(id=session.id)).messages == total

    assert [one.number for one in found] == list(range(1, total + 1))
    assert len({one.id for one in found}) == total
    by_number = {one.number: one for one in found}
    for name, replies in sent.items():
        own = [one for one in found if one.speaker == name]
        assert [one.content for one in own] == [str(number) for number in range(ROUNDS * (1 + LIST))]
        assert [by_number[reply.number].content for reply in replies] == [reply.content for reply in replies]
        # Those of one call follow one another, whoever else writes meanwhile.
        for reply in replies:
            ids = [by_number[reply.number - place].id for place in range(len(reply.ids))]
            assert tuple(reversed(ids)) == reply.ids


def _say(client: Client, session_id: str, name: str) -> list[Sent]:
    """One message and several, in turn, many calls in flight at once."""
    calls = []
    number = 0
    for _ in range(ROUNDS):
        calls.append(SendMessage(session_id=session_id, content=str(number), speaker=name))
        several = tuple(NewMessage(role="user", content=str(number + 1 + place), speaker=name) for place in range(LIST))
        calls.append(SendMessage(session_id=session_id, messages=several))
        number += 1 + LIST
    return list(client.batch(calls))
