"""The everyday commands, in front of real domains."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from kept.cli.everyday import key_of
from kept.wire import Call
from kept.wire.component import OverallComponents
from kept.wire.daemon import DaemonStatus, Status, Storage
from kept.wire.errors import SecretFound
from kept.wire.journal import ListActions, ListDecisions
from kept.wire.memory import GetMemory, ListMemories, SetMemory

from .typing_at import NOW, OverTheWire, R, Recorder, type_in

KEY = "ghp_012345678901234567890123456789abcdef"


def test_a_text_that_is_remembered_can_be_recalled_by_its_words(rooms: OverTheWire) -> None:
    printed = type_in('remember "The build uses uv, not pip"', rooms)
    assert printed.out.startswith("remembered the-build-uses-uv-not-pip-")
    (kept,) = rooms(ListMemories()).items
    assert kept.value == "The build uses uv, not pip"
    assert kept.key in type_in("recall pip build", rooms, columns=100).out


def test_the_same_text_has_the_same_key(rooms: OverTheWire) -> None:
    type_in('remember "the build uses uv"', rooms)
    type_in('remember "the build uses uv" --priority 9', rooms)
    (kept,) = rooms(ListMemories()).items
    assert kept.priority == 9
    assert key_of("the build uses uv") != key_of("the build uses  uv")


@pytest.mark.parametrize("text", ["日本語のメモ", "!!!", "a" * 5000, "\x1b[31m", "_" * 300])
def test_every_text_gives_a_key_that_is_a_name(rooms: OverTheWire, text: str) -> None:
    assert type_in(["remember", text], rooms).code == 0
    assert rooms(GetMemory(key=key_of(text))).value == text


def test_a_key_and_a_value_are_kept_as_memory_set_does(rooms: OverTheWire) -> None:
    type_in("remember editor '{\"indent\": 4}' --tags nvim --category tool", rooms)
    kept = rooms(GetMemory(key="editor"))
    assert (kept.value, kept.tags, kept.category) == ({"indent": 4}, ("nvim",), "tool")
    assert type_in("remember editor 2", rooms).out == "remembered editor (version 2)\n"
    assert type_in("remember diff -", rooms, stdin="a\nb\n").code == 0
    assert rooms(GetMemory(key="diff")).value == "a\nb"


def test_more_words_than_a_key_and_a_value_are_a_text(rooms: OverTheWire) -> None:
    assert type_in("remember the build uses uv", rooms).code == 0
    (kept,) = rooms(ListMemories()).items
    assert (kept.key, kept.value) == (key_of("the build uses uv"), "the build uses uv")


@pytest.mark.parametrize("text", ["  ", "\n", "\t \n"])
def test_a_blank_text_is_nothing_to_remember(rooms: OverTheWire, text: str) -> None:
    printed = type_in(["remember", text], rooms)
    assert printed.code == 2
    assert "blank" in printed.err
    assert rooms(ListMemories()).items == []


def test_a_value_is_remembered_that_is_as_long_as_a_value_may_be(rooms: OverTheWire) -> None:
    text = "x" * 900_000
    assert type_in("remember last-diff -", rooms, stdin=text + "\n").code == 0
    assert rooms(GetMemory(key="last-diff")).value == text


@pytest.mark.parametrize("text", ["1234e5", "1.10", "007", "-0", "1e400", " 5"])
def test_a_text_that_a_number_would_change_stays_a_text(rooms: OverTheWire, text: str) -> None:
    for words in (["remember", "k", "--", text], ["memory", "set", "k", "--", text]):
        assert type_in(words, rooms).code == 0
        assert rooms(GetMemory(key="k")).value == text


@pytest.mark.parametrize(
    ("text", "value"), [("4", 4), ("9" * 30, int("9" * 30)), ("-7", -7), ("1.5", 1.5), ("true", True), ("null", None)]
)
def test_what_json_writes_in_the_same_way_is_taken_as_json(rooms: OverTheWire, text: str, value: Any) -> None:
    type_in(["remember", "k", "--", text], rooms)
    assert rooms(GetMemory(key="k")).value == value


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '[{"b":{"a":1,"a":1}}]'])
def test_json_of_which_a_part_would_be_lost_is_refused(rooms: OverTheWire, text: str) -> None:
    printed = type_in(["memory", "set", "k", text], rooms)
    assert printed.code == 2
    assert "twice" in printed.err
    assert rooms(ListMemories()).items == []


class Guard:
    """A daemon that finds a credential in every value, and obeys `on_secret`."""

    def __init__(self, rooms: OverTheWire, default: str) -> None:
        self.rooms = rooms
        self.default = default

    def __call__(self, call: Call[R], /) -> R:
        if isinstance(call, SetMemory):
            if (call.on_secret or self.default) == "refuse":
                raise SecretFound("value holds what looks like a credential", field="value", kind="github_token")
            return cast("R", self.rooms(SetMemory(key=call.key, value="[redacted]")))
        return self.rooms(call)


@pytest.mark.parametrize(("default", "words"), [("redact", ""), ("refuse", "--on-secret redact")])
def test_the_words_of_a_credential_do_not_become_the_key(rooms: OverTheWire, default: str, words: str) -> None:
    printed = type_in(f'remember "token {KEY}" {words}', Guard(rooms, default))
    assert printed.code == 0
    (kept,) = rooms(ListMemories()).items
    assert "ghp" not in kept.key + printed.out


def test_a_credential_that_is_refused_is_told_as_refused(rooms: OverTheWire) -> None:
    printed = type_in(["remember", f"token {KEY}"], Guard(rooms, "refuse"))
    assert printed.code == 1
    assert KEY not in printed.err
    assert rooms(ListMemories()).items == []


def test_recall_shows_the_value_of_a_key_and_else_searches_memories_and_decisions(rooms: OverTheWire) -> None:
    type_in("memory set build 'made with uv'", rooms)
    type_in('decide "ship the build nightly" --why "fresh"', rooms)
    assert type_in("recall build", rooms).out == "made with uv\n"
    found = json.loads(type_in("recall uv --json", rooms).out)
    assert [(item["kind"], item["key"]) for item in found["items"]] == [("memory", "build")]
    (exact,) = json.loads(type_in("recall build --json", rooms).out)["items"]
    assert (exact["kind"], exact["key"], exact["value"]) == ("memory", "build", "made with uv")
    both = type_in("recall the build", rooms, columns=120).out
    assert "decision" in both
    assert rooms(ListDecisions()).items[0].id in both
    nothing = type_in("recall zebra", rooms)
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "nothing is known about that\n")


@pytest.mark.parametrize("words", ["a" * 1000, "line\nbreak", '"quoted" OR (', "* NEAR -x"])
def test_recall_takes_any_words(rooms: OverTheWire, words: str) -> None:
    assert type_in(["recall", "--", words], rooms).code == 0


def test_recall_refuses_more_than_can_be_searched_for(rooms: OverTheWire) -> None:
    printed = type_in(["recall", "a" * 600, "b" * 600], rooms)
    assert printed.code == 2
    assert "QUERY" in printed.err


def test_log_records_with_a_text_and_lists_without(rooms: OverTheWire) -> None:
    assert type_in('log released 1.4 --details \'{"by": "ci"}\'', rooms).out == "logged released 1.4\n"
    (action,) = rooms(ListActions()).items
    assert (action.action, action.details) == ("released 1.4", {"by": "ci"})
    assert type_in("log", rooms).out.splitlines()[1].startswith("released 1.4")
    assert type_in("log --details 1", rooms).code == 2
    assert type_in("log text --since 1d", rooms).code == 2
    assert json.loads(type_in("log again --json", rooms).out)["action"] == "again"


def test_decide_records_a_decision_and_tells_how_to_resolve_it(rooms: OverTheWire) -> None:
    printed = type_in('decide use SQLite --why "one file" --alternatives "a server"', rooms)
    (decision,) = rooms(ListDecisions()).items
    assert (decision.decision, decision.reasoning, decision.alternatives) == ("use SQLite", "one file", ("a server",))
    command = printed.out.splitlines()[1].partition(": kept ")[2].replace("OUTCOME", "good")
    assert type_in(command, rooms).code == 0
    assert rooms(ListDecisions()).items[0].outcome == "good"
    assert type_in("decide something", rooms).code == 2


def test_context_is_markdown_for_people_and_sections_for_programs(rooms: OverTheWire) -> None:
    type_in("remember editor neovim --priority 9", rooms)
    assert "- editor: neovim" in type_in("context", rooms).out
    assert type_in("context --project ''", rooms).code == 2
    bundle = json.loads(type_in("context --budget 500 --json", rooms).out)
    assert bundle["budget_tokens"] == 500
    assert bundle["sections"][0]["items"][0]["text"] == "editor: neovim"


def daemon_status(state: str = "ok", detail: str = "in order") -> DaemonStatus:
    sizes: dict[str, Any] = dict.fromkeys(("wal_bytes", "commits", "writes", "largest_batch", "queued"), 0)
    return DaemonStatus(
        version="1.0",
        protocol=1,
        pid=7,
        home="/home/a/kept",
        socket="/run/s",
        started_at=NOW,
        uptime_seconds=7300,
        connections=1,
        subscriptions=0,
        requests=3,
        refused=0,
        storage=Storage(
            state=cast("Any", state),
            detail=detail,
            database_bytes=2_000_000,
            free_bytes=3 * 1024**3,
            last_seq=1234,
            **sizes,
        ),
    )


def test_status_tells_in_words_how_everything_is(rooms: OverTheWire) -> None:
    overall = rooms(OverallComponents())
    printed = type_in("status", Recorder({Status: daemon_status(), OverallComponents: overall}))
    assert printed.out.splitlines() == [
        "keptd 1.0 is running for 2 h 1 min (pid 7, 1 connection, /home/a/kept)",
        "storage: all is well; 1.9 MiB used, 3.0 GiB free, 1,234 changes",
        "components: none reported",
    ]
    type_in("component set web degraded --health 60", rooms)
    overall = rooms(OverallComponents())
    printed = type_in("status", Recorder({Status: daemon_status("full", "no room"), OverallComponents: overall}))
    assert printed.out.splitlines()[1:] == [
        "storage: full, so nothing can be written: no room",
        "kept doctor says more, and what to do next",
        "components: degraded, health 60 of 100 (1); look at web",
    ]
    told = json.loads(type_in("status --json", Recorder({Status: daemon_status(), OverallComponents: overall})).out)
    assert told["daemon"]["pid"] == 7
    assert told["components"]["worst"] == ["web"]
