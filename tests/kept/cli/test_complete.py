"""What could stand where the cursor is."""

from __future__ import annotations

from typing import Any

from kept.faults import NoDaemon
from kept.wire import Page
from kept.wire.component import ListComponents, SetComponent
from kept.wire.errors import Busy, Locked
from kept.wire.journal import AddDecision, ListDecisions, ListErrors, ResolveDecision
from kept.wire.memory import ListMemories, SetMemory
from kept.wire.vault import Entry, ListRequests, ListSecrets, Request, Requests

from .typing_at import NOW, OverTheWire, Recorder, type_in


def offered(call: Recorder | OverTheWire, *words: str) -> list[str]:
    printed = type_in(["complete", "--", *words], call)
    assert (printed.code, printed.err) == (0, "")
    return [line.partition("\t")[0] for line in printed.out.splitlines()]


def test_the_first_word_is_an_everyday_command_or_a_domain(recorder: Recorder) -> None:
    everything = offered(recorder, "")
    assert {"status", "remember", "memory", "daemon", "help"} <= set(everything)
    assert "complete" not in everything
    assert len(everything) == len(set(everything))
    assert offered(recorder, "re") == ["remember", "recall"]
    assert "--version" not in offered(recorder, "--no")
    assert offered(recorder, "--no") == ["--no-start"]


def test_the_second_word_is_a_verb_of_the_domain(recorder: Recorder) -> None:
    assert offered(recorder, "decision", "r") == ["resolve"]
    assert "start" in offered(recorder, "daemon", "")
    assert offered(recorder, "help", "decision", "r") == ["resolve"]
    assert offered(recorder, "nope", "") == []


def test_options_are_those_of_the_command_and_not_twice(recorder: Recorder) -> None:
    first = offered(recorder, "memory", "set", "--")
    assert {"--tags", "--priority", "--on-secret", "--json"} <= set(first)
    assert first.index("--tags") < first.index("--on-secret")
    later = offered(recorder, "memory", "set", "--priority", "3", "--tags", "a", "--")
    assert "--priority" not in later
    assert "--tags" in later
    stored = Recorder({ListMemories: Page(items=[])})
    assert offered(stored, "memory", "get", "--", "--sc") == []
    assert stored.last == ListMemories(prefix="--sc", limit=50)


def test_values_of_options_and_arguments_are_their_choices(recorder: Recorder) -> None:
    assert offered(recorder, "memory", "list", "--order", "") == ["newest", "priority"]
    assert offered(recorder, "memory", "list", "--order=n") == ["--order=newest"]
    assert offered(recorder, "component", "set", "web", "d") == ["degraded", "down"]
    assert offered(recorder, "completion", "") == ["bash", "fish", "zsh"]
    assert offered(recorder, "rpc", "action.") == ["action.list", "action.log"]
    assert {"memory", "memory.set"} <= set(offered(recorder, "watch", "memory", "memory"))
    assert {"message.sent", "session.near_limit"} <= {
        *offered(recorder, "watch", "message"),
        *offered(recorder, "watch", "session"),
    }


def test_what_is_stored_is_offered(rooms: OverTheWire) -> None:
    rooms(SetMemory(key="editor.indent", value=4))
    rooms(SetMemory(key="build", value="uv"))
    rooms(SetComponent(name="web", status="operational"))
    still_open = rooms(AddDecision(decision="use SQLite", reasoning="one file"))
    rooms(ResolveDecision(id=rooms(AddDecision(decision="old", reasoning="r")).id, outcome="good"))
    assert offered(rooms, "memory", "get", "edi") == ["editor.indent"]
    assert offered(rooms, "recall", "b") == ["build"]
    assert offered(rooms, "component", "get", "") == ["web"]
    assert offered(rooms, "decision", "resolve", "") == [still_open.id]
    assert type_in("complete -- decision resolve ''", rooms).out == f"{still_open.id}\tuse SQLite\n"


def test_only_the_argument_at_the_cursor_is_looked_up() -> None:
    recorder = Recorder({ListMemories: Busy("later"), ListDecisions: Busy("later"), ListErrors: Busy("later")})
    assert offered(recorder, "memory", "set", "k", "") == []
    assert recorder.calls == []
    offered(recorder, "memory", "get", "edi")
    assert recorder.last == ListMemories(prefix="edi", limit=50)
    offered(recorder, "decision", "resolve", "")
    assert recorder.last == ListDecisions(status="open", limit=50)
    offered(recorder, "error", "resolve", "")
    assert recorder.last == ListErrors(status="open", limit=50)


def test_names_of_secrets_and_requests_of_agents_are_offered() -> None:
    named: Any = {"id": "01", "name": "deploy.token", "category": "credential", "tags": (), "metadata": {}}
    times: Any = dict.fromkeys(("created_at", "updated_at"), NOW)
    entry = Entry(agent_readable=False, agent_usable=False, rights_withheld=False, version=1, **named, **times)
    asking: Any = {"id": "r1", "entry_id": "01", "name": "deploy.token", "purpose": "read", "client": "claude"}
    request = Request(asked_at=NOW, ends_at=NOW, pid=1, **asking)
    recorder = Recorder({ListSecrets: Page(items=[entry]), ListRequests: Requests(items=(request,))})
    for words in (("retrieve",), ("delete",), ("run", "--secret"), ("run", "--secret-fd"), ("audit", "--id")):
        assert offered(recorder, "vault", *words, "de") == ["deploy.token"]
    assert recorder.last == ListSecrets(prefix="de", limit=50)
    assert offered(recorder, "vault", "confirm", "") == ["r1"]
    assert offered(recorder, "vault", "confirm", "r1", "") == ["allow", "deny"]
    assert offered(recorder, "vault", "unlock", "--pass") == ["--password-fd"]
    assert offered(Recorder({ListSecrets: Locked("it is locked")}), "vault", "retrieve", "") == []


def test_a_refusal_or_no_daemon_gives_no_candidates_and_no_error() -> None:
    for trouble in (Busy("later"), NoDaemon("nobody")):
        recorder = Recorder({ListMemories: trouble, ListComponents: trouble})
        assert offered(recorder, "memory", "get", "") == []
        assert offered(recorder, "component", "get", "") == []
        assert offered(recorder, "memory", "g") == ["get"]


def test_a_prefix_that_can_be_no_key_is_not_asked_for(recorder: Recorder) -> None:
    assert offered(recorder, "memory", "get", "a\x01") == []
    assert offered(recorder, "memory", "get", "a" * 300) == []
    assert recorder.calls == []


def test_nothing_offered_can_act_on_a_terminal_or_break_a_line(rooms: OverTheWire) -> None:
    rooms(SetMemory(key="evil\u009b31m", value="\x1b[31m\nsecond\tline"))
    rooms(SetMemory(key="fine", value="\x1b[31m\nsecond\tline"))
    printed = type_in("complete -- memory get ''", rooms)
    assert printed.out == "fine\t\ufffd[31m second line\n"
