"""Words to parameters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept.cli.methods import reachable
from kept.cli.parse import EVERYWHERE
from kept.cli.registry import everything
from kept.cli.running import RestartDaemon, ShowDaemon, StopDaemon
from kept.cli.session_tree import DrawTree
from kept.cli.sessions import CountSession
from kept.cli.vault import Delete, Retrieve, Store, Update
from kept.wire.component import SetComponent
from kept.wire.daemon import Restart, RunCommand, Status, Stop
from kept.wire.errors import InvalidParams
from kept.wire.event import ListEvents
from kept.wire.journal import AddDecision, ListActions
from kept.wire.memory import DeleteMemory, GetMemory, SetMemory
from kept.wire.session import SearchSessions, StatsOfSession, TreeOfSession
from kept.wire.vault import DeleteSecret, RetrieveSecret, StoreSecret, UpdateSecret

from .typing_at import Recorder, type_in

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda text: text != "-"  # reads standard input
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


WITH_FILES = {
    *("data.export_all", "data.import_all", "data.delete_all", "session.export", "session.import"),
    "vault.import",
}
"""Methods whose command reads or writes a file of the caller's, or asks: its parameters are others."""

MORE = {"session.search": {"words" if name == "query" else name for name in SearchSessions.__struct_fields__}}
"""Methods whose command does more, and by which options it does the same."""


OF_THE_VAULT: dict[type, type] = {
    DeleteSecret: Delete,
    RetrieveSecret: Retrieve,
    StoreSecret: Store,
    UpdateSecret: Update,
}
"""Methods whose command asks a person as well."""

OF_THE_SERVICE: dict[type, type] = {Stop: StopDaemon, Restart: RestartDaemon, Status: ShowDaemon}
"""Methods whose command speaks with the service manager as well."""

OF_SESSIONS: dict[type, type] = {TreeOfSession: DrawTree, StatsOfSession: CountSession}
"""Methods whose command takes `last` for an id."""


def test_every_method_has_a_command_with_an_option_for_every_field() -> None:
    for name, call in reachable().items():
        command = everything()[tuple(name.replace("_", "-").split("."))]
        if name in WITH_FILES:
            assert command.params is not call
            continue
        if name in MORE:
            assert {field.name for field in command.fields} > MORE[name]
            continue
        assert command.params is {**OF_THE_SERVICE, **OF_THE_VAULT, **OF_SESSIONS}.get(call, call)
        assert {field.name for field in command.fields} >= set(call.__struct_fields__)


@pytest.mark.parametrize(
    "words",
    [
        "memory get k --ghp_012345678901234567890123456789abcdef",
        "memory get k --ghp_012345678901234567890123456789abcdef=v",
        f"memory get k --{'a' * 31}",
        'rpc memory.get \'{"key": "k", "ghp_012345678901234567890123456789abcdef": 1}\'',
    ],
)
def test_an_option_that_could_be_a_credential_is_not_told_again(recorder: Recorder, words: str) -> None:
    printed = type_in(words, recorder)
    assert printed.code == 2
    assert "ghp_" not in printed.err
    assert "aaaa" not in printed.err


def test_a_wrong_option_that_looks_like_one_is_quoted(recorder: Recorder) -> None:
    assert "has no option --colour-me" in type_in("memory get k --colour-me", recorder).err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("get k", "kept recall"),
        ("list", "kept memory list"),
        ("ls", "kept memory list"),
        ("search x", "kept recall"),
        ("forget k", "kept memory delete"),
        ("decide x --because y", "--why"),
        ("decision add x --because y", "--reasoning"),
        ("rpc memory.get", "kept memory get --help"),
        ("rpc memory.set '{}'", "kept memory set --help"),
    ],
)
def test_words_of_other_programs_point_to_the_command_that_is_meant(recorder: Recorder, words: str, hint: str) -> None:
    told = type_in(words, recorder).err
    assert hint in told.partition("hint: ")[2]


def test_no_field_takes_the_name_of_an_option_that_every_command_has() -> None:
    taken = {option.name for option in EVERYWHERE}
    for command in everything().values():
        assert not taken & {field.option[2:] for field in command.fields}


def test_the_command_line_has_no_command_that_calls_itself(recorder: Recorder) -> None:
    assert type_in("cli run status", recorder).code == 2
    assert type_in(["rpc", RunCommand.method, '{"argv": ["status"]}'], recorder).code == 2
    assert recorder.calls == []


def test_required_fields_go_by_position_and_the_rest_are_options(recorder: Recorder) -> None:
    type_in('decision add "use SQLite" "one file" --alternatives a --alternatives=b --project p', recorder)
    assert recorder.last == AddDecision(
        decision="use SQLite", reasoning="one file", alternatives=("a", "b"), project="p"
    )


def test_a_required_field_may_be_given_as_an_option(recorder: Recorder) -> None:
    wanted = AddDecision(decision="use SQLite", reasoning="one file")
    for words in (
        'decision add "use SQLite" --reasoning "one file"',
        'decision add --decision "use SQLite" "one file"',
        'decision add --reasoning="one file" --decision="use SQLite"',
    ):
        type_in(words, recorder)
        assert recorder.last == wanted


