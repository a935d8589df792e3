from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept.wire.errors import InvalidParams, NotFound
from kept.wire.message import FOUND_CHARACTERS, FoundMessage, NewMessage, SearchMessages, SendMessage
from kept.wire.session import CloseSession, CreateSession, DeleteSession, SearchSessions, UpdateSession
from keptd.sessions import DOMAIN, find
from tests.rooms import Rooms

START = datetime(2026, 1, 1, tzinfo=UTC)


def talk(rooms: Rooms, *said: str | tuple[str, str], **options: Any) -> str:
    """A session in which this was said, by nobody named or by a speaker; gives its id."""
    session = rooms(CreateSession(**options))
    pairs = [(None, one) if isinstance(one, str) else one for one in said]
    messages = tuple(NewMessage(role="user", speaker=speaker, content=content) for speaker, content in pairs)
    rooms(SendMessage(session_id=session.id, messages=messages))
    return session.id


def found(rooms: Rooms, query: str, **options: Any) -> list[str]:
    return [one.content for one in rooms(SearchMessages(query=query, **options)).items]


def titles(rooms: Rooms, query: str, **options: Any) -> list[str]:
    return [one.title for one in rooms(SearchSessions(query=query, **options)).items]


def test_a_message_is_found_by_its_words_with_a_score_and_the_place_that_fits(rooms: Rooms) -> None:
    session = talk(rooms, "straw " * 100 + "needle " + "straw " * 100, "other")
    [hit] = rooms(SearchMessages(query="needles")).items

    assert (hit.session_id, hit.number, hit.cut) == (session, 1, False)
    assert hit.score > 0
    assert "needle" in hit.snippet


def test_a_result_shows_no_more_than_a_reader_can_look_through(rooms: Rooms) -> None:
    session = rooms(CreateSession()).id
    rooms(SendMessage(session_id=session, content="x" * 5000 + " needle", metadata={"a": "b" * 2000}))
    [hit] = rooms(SearchMessages(query="needle")).items

    assert (len(hit.content), hit.metadata, hit.cut) == (FOUND_CHARACTERS, None, True)
    assert "needle" in hit.snippet


def test_of_messages_that_fit_alike_the_newest_comes_first(rooms: Rooms) -> None:
    talk(rooms, "red one", "red two", "red six")

    assert found(rooms, "red") == ["red six", "red two", "red one"]
    assert found(rooms, "red", limit=1, offset=1) == ["red two"]


def test_messages_with_some_of_the_words_follow_those_with_all(rooms: Rooms) -> None:
    talk(rooms, "apple", "red", "red apple")

    assert found(rooms, "red apple")[0] == "red apple"
    assert set(found(rooms, "red apple")) == {"red apple", "red", "apple"}


def test_the_answer_to_a_question_is_found_though_it_has_none_of_its_words(rooms: Rooms) -> None:
    noise = [("Bob", f"Small talk number {number} about the weather.") for number in range(30)]
    talk(
        rooms,
        *noise,
        ("Ann", "Bob, how did the pottery class go?"),
        ("Bob", "Wonderful, I made a bowl and two cups in one evening."),
        *noise,
    )

    assert "Wonderful, I made a bowl and two cups in one evening." in found(
        rooms, "How did Bob like the pottery class?", limit=2
    )


def test_a_question_that_is_followed_by_a_sentence_still_leads_to_its_answer(rooms: Rooms) -> None:
    answer = "It was harder than it looked but I am proud of how it turned out."
    talk(
        rooms,
        *[("Ann", f"The pottery class is in week {number}, they say.") for number in range(5)],
        ("Ann", "Bob, how did the pottery class go? The bus was late again, so I read half of my book."),
        ("Bob", answer),
        ("Ann", "I see, and the pottery class is a long way off. I would never have gone there."),
    )

    assert answer in found(rooms, "How did Bob like the pottery class?", limit=1)


def test_who_is_named_in_a_question_comes_before_who_repeats_it(rooms: Rooms) -> None:
    talk(
        rooms,
        ("Ann", "I adopted a grey kitten yesterday and she sleeps all day."),
        ("Bob", "A grey kitten, Ann? I adopted one as well, she sleeps too."),
    )

    [first, *_] = rooms(SearchMessages(query="When did Ann adopt a grey kitten?")).items
    assert first.speaker == "Ann"


