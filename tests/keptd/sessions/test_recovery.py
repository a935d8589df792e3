"""What a recovery makes of conversations: nothing that was said is lost, and nothing that was deleted comes back."""

from __future__ import annotations

import msgspec
import pytest

from kept.wire.errors import NotFound
from kept.wire.message import ListMessages, Message, SendMessage
from kept.wire.session import CreateSession, DeleteSession, GetSession, ListSessions, StatsOfSession
from kept.wire.session_move import ImportSessions
from kept.wire.trash import EmptyTrash, ListTrash, RestoreTrash
from keptd.domain import WriteCtx
from keptd.sessions import DOMAIN, jobs, staging
from keptd.sessions.document import Extra, SessionPart, session_row
from keptd.sessions.incoming import Incoming
from keptd.sessions.rows import New
from keptd.sessions.schema import MESSAGE_TEXT, SESSION_TEXT
from keptd.store.changes import ChangeLog
from keptd.store.ids import new_id
from keptd.trash.store import Stay
from tests.keptd.house import House
from tests.rooms import ACTOR

LONG = "long " * 300
SESSION = "SELECT 'session', seq FROM session WHERE title = ?"
MESSAGE = (
    "SELECT 'message', m.seq FROM message AS m JOIN session AS s ON s.seq = m.session WHERE title = ? AND number = ?"
)


def talk(house: House, title: str, count: int = 12) -> str:
    made = house.rooms(CreateSession(title=title, tags=("t",), metadata=LONG))
    for number in range(1, count + 1):
        house.rooms(SendMessage(session_id=made.id, role="assistant", content=f"{number} {title} {LONG}"))
    return made.id


def said(house: House, session_id: str) -> list[tuple[int, str]]:
    call = ListMessages(session_id=session_id, order="oldest", limit=1000)
    return [(one.number, first_word(one)) for one in house.rooms(call).items]


def first_word(one: Message) -> str:
    return one.content.split()[0]


def remove(house: House, *, steps: int = 1000) -> None:
    """Empty the trash, and run so many steps of the job."""
    rooms = house.rooms
    rooms(EmptyTrash())
    log = ChangeLog(rooms.writer, rooms.clock.now(), ACTOR, "session.remove")
    ctx = WriteCtx(rooms.writer, rooms.clock, ACTOR, rooms.config, log)
    while steps and jobs.remove_some(ctx, 5):
        steps -= 1


def bring(house: House, session_id: str, content: str) -> None:
    """Import a session with one message."""
    rooms = house.rooms
    now = rooms.clock.now()
    row = session_row(SessionPart(id=session_id), new_id(), now, ACTOR.client)
    log = ChangeLog(rooms.writer, now, ACTOR, ImportSessions.method)
    with rooms.writer:
        seq = staging.begin(rooms.writer, row, Extra())
        new = Incoming(None, New("user", None, content, "null"), now, None, None)
        staging.fill(rooms.writer, seq, [new], now, ACTOR.client)
        arrival = staging.Arrival(seq, session_id, None)
        staging.publish(rooms.writer, [arrival], "new_id", staging.Log(now, 0, ACTOR.client, log.add, Stay(now, now)))


def everything(count: int) -> list[tuple[int, str]]:
    return [(number, str(number)) for number in range(1, count + 1)]


def test_what_the_backup_has_comes_back_and_counts_are_right(house: House) -> None:
    first, second = talk(house, "kite"), talk(house, "boat")
    house.back_up()
    house.rooms(SendMessage(session_id=first, content="13 later"))
    house.hit(MESSAGE, "kite", 5)
    house.hit(SESSION, "kite")
    found = house.recover()
    assert said(house, first) == everything(13)
    assert said(house, second) == everything(12)
    stats = house.rooms(StatsOfSession(id=first))
    assert (stats.messages, stats.by_role.assistant, stats.by_role.user) == (13, 12, 1)
    assert stats.bytes == sum(len(one.content) + 4 for one in house.rooms(ListMessages(session_id=first)).items)
    assert not [one for one in found.missing if one.entity == "message"]
    assert house.rooms(SendMessage(session_id=first, content="14")).number == 14