def test_arguments_and_options_may_be_mixed(recorder: Recorder) -> None:
    type_in("memory set --tags a key --priority 3 value --tags b", recorder)
    assert recorder.last == SetMemory(key="key", value="value", tags=("a", "b"), priority=3)


def test_what_begins_with_one_dash_is_an_argument(recorder: Recorder) -> None:
    type_in(["memory", "set", "temperature", "-5"], recorder)
    assert recorder.last.value == -5
    type_in(["memory", "set", "list", "- buy milk"], recorder)
    assert recorder.last.value == "- buy milk"


def test_nothing_is_an_option_after_two_dashes(recorder: Recorder) -> None:
    type_in(["memory", "set", "--priority", "2", "--", "--tags", "--json"], recorder)
    assert recorder.last == SetMemory(key="--tags", value="--json", priority=2)


def test_an_option_does_not_swallow_the_next_option(recorder: Recorder) -> None:
    printed = type_in("memory set k v --category --priority 3", recorder)
    assert (printed.code, recorder.calls) == (2, [])
    type_in("memory set k v --category=--priority", recorder)
    assert recorder.last.category == "--priority"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("true", True),
        ("4", 4),
        ('"4"', "4"),
        ("01234", "01234"),
        ("NaN", "NaN"),
        ("{not json", "{not json"),
        ("", ""),
        ("[" * 70, "[" * 70),
    ],
)
def test_any_value_is_json_where_it_parses_and_else_text(recorder: Recorder, text: str, value: Any) -> None:
    type_in(["memory", "set", "k", text], recorder)
    assert recorder.last.value == value


def test_json_that_nests_deeper_than_a_message_may_is_refused_before_it_is_sent(recorder: Recorder) -> None:
    for depth in (70, 100_000):
        assert type_in(["memory", "set", "k", "[" * depth + "]" * depth], recorder).code == 2
    assert recorder.calls == []


def test_text_with_a_character_that_it_may_not_have_is_told_which(recorder: Recorder) -> None:
    assert "KEY must have no control characters" in type_in(["memory", "set", "a\tb", "1"], recorder).err
    assert "ACTION must have no NUL" in type_in(["action", "log", "-"], recorder, stdin="a\0b").err
    assert recorder.calls == []


def test_an_option_that_takes_one_value_is_not_taken_twice(recorder: Recorder) -> None:
    printed = type_in("memory set k v --priority 1 --priority 2", recorder)
    assert (printed.code, printed.err.splitlines()[0]) == (2, "kept: --priority is given twice")
    assert recorder.calls == []


def test_a_dash_reads_standard_input_without_its_last_line_feed(recorder: Recorder) -> None:
    type_in("memory set k -", recorder, stdin="a\n\nb\n")
    assert recorder.last.value == "a\n\nb"
    type_in("memory set k --value -", recorder, stdin='{"a": 1}')
    assert recorder.last.value == {"a": 1}


def test_a_dash_behind_the_end_of_the_options_is_standard_input_as_well(recorder: Recorder) -> None:
    type_in("memory set -- k -", recorder, stdin="from there")
    assert recorder.last.value == "from there"
    type_in("memory set k -- --", recorder, stdin="unread")
    assert recorder.last.value == "--"


def test_only_one_argument_reads_standard_input(recorder: Recorder) -> None:
    assert type_in("memory set - -", recorder, stdin="a").code == 2
    assert recorder.calls == []


def test_a_dash_without_an_input_at_hand_is_left_to_the_caller(recorder: Recorder) -> None:
    printed = type_in("memory set k -", recorder)
    assert printed.local
    assert recorder.calls == []


def test_another_socket_is_left_to_the_caller(recorder: Recorder) -> None:
    for words in ("--socket /s memory get k", "memory get --socket=/s k"):
        assert type_in(words, recorder).local
    assert recorder.calls == []


def test_options_of_every_command_may_stand_before_it(recorder: Recorder) -> None:
    type_in("--no-start --json memory get k", recorder)
    assert recorder.last == GetMemory(key="k")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("memory set k v --priority 11", "PRIORITY"),
        ("memory set k v --priority many", "PRIORITY"),
        ("memory set k v --ttl 1e3", "TTL"),
        ("memory set k v --expires-at tomorrow", "EXPIRES-AT"),
        ("memory set k v --expires-at 2026-01-01T00:00:00", "EXPIRES-AT"),
        ("memory set k v --expires-at 2h", "EXPIRES-AT"),
        ("memory set k v --tags ''", "TAGS"),
        ("memory set '' v", "KEY"),
        ("memory set k", "VALUE"),
        ("memory get 'a\nb'", "KEY"),
        ("component set web broken", "STATUS"),
        ("action list --limit 0", "LIMIT"),
        ("decision resolve 'no id!' done", "ID"),
        ("memory get k --key k", "KEY"),
    ],
)
def test_a_usage_error_names_the_argument_and_sends_nothing(recorder: Recorder, words: str, field: str) -> None:
    printed = type_in(words, recorder)
    assert (printed.code, recorder.calls, printed.out) == (2, [], "")
    first = printed.err.splitlines()[0]
    assert first.startswith("kept: ")
    assert field in first