def test_a_date_in_a_question_prefers_what_was_said_then(rooms: Rooms) -> None:
    talk(rooms, ("Ann", "I painted the garden fence in green"))
    rooms.clock.advance(86_400 * 60)
    talk(rooms, ("Ann", "I painted the garden fence in brown"))

    assert found(rooms, "What did Ann paint on 1 January 2026?")[0].endswith("green")
    assert found(rooms, "What did Ann paint in March 2026?")[0].endswith("brown")


def test_neighbours_that_are_outside_of_the_filters_are_not_shown(rooms: Rooms) -> None:
    talk(rooms, ("Ann", "Bob, how did the pottery class go?"), ("Bob", "Wonderful, I made a bowl."))

    hits = rooms(SearchMessages(query="How did Bob like the pottery class?", speaker="ann")).items
    assert [hit.speaker for hit in hits] == ["Ann"]


def test_scripts_without_spaces_are_found_by_any_part(rooms: Rooms) -> None:
    talk(rooms, "私は東京都に住んでいます", "東の京", "한국어를 배웁니다", "ภาษาไทยง่าย")

    assert found(rooms, "東京") == ["私は東京都に住んでいます"]
    assert found(rooms, "都") == ["私は東京都に住んでいます"]
    assert found(rooms, "京都に住") == ["私は東京都に住んでいます"]
    assert found(rooms, "국어") == ["한국어를 배웁니다"]
    assert found(rooms, "ไทย") == ["ภาษาไทยง่าย"]
    assert found(rooms, "東京 OR 京都", syntax="fts5") == ["私は東京都に住んでいます"]


def test_a_deleted_session_is_not_found_in_any_way(rooms: Rooms) -> None:
    gone = talk(rooms, "needle in the trash", title="needle", project="p", tags=("t",))
    talk(rooms, "needle here", title="needle too", project="p", tags=("t",))
    rooms(DeleteSession(id=gone))

    for options in ({}, {"project": "p"}, {"tag": "t"}):
        assert found(rooms, "needle", **options) == ["needle here"]
        assert titles(rooms, "needle", **options) == ["needle too"]
    with pytest.raises(NotFound):
        rooms(SearchMessages(query="needle", session_id=gone))


def test_a_deleted_message_takes_no_place_among_the_results(rooms: Rooms) -> None:
    talk(rooms, "needle here")
    rooms(DeleteSession(id=talk(rooms, "needle", "needle")))

    assert found(rooms, "needle", limit=1) == ["needle here"]


def test_a_time_range_has_its_beginning_and_not_its_end(rooms: Rooms) -> None:
    talk(rooms, "needle")

    assert found(rooms, "needle", since=START, until=START + timedelta(seconds=1)) == ["needle"]
    assert found(rooms, "needle", since=START - timedelta(seconds=1), until=START) == []
    assert found(rooms, "needle", until=START) == []
    assert found(rooms, "needle", since=START, until=START + timedelta(days=5000)) == ["needle"]