def test_a_session_from_the_backup_is_as_it_was_at_the_last_message(house: House) -> None:
    made = house.rooms(CreateSession(metadata=LONG))
    house.back_up()
    house.rooms.clock.advance(60)
    house.rooms(SendMessage(session_id=made.id, content=" \n"))
    house.rooms(SendMessage(session_id=made.id, content="Kites fly\nhigh"))
    before = house.rooms(GetSession(id=made.id))
    house.hit("SELECT 'session', seq FROM session")
    house.recover()
    after = house.rooms(GetSession(id=made.id))
    assert msgspec.json.encode(after) == msgspec.json.encode(before)
    assert after.title == "Kites fly"


def test_where_messages_are_lost_numbers_stay_dense(house: House) -> None:
    session = talk(house, "kite")
    house.hit(MESSAGE, "kite", 5)
    assert house.recover(with_backup=False).missing
    left = said(house, session)
    assert 0 < len(left) < 12
    assert [number for number, _ in left] == list(range(1, len(left) + 1))
    assert [int(word) for _, word in left] == sorted(int(word) for _, word in left)
    after = house.rooms(GetSession(id=session))
    assert after.messages == len(left)
    assert house.rooms(SendMessage(session_id=session, content="on")).number == len(left) + 1


def test_messages_whose_session_is_lost_are_found_under_a_new_one(house: House) -> None:
    talk(house, "kite")
    house.hit(SESSION, "kite")
    house.recover(with_backup=False)
    [found] = house.rooms(ListSessions()).items
    assert found.title.startswith("1 kite long")
    assert (found.messages, found.status, found.actor) == (12, "active", "keptd")
    assert said(house, found.id) == everything(12)


def test_where_the_list_of_those_that_are_gone_is_lost_as_well_messages_are_found_all_the_same(house: House) -> None:
    gone, _ = talk(house, "boat"), talk(house, "kite")
    house.rooms(DeleteSession(id=gone))
    remove(house)
    house.hit("SELECT 'session_gone', seq FROM session_gone")
    house.hit(SESSION, "kite")
    house.recover(with_backup=False)
    [found] = house.rooms(ListSessions()).items
    assert said(house, found.id) == everything(12)


def test_where_the_list_of_those_that_are_gone_is_lost_as_well_a_backup_brings_none_back(house: House) -> None:
    session, other = talk(house, "kite"), talk(house, "boat")
    house.back_up()
    house.rooms(DeleteSession(id=session))
    remove(house)
    house.hit("SELECT 'session_gone', seq FROM session_gone")
    house.hit(MESSAGE, "boat", 2)
    house.hit(SESSION, "boat")
    house.recover()
    assert [one.id for one in house.rooms(ListSessions()).items] == [other]
    assert said(house, other) == everything(12)


def test_what_was_removed_for_good_is_not_called_anything_by_changes_from_a_backup(house: House) -> None:
    session = talk(house, "kite")
    house.back_up()
    house.rooms(DeleteSession(id=session))
    remove(house)
    house.hit("SELECT 'change', 2")
    house.recover()
    labels = house.rooms.reader.execute("SELECT label FROM change WHERE label LIKE '%kite%'").fetchall()
    assert labels == []


def test_what_is_said_of_a_session_whose_row_is_lost_stays_in_the_change_log(house: House) -> None:
    talk(house, "kite")
    house.hit(SESSION, "kite")
    house.recover(with_backup=False)
    labels = house.rooms.reader.execute("SELECT label FROM change WHERE label LIKE '%kite%'").fetchall()
    assert labels