@pytest.mark.parametrize(
    "words",
    [
        "memory set k v --priority hunter2",
        "memory set k v --expires-at hunter2",
        "memory set k v hunter2",
        "memory set k v --pasword=hunter2",
        "memory set k v --tags 'hunter2\n'",
        "component set web hunter2",
        "memory get 'hunter2\n'",
        "rpc hunter2",
        "hunter2",
        "memory hunter2",
    ],
)
def test_a_usage_error_does_not_repeat_what_was_typed(recorder: Recorder, words: str) -> None:
    printed = type_in(words, recorder)
    assert printed.code == 2
    assert "hunter2" not in printed.err + printed.out


def test_a_range_is_told_in_words_and_a_pattern_is_not_told(recorder: Recorder) -> None:
    assert "must be 1 to 10" in type_in("memory set k v --priority 11", recorder).err
    assert "must have 1 to 200 characters" in type_in(["memory", "get", "k" * 201], recorder).err
    assert "regex" not in type_in("memory get 'a\nb'", recorder).err


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        ("memroy get k", "memory"),
        ("memory gte k", "kept memory get"),
        ("memory set k v --prioritty 3", "--priority"),
        ("rpc memory.gt", "memory.get"),
        ("stauts", "status"),
    ],
)
def test_a_slip_gets_the_nearest_name_as_a_hint(recorder: Recorder, words: str, nearest: str) -> None:
    assert f"hint: Did you mean {nearest}?" in type_in(words, recorder).err


def test_a_domain_without_a_verb_lists_its_verbs(recorder: Recorder) -> None:
    printed = type_in("memory", recorder)
    assert printed.code == 2
    assert "delete, get, history, list, search, set" in printed.err


def test_no_words_are_a_usage_error_that_shows_help(recorder: Recorder) -> None:
    printed = type_in("", recorder)
    assert printed.code == 2
    assert printed.out.startswith("usage: kept")


def test_underscores_in_names_are_dashes_and_either_is_understood(recorder: Recorder) -> None:
    type_in("event list --since 3", recorder)
    assert recorder.last == ListEvents(since=3)
    type_in("memory delete k --if-version 2", recorder)
    assert recorder.last == DeleteMemory(key="k", if_version=2)


def test_rpc_takes_one_json_object(recorder: Recorder) -> None:
    type_in(["rpc", "action.list", '{"limit": 3}'], recorder)
    assert recorder.last == ListActions(limit=3)
    type_in("rpc action.list", recorder)
    assert recorder.last == ListActions()
    for params in ("[1]", "3", '{"nope": 1}', '{"limit": 0}'):
        assert type_in(["rpc", "action.list", params], recorder).code == 2


def test_a_refusal_of_the_daemon_names_the_command_whose_help_to_read() -> None:
    refusing = Recorder({SetComponent: InvalidParams("health: out of range", field="health")})
    printed = type_in("component set web down", refusing)
    assert printed.code == 1
    assert printed.err == "kept: health: out of range\nhint: kept component set --help describes the arguments.\n"


def test_errors_are_one_json_document_where_json_was_asked_for(recorder: Recorder) -> None:
    refusing = Recorder({GetMemory: InvalidParams("no", hint="so", field="key")})
    printed = type_in("memory get k --json", refusing)
    assert json.loads(printed.err) == {
        "error": {"code": -32602, "message": "no", "data": {"type": "invalid_params", "field": "key", "hint": "so"}}
    }
    for words in ("memory gte --json", "memory set k v --json --priority 11", "--json nope"):
        printed = type_in(words, recorder)
        assert (printed.code, printed.out) == (2, "")
        assert json.loads(printed.err)["error"]["data"]["type"] == "usage"


@given(
    key=NAME,
    value=JSON,
    scope=NAME,
    category=st.none() | NAME,
    priority=st.none() | st.integers(1, 10),
    tags=st.none() | st.lists(NAME, min_size=1, max_size=4).map(tuple),
    ttl=st.none() | st.integers(1, 315_360_000),
)
def test_what_is_typed_is_what_is_sent(**fields: Any) -> None:
    recorder = Recorder()
    wanted = SetMemory(**fields)
    words = ["memory", "set"]
    single = ("scope", "category", "priority", "ttl")
    words += [f"--{name}={fields[name]}" for name in single if fields[name] is not None]
    words += [f"--tags={tag}" for tag in fields["tags"] or ()]
    words += ["--", fields["key"], msgspec.json.encode(fields["value"]).decode()]
    printed = type_in(words, recorder)
    assert printed.code == 0, printed.err
    assert recorder.last == wanted
