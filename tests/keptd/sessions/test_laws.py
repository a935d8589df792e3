"""The room against a model: lists of what was said, whatever happens in whatever order."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kept.wire.errors import Conflict, NotFound
from kept.wire.message import ContextOfSession, ListMessages, NewMessage, SendMessage
from kept.wire.session import (
    CloseSession,
    CreateSession,
    DeleteSession,
    GetSession,
    ListSessions,
    ReopenSession,
    StatsOfSession,
    TreeOfSession,
    UpdateSession,
)
from kept.wire.trash import EmptyTrash, ListTrash, RestoreTrash
from keptd.domain import WriteCtx
from keptd.sessions import DOMAIN, counts, jobs
from keptd.store.changes import ChangeLog
from keptd.tokens import tokens_of
from tests.rooms import ACTOR, Rooms

ROLES = ("user", "assistant", "system", "tool")
SAID = st.builds(
    NewMessage,
    role=st.sampled_from(ROLES),
    content=st.sampled_from(["", "red kite", "grün", "two\nlines", "\u0001"]),
    speaker=st.sampled_from([None, "Ann", "Ö"]),
)


@dataclass
class Talk:
    order: int
    title: str
    parent: str | None
    tags: tuple[str, ...]
    active_at: int
    status: str = "active"
    said: list[NewMessage] = field(default_factory=list)


class SessionLaws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="kept-")
        self.open()
        self.here: dict[str, Talk] = {}
        self.trash: dict[str, Talk] = {}
        self.begun = 0

    def open(self) -> None:
        self.rooms = Rooms(Path(self.folder.name), [DOMAIN])
        self.rooms.writer.pragma("synchronous", "OFF")  # Durability is not the subject.

    def teardown(self) -> None:
        self.rooms.close()
        self.folder.cleanup()

    def pick(self, number: int) -> str:
        return list(self.here)[number % len(self.here)]

    def touch(self, talk: Talk) -> None:
        talk.active_at = self.rooms.clock.now()

    @rule(
        title=st.sampled_from([None, "kite", "boat"]),
        tags=st.sampled_from([(), ("t",), ("t", "u")]),
        below=st.none() | st.integers(0, 9),
    )
    def create(self, title: str | None, tags: tuple[str, ...], below: int | None) -> None:
        parent = None if below is None or not self.here else self.pick(below)
        made = self.rooms(CreateSession(title=title, tags=tags, parent_id=parent))
        self.begun += 1
        self.here[made.id] = Talk(self.begun, title or "", parent, tags, self.rooms.clock.now())

    @precondition(lambda self: self.here)
    @rule(number=st.integers(0, 9), said=st.lists(SAID, min_size=1, max_size=4))
    def send(self, number: int, said: list[NewMessage]) -> None:
        session_id = self.pick(number)
        talk = self.here[session_id]
        call = SendMessage(session_id=session_id, messages=tuple(said))
        if talk.status != "active":
            with pytest.raises(Conflict):
                self.rooms(call)
            return
        assert self.rooms(call).number == len(talk.said) + len(said)
        talk.said += said
        lines = [" ".join("".join(one.content.split("\u0001")).splitlines()[:1]) for one in said]
        talk.title = talk.title or next(filter(None, lines), "")
        self.touch(talk)

    @precondition(lambda self: self.here)
    @rule(number=st.integers(0, 9), title=st.sampled_from(["kite", "boat"]), tags=st.sampled_from([(), ("u",)]))
    def update(self, number: int, title: str, tags: tuple[str, ...]) -> None:
        session_id = self.pick(number)
        talk = self.here[session_id]
        self.rooms(UpdateSession(id=session_id, title=title, tags=tags))
        if (talk.title, talk.tags) != (title, tags):
            talk.title, talk.tags = title, tags
            self.touch(talk)

    @precondition(lambda self: self.here)
    @rule(number=st.integers(0, 9), other=st.integers(0, 9))
    def hang(self, number: int, other: int) -> None:
        child, parent = self.pick(number), self.pick(other)
        call = UpdateSession(id=child, parent_id=parent)
        line, everyone = [], {**self.here, **self.trash}
        above: str | None = parent
        while above in everyone:
            line.append(above)
            above = everyone[above].parent
        if child in line:
            with pytest.raises(Conflict):
                self.rooms(call)
            return
        self.rooms(call)
        if self.here[child].parent != parent:
            self.here[child].parent = parent
            self.touch(self.here[child])

    @precondition(lambda self: self.here)
    @rule(number=st.integers(0, 9), archive=st.booleans())
    def close(self, number: int, archive: bool) -> None:
        session_id = self.pick(number)
        talk = self.here[session_id]
        self.rooms(CloseSession(id=session_id, archive=archive))
        wanted = "archived" if archive or talk.status == "archived" else "closed"
        if talk.status != wanted:
            talk.status = wanted
            self.touch(talk)

    @precondition(lambda self: self.here)
    @rule(number=st.integers(0, 9))
    def reopen_session(self, number: int) -> None:
        session_id = self.pick(number)
        talk = self.here[session_id]
        self.rooms(ReopenSession(id=session_id))
        if talk.status != "active":
            talk.status = "active"
            self.touch(talk)

    @precondition(lambda self: self.here)
    @rule(number=st.integers(0, 9))
    def delete(self, number: int) -> None:
        session_id = self.pick(number)
        self.rooms(DeleteSession(id=session_id))
        self.trash[session_id] = self.here.pop(session_id)
        with pytest.raises(NotFound):
            self.rooms(GetSession(id=session_id))

    @precondition(lambda self: self.trash)
    @rule(number=st.integers(0, 9))
    def restore(self, number: int) -> None:
        items = self.rooms(ListTrash()).items
        gone = items[number % len(items)]
        self.rooms(RestoreTrash(id=gone.id))
        self.here[gone.entity_id] = self.trash.pop(gone.entity_id)
        self.touch(self.here[gone.entity_id])

    @rule(all_of_it=st.booleans())
    def empty_and_remove(self, all_of_it: bool) -> None:
        self.rooms(EmptyTrash())
        self.trash.clear()
        log = ChangeLog(self.rooms.writer, self.rooms.clock.now(), ACTOR, "session.remove")
        ctx = WriteCtx(self.rooms.writer, self.rooms.clock, ACTOR, self.rooms.config, log)
        with self.rooms.writer:
            while jobs.remove_some(ctx, 2) and all_of_it:
                pass
        if all_of_it:
            [(rows,)] = self.rooms.reader.execute("SELECT count(*) FROM session")
            [(messages,)] = self.rooms.reader.execute("SELECT count(*) FROM message")
            assert (rows, messages) == (len(self.here), sum(len(talk.said) for talk in self.here.values()))

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.rooms.clock.advance(seconds)

    @rule()
    def reopen(self) -> None:
        clock = self.rooms.clock
        self.rooms.close()
        self.open()
        self.rooms.clock = clock

    @invariant()
    def lists_are_in_order(self) -> None:
        def ids(call: ListSessions) -> list[str]:
            return [one.id for one in self.rooms(call).items]

        def where(wanted: Any, key: Any) -> list[str]:
            found = [name for name, talk in self.here.items() if wanted(talk)]
            return sorted(found, key=lambda name: key(self.here[name]), reverse=True)

        def activity(talk: Talk) -> tuple[int, int]:
            return talk.active_at, talk.order

        def order(talk: Talk) -> int:
            return talk.order

        assert ids(ListSessions()) == where(lambda talk: talk.status != "archived", activity)
        assert ids(ListSessions(status="archived")) == where(lambda talk: talk.status == "archived", activity)
        assert ids(ListSessions(tag="t")) == where(lambda talk: "t" in talk.tags and talk.status != "archived", order)

    @invariant()
    def each_is_what_was_said(self) -> None:
        for name, talk in self.here.items():
            shown = self.rooms(GetSession(id=name))
            assert (shown.title, shown.status, shown.tags, shown.parent_id) == (
                talk.title,
                talk.status,
                talk.tags,
                talk.parent,
            )
            said = [(one.number, one.role, one.content) for one in self.rooms(ListMessages(session_id=name)).items]
            assert said[::-1] == [(number, one.role, one.content) for number, one in enumerate(talk.said, 1)]
            assert len(self.rooms(ContextOfSession(id=name)).messages) == len(talk.said)

    @invariant()
    def counts_are_right_and_a_recount_changes_nothing(self) -> None:
        for name, talk in self.here.items():
            stats = self.rooms(StatsOfSession(id=name))
            assert (stats.messages, stats.bytes) == (
                len(talk.said),
                sum(len(one.content.encode()) + 4 for one in talk.said),
            )
            assert stats.tokens == sum(tokens_of(f"{one.speaker or one.role}: {one.content}") for one in talk.said)
            assert [getattr(stats.by_role, role) for role in ROLES] == [
                sum(one.role == role for one in talk.said) for role in ROLES
            ]
            assert stats.children == sum(other.parent == name for other in self.here.values())
        before = self.rooms.reader.execute("SELECT * FROM session ORDER BY seq").fetchall()
        with self.rooms.writer:
            for (seq,) in list(self.rooms.writer.execute("SELECT seq FROM session WHERE place = 'here'")):
                counts.recount(self.rooms.writer, int(str(seq)))
        assert self.rooms.reader.execute("SELECT * FROM session ORDER BY seq").fetchall() == before

    @invariant()
    def a_tree_shows_each_descendant_once(self) -> None:
        for name in self.here:
            found = [one.id for one in self.rooms(TreeOfSession(id=name)).descendants if one.status != "missing"]
            assert len(found) == len(set(found))
            assert set(found) == {other for other in self.here if other != name and self.is_below(other, name)}

    def is_below(self, other: str, name: str) -> bool:
        everyone = {**self.here, **self.trash}
        above = everyone[other].parent
        while above in everyone and above != name:
            above = everyone[above].parent
        return above == name


SessionLaws.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestSessionLaws = SessionLaws.TestCase
