"""The room against a model: a dict of what is there and a dict of what was, whatever happens in whatever order."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kept.wire.errors import Conflict, NotFound
from kept.wire.memory import DeleteMemory, GetMemory, ListMemories, MemoryHistory, SearchMemories, SetMemory
from keptd.memory import DOMAIN, store
from keptd.memory.history import KEPT
from tests.rooms import Rooms

KEYS = st.sampled_from([("global", "a"), ("global", "ab"), ("p", "a"), ("p", "b")])
WORDS = st.sampled_from(["red", "green", "blue", "red green"])
TAGS = st.sampled_from([(), ("t",), ("t", "u")])

Place = tuple[str, str]


@dataclass
class Entry:
    value: str
    category: str = "general"
    priority: int = 5
    tags: tuple[str, ...] = ()
    expires_at: int | None = None
    version: int = 1
    order: int = 0


@dataclass
class Model:
    """What a person who keeps a notebook would know."""

    now: int
    live: dict[Place, Entry] = field(default_factory=dict)
    former: dict[Place, list[tuple[int, str, bool]]] = field(default_factory=dict)
    sets: int = 0

    def end(self, place: Place, ended: bool) -> None:
        entry = self.live.pop(place)
        self.former[place] = [(entry.version, entry.value, ended), *self.former.get(place, [])][:KEPT]

    def pass_time(self, micros: int) -> None:
        self.now += micros
        for place, entry in list(self.live.items()):
            if entry.expires_at is not None and entry.expires_at <= self.now:
                self.end(place, ended=True)

    def set(self, place: Place, value: str, settings: dict[str, Any]) -> None:
        present = self.live.get(place)
        entry = Entry(value) if present is None else Entry(**{**vars(present), "value": value})
        for name, setting in settings.items():
            setattr(entry, name, setting)
        if entry == present:
            return
        self.sets += 1
        entry.order = self.sets
        if present is not None:
            self.end(place, ended=False)
        entry.version = self.former[place][0][0] + 1 if self.former.get(place) else 1
        self.live[place] = entry


class MemoryLaws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="kept-")
        self.open()
        self.model = Model(self.rooms.clock.now())

    def open(self) -> None:
        self.rooms = Rooms(Path(self.folder.name), [DOMAIN])
        self.rooms.writer.pragma("synchronous", "OFF")  # Durability is not the subject.

    def teardown(self) -> None:
        self.rooms.close()
        self.folder.cleanup()

    @rule(
        place=KEYS,
        value=WORDS,
        settings=st.fixed_dictionaries(
            {}, optional={"category": WORDS, "priority": st.integers(1, 10), "tags": TAGS, "ttl": st.integers(1, 50)}
        ),
    )
    def set(self, place: Place, value: str, settings: dict[str, Any]) -> None:
        self.rooms(SetMemory(scope=place[0], key=place[1], value=value, **settings))
        if "ttl" in settings:
            settings["expires_at"] = self.model.now + settings.pop("ttl") * 1_000_000
        self.model.set(place, value, settings)

    @rule(place=KEYS, version=st.integers(0, 5))
    def set_if_version(self, place: Place, version: int) -> None:
        call = SetMemory(scope=place[0], key=place[1], value="versioned", if_version=version)
        present = self.model.live.get(place)
        if version == (present.version if present is not None else 0):
            self.rooms(call)
            self.model.set(place, "versioned", {})
            return
        with pytest.raises(Conflict) as refusal:
            self.rooms(call)
        assert refusal.value.data["version"] == (present.version if present else 0)

    @rule(place=KEYS)
    def delete(self, place: Place) -> None:
        call = DeleteMemory(scope=place[0], key=place[1])
        if place in self.model.live:
            self.rooms(call)
            self.model.end(place, ended=True)
            return
        with pytest.raises(NotFound):
            self.rooms(call)

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.rooms.clock.advance(seconds)
        self.model.pass_time(seconds * 1_000_000)

    @rule(limit=st.integers(1, 3))
    def sweep(self, limit: int) -> None:
        with self.rooms.writer:
            store.sweep(self.rooms.writer, self.rooms.clock.now(), limit)

    @rule()
    def reopen(self) -> None:
        clock = self.rooms.clock
        self.rooms.close()
        self.open()
        self.rooms.clock = clock

    @rule(place=KEYS)
    def get(self, place: Place) -> None:
        call = GetMemory(scope=place[0], key=place[1])
        expected = self.model.live.get(place)
        if expected is None:
            with pytest.raises(NotFound):
                self.rooms(call)
            return
        entry = self.rooms(call)
        assert (msgspec.json.decode(entry.value), entry.category, entry.priority, entry.tags, entry.version) == (
            expected.value,
            expected.category,
            expected.priority,
            expected.tags,
            expected.version,
        )

    @rule(place=KEYS)
    def history(self, place: Place) -> None:
        call = MemoryHistory(scope=place[0], key=place[1])
        if place not in self.model.live and place not in self.model.former:
            with pytest.raises(NotFound):
                self.rooms(call)
            return
        former = [
            (item.version, msgspec.json.decode(item.value), item.ended != "replaced") for item in self.rooms(call).items
        ]
        assert former == self.model.former.get(place, [])

    @rule(word=st.sampled_from(["red", "green", "blue"]))
    def search(self, word: str) -> None:
        found = {(entry.scope, entry.key) for entry in self.rooms(SearchMemories(query=word)).items}
        assert found == {
            place for place, entry in self.model.live.items() if word in f"{entry.value} {entry.category}".split()
        }

    @rule(tag=st.sampled_from(["t", "u"]))
    def list_by_tag(self, tag: str) -> None:
        listed = [(entry.scope, entry.key) for entry in self.rooms(ListMemories(tag=tag)).items]
        assert listed == self.newest(lambda entry: tag in entry.tags)

    @invariant()
    def the_list_is_what_is_there_newest_first(self) -> None:
        assert [(entry.scope, entry.key) for entry in self.rooms(ListMemories()).items] == self.newest(lambda _: True)

    def newest(self, wanted: Any) -> list[Place]:
        live = sorted(self.model.live.items(), key=lambda item: -item[1].order)
        return [place for place, entry in live if wanted(entry)]


MemoryLaws.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestMemoryLaws = MemoryLaws.TestCase
