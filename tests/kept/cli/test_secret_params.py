"""No secret is ever taken from a command line, and no command about secrets runs in the daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kept.cli import answer
from kept.cli.fields import Field, fields_of
from kept.cli.methods import is_private, reachable
from kept.cli.parse import Command
from kept.cli.registry import everything
from kept.cli.surface import UsageError
from kept.wire import Page
from kept.wire.daemon import RunCommand
from kept.wire.errors import NotFound
from kept.wire.vault import (
    ChangePassword,
    InitVault,
    ListRequests,
    ListSecrets,
    RotateKey,
    StoreSecret,
    UnlockVault,
    UpdateSecret,
)

from .test_local import Played
from .typing_at import Recorder, type_in

CANARY = "canary-Zx81Qm47Lp"


def without_entries() -> Recorder:
    """A vault that is open and has nothing in it."""
    return Recorder({ListSecrets: Page(items=[])})


def with_secrets() -> Iterator[tuple[Command, Field]]:
    """Every command that takes a secret, with each of them."""
    for command in everything().values():
        yield from ((command, field) for field in command.fields if field.secret)


def in_place(command: Command) -> list[str]:
    """What it takes by position besides, in its place."""
    return [next(iter(field.choices), "x") for field in command.positional if field.required and not field.secret]


SECRETS = list(with_secrets())


def test_every_secret_of_every_method_has_a_command_that_withholds_it() -> None:
    of_methods = {(name, field.name) for name, call in reachable().items() for field in fields_of(call) if field.secret}
    assert len(of_methods) >= 9
    assert of_methods == {(".".join(command.words).replace("-", "_"), field.name) for command, field in SECRETS}


@pytest.mark.parametrize(("command", "field"), SECRETS, ids=lambda value: value.name)
def test_a_secret_among_the_words_is_refused_and_not_told_again(command: Command, field: Field) -> None:
    name = f"--{field.name.replace('_', '-')}"
    for words in ([name, CANARY], [f"{name}={CANARY}"], [CANARY], ["--", CANARY], [f"{name}-fd", CANARY]):
        recorder, here = Recorder(), Played()
        printed = type_in([*command.words, *in_place(command), *words], recorder, here=here)
        assert printed.code == 2, words
        assert CANARY not in printed.out + printed.err
        assert (recorder.calls, here.wanted) == ([], [])


@pytest.mark.parametrize(
    "words",
    ["vault change-password -", "vault recover -", "vault store n - --value-fd 3", "vault unlock - -"],
)
def test_a_dash_that_stands_for_no_one_secret_is_no_secret_in_the_command_line(words: str) -> None:
    here = Played()
    printed = type_in(words, Recorder(), here=here)
    assert (printed.code, here.wanted) == (2, [])
    assert "it isn't clear which secret - stands for" in printed.err
    assert "history" not in printed.err


@pytest.mark.parametrize(("command", "field"), SECRETS, ids=lambda value: value.name)
def test_the_refusal_names_the_ways(command: Command, field: Field) -> None:
    for words in ([f"--{field.name.replace('_', '-')}", CANARY], [CANARY]):
        told = type_in([*command.words, *in_place(command), *words], Recorder(), here=Played()).err
        for way in ("-fd N", "KEPT_ASKPASS", " - from standard input", "terminal"):
            assert way in told


@pytest.mark.parametrize("name", [name for name, call in reachable().items() if any(f.secret for f in fields_of(call))])
def test_json_among_the_words_holds_no_secret(name: str) -> None:
    fields = fields_of(reachable()[name])
    given = {field.name: CANARY for field in fields if field.secret}
    recorder = Recorder()
    printed = type_in(["rpc", name, json.dumps(given)], recorder, here=Played())
    assert printed.code == 2
    assert f"kept rpc {name} -" in printed.err
    assert CANARY not in printed.err
    assert recorder.calls == []


def test_a_new_password_that_cant_be_taken_is_refused_before_it_is_typed_again() -> None:
    here = Played()
    here.secrets = ["the old one", "a new one of mine"]
    assert type_in("vault change-password", Recorder(), here=here).code == 0
    old, new = (asked.check for asked in here.wanted)
    assert old is not None
    assert new is not None
    old("x")
    new("8 or more")
    with pytest.raises(UsageError, match="NEW-PASSWORD must have 8 to 1,024 characters") as refused:
        new("canary!")
    assert "canary" not in str(refused.value.__dict__)


def test_json_from_standard_input_may_hold_one() -> None:
    recorder = Recorder()
    given = json.dumps({"password": CANARY})
    assert type_in("rpc vault.unlock -", recorder, here=Played(), stdin=given).code == 0
    assert recorder.last == UnlockVault(password=CANARY)


@pytest.mark.parametrize("words", ["vault unlock -", "vault unlock --password-fd 0", "vault unlock --password -"])
def test_a_dash_reads_it_from_standard_input(words: str) -> None:
    recorder, here = Recorder(), Played()
    here.secrets = [CANARY]
    type_in(words, recorder, here=here)
    assert here.wanted[0].descriptor == 0
    assert recorder.last == UnlockVault(password=CANARY)


def test_what_is_not_given_is_asked_for_and_a_new_password_as_such() -> None:
    recorder, here = Recorder(), Played()
    here.secrets = ["former", "following"]
    assert type_in("vault change-password", recorder, here=here).code == 0
    assert [(asked.is_new, asked.descriptor) for asked in here.wanted] == [(False, None), (True, None)]
    assert recorder.last == ChangePassword(password="former", new_password="following")
    assert "vault change-password" in here.wanted[0].prompt
    assert "8 to 1,024" in here.wanted[1].prompt


def test_each_secret_has_a_descriptor_of_its_own() -> None:
    recorder, here = Recorder(), Played()
    for words in (
        "--password-fd 3 --new-password-fd 3",
        "--password - --new-password -",
        "--password-fd 3 --password-fd 4",
    ):
        assert type_in(f"vault change-password {words}", recorder, here=here).code == 2
    for number in ("1", "2", "-1", "x", "3.0", "9999999"):
        assert type_in(["vault", "unlock", f"--password-fd={number}"], recorder, here=here).code == 2
    assert (recorder.calls, here.wanted) == ([], [])


def test_nobody_is_asked_where_something_else_is_wrong() -> None:
    recorder, here = Recorder(), Played()
    for words in (
        ["vault", "store"],
        ["vault", "store", "n" * 201],
        ["vault", "unlock", "--nope"],
        ["vault", "export-key"],
    ):
        assert type_in(words, recorder, here=here, terminal=False).code == 2
    assert (recorder.calls, here.wanted) == ([], [])


def test_a_secret_that_is_out_of_range_is_refused_without_a_word_of_it() -> None:
    recorder, here = Recorder({ListRequests: NotFound("there is no vault yet")}), Played()
    here.secrets = ["short"]
    printed = type_in("vault init", recorder, here=here)
    assert (printed.code, recorder.calls) == (2, [ListRequests()])
    assert printed.err.startswith("kept: PASSWORD must have 8 to 1,024 characters\n")


def test_a_value_is_text_unless_it_is_said_to_be_json() -> None:
    for words, given, value in (
        ("vault store n", '{"a": 1}', '{"a": 1}'),
        ("vault store n --json-value", '{"a": 1}', {"a": 1}),
        ("vault store n - --json-value", "null", None),
    ):
        recorder, here = without_entries(), Played()
        here.secrets = [given]
        type_in([*words.split(), "--json"], recorder, here=here)
        assert recorder.last == StoreSecret(name="n", value=value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{canary", "no JSON"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"canary": 1, "canary": 2}', "a name twice"),
    ],
)
def test_a_value_that_is_no_json_is_refused_without_a_word_of_it(given: str, told: str) -> None:
    recorder, here = without_entries(), Played()
    here.secrets = [given]
    printed = type_in("vault store n --json-value", recorder, here=here)
    assert (printed.code, StoreSecret in map(type, recorder.calls)) == (2, False)
    assert told in printed.err
    assert "canary" not in printed.err


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("--category health", {"category": "health"}),
        ("--ask-value", {"value": CANARY}),
        ("--value-fd 3", {"value": CANARY}),
        ("--value - --no-agent-readable", {"value": CANARY, "agent_readable": False}),
    ],
)
def test_an_entry_is_changed_without_a_value_unless_one_is_given(words: str, changed: dict[str, Any]) -> None:
    recorder, here = Recorder(), Played()
    here.secrets = [CANARY]
    type_in(f"vault update n {words} --json", recorder, here=here)
    assert recorder.last == UpdateSecret(id="n", **changed)


@pytest.mark.parametrize("words", ["", "--if-version 3 --idempotency-key k"])
def test_a_change_of_nothing_is_refused_with_what_can_be_changed(words: str) -> None:
    recorder = Recorder()
    printed = type_in(f"vault update n {words}", recorder, here=Played())
    assert (printed.code, recorder.calls) == (2, [])
    for option in ("--name", "--ask-value", "--value-fd N", "--category", "--tags", "--metadata", "--agent-usable"):
        assert option in printed.err
    assert "--if-version" not in printed.err


@pytest.mark.parametrize("words", ["--tags x", "--no-agent-usable", "--metadata {}", "--name m"])
def test_what_is_said_is_a_change(words: str) -> None:
    recorder = Recorder()
    type_in(f"vault update n {words} --json", recorder, here=Played())
    assert isinstance(recorder.last, UpdateSecret)


@pytest.mark.parametrize("words", ["vault unlock -- -", "vault store n -- -", "vault store -- n -"])
def test_a_dash_behind_the_end_of_the_options_reads_it_as_well(words: str) -> None:
    here = Played()
    here.secrets = [CANARY]
    type_in(f"--json {words}", Recorder(), here=here)
    assert [asked.descriptor for asked in here.wanted] == [0]


@pytest.mark.parametrize("words", ["--ask-value --value-fd 3", "--json-value"])
def test_a_value_is_given_once_and_is_there_where_something_is_said_of_it(words: str) -> None:
    recorder, here = Recorder(), Played()
    here.secrets = [CANARY]
    assert (type_in(f"vault update n {words}", recorder, here=here).code, recorder.calls) == (2, [])


def test_no_command_about_secrets_runs_in_the_daemon() -> None:
    def call(_: object) -> Any:
        raise AssertionError("the daemon asked itself")

    commands = [command for command in everything().values() if command.words[0] == "vault"]
    assert len(commands) > 15
    for command in commands:
        words = [*command.words, *in_place(command)]
        assert answer(RunCommand(argv=tuple(words)), call).local, words
    for name in filter(is_private, reachable()):
        given = {"id": "x"} if "id" in reachable()[name].__struct_fields__ else {}
        refused = answer(RunCommand(argv=("rpc", name, json.dumps(given))), call)
        assert refused.local or refused.code == 2
    assert answer(RunCommand(argv=("rpc", "vault.unlock", "-"), stdin='{"password": "x"}'), call).local


@pytest.mark.parametrize("call", [InitVault, UnlockVault, RotateKey])
def test_help_tells_the_ways(call: type[Any]) -> None:
    words = " ".join(type_in(f"{call.method.replace('.', ' ')} --help", Recorder()).out.split())
    assert "[-]" in words
    assert "--password-fd N" in words
    assert "PASSWORD can't stand in the command line." in words


def test_a_verb_that_is_not_there_gets_the_nearest_one() -> None:
    assert "kept vault unlock" in type_in("vault unlok", Recorder(), here=Played()).err