def test_a_filter_with_many_sessions_finds_the_same(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        talk(rooms, f"needle {number}", project="p", tags=("even",) if number % 2 == 0 else ())
    gone = [talk(rooms, "needle gone", project="p") for _ in range(2)]
    talk(rooms, "needle elsewhere")
    for session in gone:
        rooms(DeleteSession(id=session))
    monkeypatch.setattr(find, "SESSIONS", 0)

    assert found(rooms, "needle", project="p") == ["needle 3", "needle 2", "needle 1", "needle 0"]
    assert found(rooms, "needle", project="p", tag="even") == ["needle 2", "needle 0"]
    assert found(rooms, "needle", tag="even") == ["needle 2", "needle 0"]
    assert len(found(rooms, "needle")) == 5


def test_sessions_are_found_by_title_summary_and_tags(rooms: Rooms) -> None:
    talk(rooms, "Plans for the harbour\nand more")
    rooms(CreateSession(title="Other", tags=("very urgent",)))
    closed = rooms(CreateSession(title="Third", project="p"))
    rooms(CloseSession(id=closed.id, summary="We chose the lighthouse.", archive=True))

    assert titles(rooms, "harbour") == ["Plans for the harbour"]
    assert titles(rooms, "urgent") == ["Other"]
    assert titles(rooms, "lighthouses") == ["Third"]
    assert titles(rooms, "lighthouse", status="archived", project="p") == ["Third"]
    assert titles(rooms, "lighthouse", status="active") == []
    assert titles(rooms, "light", syntax="prefix") == ["Third"]


def test_a_session_is_found_by_its_present_title_alone(rooms: Rooms) -> None:
    session = rooms(CreateSession(title="old"))
    rooms(UpdateSession(id=session.id, title="new"))

    assert titles(rooms, "old") == []
    assert titles(rooms, "new") == ["new"]


def test_a_search_of_sessions_goes_on_behind_what_was_shown(rooms: Rooms) -> None:
    for number in range(3):
        rooms(CreateSession(title=f"harbour {number}"))

    assert titles(rooms, "harbour", limit=2) == ["harbour 2", "harbour 1"]
    assert titles(rooms, "harbour", limit=2, offset=2) == ["harbour 0"]


def test_a_bad_expression_is_refused(rooms: Rooms) -> None:
    with pytest.raises(InvalidParams):
        rooms(SearchMessages(query='"', syntax="fts5"))
    with pytest.raises(InvalidParams):
        rooms(SearchSessions(query='"', syntax="fts5"))


def test_a_session_of_another_project_or_tag_finds_nothing(rooms: Rooms) -> None:
    session = talk(rooms, "needle", project="p", tags=("t",))

    assert found(rooms, "needle", session_id=session, project="p", tag="t") == ["needle"]
    assert found(rooms, "needle", session_id=session, project="q") == []
    assert found(rooms, "needle", session_id=session, tag="u") == []


HOURS = st.integers(0, 24 * 800)
WORLD = st.lists(
    st.tuples(
        st.sampled_from(("p", "q", None)),
        st.sampled_from(((), ("t",), ("t", "u"))),
        st.booleans(),
        st.lists(
            st.tuples(
                st.sampled_from(("user", "assistant")), st.sampled_from(("Ann", "BOB", None)),
                st.sampled_from(("red", "blue", "red blue")), HOURS,
            ),
            min_size=1,
            max_size=5,
        ),
    ),
    max_size=5,
)  # fmt: skip
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "project": st.sampled_from(("p", "q")),
        "tag": st.sampled_from(("t", "u")),
        "role": st.sampled_from(("user", "assistant")),
        "speaker": st.sampled_from(("ann", "Bob")),
        "since": HOURS.map(lambda hours: START + timedelta(hours=hours)),
        "until": HOURS.map(lambda hours: START + timedelta(hours=hours)),
    },
)


@settings(deadline=None, max_examples=60)
@given(WORLD, FILTERS)
def test_filters_give_what_looking_at_every_message_gives(world: Any, filters: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        rooms = Rooms(Path(folder), [DOMAIN])
        begin = rooms.clock.micros
        expected = set()
        for project, tags, goes, said in world:
            session = rooms(CreateSession(project=project, tags=tags)).id
            for role, speaker, content, hours in said:
                rooms.clock.micros = begin + hours * 3_600_000_000
                call = SendMessage(session_id=session, role=role, speaker=speaker, content=content)
                sent = rooms(call)
                at = START + timedelta(hours=hours)
                fits = (
                    "red" in content
                    and not goes
                    and filters.get("project", project) == project
                    and ("tag" not in filters or filters["tag"] in tags)
                    and filters.get("role", role) == role
                    and filters.get("speaker", speaker or "").casefold() == (speaker or "").casefold()
                    and filters.get("since", at) <= at
                    and ("until" not in filters or at < filters["until"])
                )
                if fits:
                    expected.add(sent.id)
            if goes:
                rooms(DeleteSession(id=session))
        items: list[FoundMessage] = rooms(SearchMessages(query="red", limit=1000, **filters)).items
        rooms.close()

    assert {one.id for one in items} == expected
    assert [one.score for one in items] == sorted((one.score for one in items), reverse=True)