def test_a_session_that_was_deleted_after_the_backup_is_in_the_trash_and_can_be_restored(house: House) -> None:
    session = talk(house, "kite")
    house.back_up()
    house.rooms(DeleteSession(id=session))
    house.hit(SESSION, "kite")
    house.recover()
    with pytest.raises(NotFound):
        house.rooms(GetSession(id=session))
    [gone] = house.rooms(ListTrash()).items
    house.rooms(RestoreTrash(id=gone.id))
    assert said(house, session) == everything(12)


def test_a_session_that_was_restored_after_the_backup_is_here(house: House) -> None:
    session = talk(house, "kite")
    house.rooms(DeleteSession(id=session))
    house.back_up()
    house.rooms(RestoreTrash(id=house.rooms(ListTrash()).items[0].id))
    house.hit(SESSION, "kite")
    house.recover()
    assert said(house, session) == everything(12)
    assert house.rooms(ListTrash()).items == []


@pytest.mark.parametrize("steps", [0, 1, 1000], ids=["emptied", "half removed", "removed"])
def test_what_was_let_go_for_good_after_the_backup_does_not_come_back(house: House, steps: int) -> None:
    session, other = talk(house, "kite"), talk(house, "boat")
    house.back_up()
    house.rooms(DeleteSession(id=session))
    remove(house, steps=steps)
    house.hit(MESSAGE, "boat", 2)
    house.hit(SESSION, "boat")  # Its page holds both.
    house.recover()
    assert [one.id for one in house.rooms(ListSessions()).items] == [other]
    with pytest.raises(NotFound):
        house.rooms(ListMessages(session_id=session))
    remove(house)
    [(sessions,)] = house.rooms.reader.execute("SELECT count(*) FROM session")
    [(messages,)] = house.rooms.reader.execute("SELECT count(*) FROM message")
    assert (sessions, messages) == (1, 12)


@pytest.mark.parametrize("steps", [0, 1000], ids=["emptied", "removed"])
def test_a_session_that_was_imported_again_after_it_was_let_go_stays(house: House, steps: int) -> None:
    session, other = talk(house, "kite"), talk(house, "boat")
    house.back_up()
    house.rooms(DeleteSession(id=session))
    remove(house, steps=steps)
    bring(house, session, "1 kite again")
    house.hit(MESSAGE, "boat", 2)
    house.recover()
    assert {one.id for one in house.rooms(ListSessions()).items} == {session, other}
    assert said(house, session) == [(1, "1")]
    remove(house)
    assert said(house, session) == [(1, "1")]


def test_a_session_that_the_trash_has_lost_is_put_into_it_anew(house: House) -> None:
    session = talk(house, "kite")
    house.rooms.clock.advance(60)
    house.rooms(DeleteSession(id=session))
    [before] = house.rooms(ListTrash()).items
    house.hit("SELECT 'trash', max(seq) FROM trash")
    house.recover(with_backup=False)
    assert house.rooms(ListSessions()).items == []
    [after] = house.rooms(ListTrash()).items
    assert after == msgspec.structs.replace(before, id=after.id)
    house.rooms(RestoreTrash(id=after.id))
    assert said(house, session) == everything(12)


def test_tags_and_both_text_indexes_are_made_anew(house: House) -> None:
    session, gone = talk(house, "kite"), talk(house, "boat")
    house.rooms(DeleteSession(id=gone))
    house.back_up()
    house.hit(MESSAGE, "kite", 5)
    house.recover()
    assert [one.id for one in house.rooms(ListSessions(tag="t")).items] == [session]
    assert len(SESSION_TEXT.search(house.rooms.reader, "kite")) == 1
    assert not SESSION_TEXT.search(house.rooms.reader, "boat")
    assert len(MESSAGE_TEXT.search(house.rooms.reader, "kite")) == 12


def test_the_room_declares_what_a_recovery_has_to_know() -> None:
    assert "session.remove" in DOMAIN.endings
    assert "session_tag" in DOMAIN.derived
    assert not DOMAIN.moving
