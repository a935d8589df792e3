"""`kept vault run`: which secrets a command is lent, and in which places."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kept.vault_run import Launch
from kept.vault_run.forms import forms
from kept.wire import Call
from kept.wire.errors import Denied, Locked, NotFound
from kept.wire.vault import EntryId, OpenEntry, RetrieveSecret, StatusOfVault, UnlockVault, VaultStatus

from .test_local import Played
from .typing_at import Printed, Recorder, type_in

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entry(name: str, value: Any) -> OpenEntry:
    return OpenEntry(
        id=EntryId("01"),
        name=name,
        category="general",
        tags=(),
        metadata={},
        agent_readable=False,
        agent_usable=False,
        rights_withheld=False,
        created_at=NOW,
        updated_at=NOW,
        version=1,
        value=value,
    )


class Vault(Recorder):
    """A vault that holds these values."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.values = values
        self.locked = False
        self.denied = False
        self.retry_after_ms = 0

    def __call__(self, call: Call[Any], /) -> Any:
        self.calls.append(call)
        if isinstance(call, UnlockVault):
            self.locked = False
            return None
        if isinstance(call, StatusOfVault):
            return VaultStatus(state="locked", retry_after_ms=self.retry_after_ms)
        assert isinstance(call, RetrieveSecret)
        if self.locked:
            raise Locked("the vault is locked")
        if self.denied and not call.wait_seconds:
            raise Denied("not for agents")
        if call.id not in self.values:
            raise NotFound("no such entry")
        return entry(call.id, self.values[call.id])


def run(words: str, vault: Vault, here: Played | None = None) -> tuple[Printed, list[Launch]]:
    here = here or Played()
    return type_in(f"vault run {words}", vault, here=here), here.launched


@pytest.fixture
def vault() -> Vault:
    return Vault(**{"deploy.token": "tok-1234", "2nd": {"a": "long enough"}, "x=y": "odd-name", "pin": "123"})


def test_a_secret_is_put_into_the_environment_under_its_name_or_another(vault: Vault) -> None:
    printed, (launch,) = run("--secret deploy.token --secret 2nd=OTHER --env odd=vault:x=y -- cmd --opt -", vault)
    assert printed.code == 3
    assert launch.command == ("cmd", "--opt", "-")
    assert launch.added == {"DEPLOY_TOKEN": "tok-1234", "OTHER": '{"a":"long enough"}', "odd": "odd-name"}
    assert launch.hidden["deploy.token"] == forms("tok-1234")
    assert (dict(launch.files), launch.terminal) == ({}, True)


def test_a_variable_does_not_begin_with_a_digit(vault: Vault) -> None:
    _, (launch,) = run("--secret 2nd -- cmd", vault)
    assert set(launch.added) == {"_2ND"}


def test_a_secret_can_be_read_from_a_descriptor_that_a_variable_names(vault: Vault) -> None:
    _, (launch,) = run("--secret-fd deploy.token --secret-fd 2nd=0 --no-pty -- cmd", vault)
    assert dict(launch.files) == {10: b"tok-1234", 0: b'{"a":"long enough"}'}
    assert launch.added == {"KEPT_FD_DEPLOY_TOKEN": "10", "KEPT_FD_2ND": "0"}
    assert not launch.terminal


def test_a_handle_among_the_arguments_becomes_a_path_and_never_the_value(vault: Vault) -> None:
    _, (launch,) = run(
        "-- vault:deploy.token vault:deploy.token a=vault:deploy.token vault:x=y vault:deploy.token", vault
    )
    assert launch.command == ("vault:deploy.token", "/dev/fd/10", "a=vault:deploy.token", "/dev/fd/11", "/dev/fd/10")
    assert launch.files[11] == b"odd-name"
    assert "tok-1234" not in str((launch.command, launch.added))


def test_a_handle_may_be_the_value_of_an_option_and_is_text_anywhere_else(vault: Vault) -> None:
    _, (launch,) = run("-- cmd --key-file=vault:x=y vault:x=y -kvault:x=y ---=vault:x=y 'to vault:x=y'", vault)
    assert launch.command[1:3] == ("--key-file=/dev/fd/10", "/dev/fd/10")
    assert launch.command[3:] == ("-kvault:x=y", "---=vault:x=y", "to vault:x=y")
    assert dict(launch.files) == {10: b"odd-name"}


def test_each_secret_is_retrieved_once(vault: Vault) -> None:
    run("--secret deploy.token --secret-fd deploy.token --env A=vault:deploy.token -- cmd vault:deploy.token", vault)
    assert vault.calls == [RetrieveSecret(id="deploy.token", purpose="lend")]


def test_a_refusal_says_which_of_the_secrets_it_is_about(vault: Vault) -> None:
    printed, launched = run("--secret deploy.token --secret deploy.token=2X -- cmd", vault)
    assert (printed.code, launched) == (1, [])
    assert "deploy.token=2X: no such entry" in printed.err
    assert "Behind = stands a variable's name (letters, digits and _, no digit first)" in printed.err
    vault.denied = True
    printed, _ = run("--secret 2nd --wait-seconds 0 -- cmd", vault)
    assert "2nd: not for agents" in printed.err


@pytest.mark.parametrize(
    "words",
    [
        "--secret deploy.token",
        "--secret '' -- cmd",
        "--secret-fd deploy.token=1 -- cmd",
        "--secret-fd deploy.token=100 -- cmd",
        "--secret-fd deploy.token=1000 -- cmd",
        "--secret-fd 2nd --secret-fd 2nd -- cmd",
        "--secret-fd 2nd=5 --secret-fd deploy.token=5 -- cmd",
        "--secret 2nd=A --secret deploy.token=A -- cmd",
        "--env A=plain -- cmd",
        "--env A -- cmd",
        "--env 1=vault:2nd -- cmd",
        "--env A=vault: -- cmd",
        "-- cmd vault:",
        "-- cmd --file=vault:",
        "--secret deploy.token cmd --option",
    ],
)
def test_words_that_cannot_be_are_refused_before_a_secret_is_retrieved(vault: Vault, words: str) -> None:
    printed, launched = run(words, vault)
    assert (printed.code, launched, vault.calls) == (2, [], [])
    assert printed.err.startswith("kept: ")


def test_a_value_that_is_too_short_to_be_hidden_is_lent_only_without_hiding(vault: Vault) -> None:
    printed, launched = run("--secret pin -- cmd", vault)
    assert (printed.code, launched) == (2, [])
    assert "--no-scrub" in printed.err
    assert "123" not in printed.err
    printed, (launch,) = run("--secret pin --no-scrub -- cmd", vault)
    assert (launch.added, dict(launch.hidden)) == ({"PIN": "123"}, {})


@pytest.mark.parametrize("value", ["nul\0nul", "x" * (128 * 1024)])
def test_a_value_that_no_environment_holds_is_lent_as_a_file_alone(value: str) -> None:
    vault = Vault(odd=value)
    printed, launched = run("--secret odd -- cmd", vault)
    assert (printed.code, launched) == (2, [])
    assert "--secret-fd" in printed.err
    _, (launch,) = run("--secret-fd odd -- cmd", vault)
    assert launch.files == {10: value.encode()}


def test_a_command_without_its_secret_is_not_run(vault: Vault) -> None:
    printed, launched = run("--secret deploy.token --secret nothing -- cmd", vault)
    assert (printed.code, launched) == (1, [])


def test_a_person_is_asked_to_unlock_and_a_program_is_told(vault: Vault) -> None:
    vault.locked = True
    printed, launched = run("--secret deploy.token -- cmd", vault)
    assert (printed.code, launched) == (1, [])
    assert "kept vault unlock" in printed.err
    person = Played(answer="somebody")
    person.secrets = ["hunter2"]
    assert run("--secret deploy.token --no-input -- cmd", vault, person)[0].code == 1
    printed, launched = run("--secret deploy.token -- cmd", vault, person)
    assert (printed.code, len(launched), printed.err) == (3, 1, "the vault is locked\n")
    assert vault.calls[-2] == UnlockVault(password="hunter2")


def test_nobody_is_asked_for_a_password_that_comes_too_early(vault: Vault) -> None:
    vault.locked, vault.retry_after_ms = True, 31_000
    person = Played(answer="somebody")
    for words in ("vault run --secret deploy.token -- cmd", "vault retrieve deploy.token"):
        printed = type_in(words, vault, here=person)
        assert (printed.code, person.wanted) == (1, [])
        assert "Try again in 31 s." in printed.err


def test_an_agent_waits_for_a_persons_consent(vault: Vault) -> None:
    vault.denied = True
    agent = Played()
    agent.caller = vault
    printed, launched = run("--secret deploy.token --wait-seconds 60 -- cmd", vault, agent)
    assert (printed.code, len(launched)) == (3, 1)
    assert "kept vault confirm request-1 allow" in printed.err
    assert vault.calls[-1] == RetrieveSecret(id="deploy.token", purpose="lend", wait_seconds=60)
    printed, launched = run("--secret deploy.token --wait-seconds 0 -- cmd", vault, agent)
    assert (printed.code, len(launched)) == (1, 1)


def test_retrieve_prints_the_value_alone(vault: Vault) -> None:
    for terminal, out in ((True, "tok-1234\n"), (False, "tok-1234")):
        assert type_in("vault retrieve deploy.token", vault, here=Played(), terminal=terminal).out == out
    assert type_in("vault retrieve 2nd", vault, here=Played(), terminal=False).out == '{"a":"long enough"}\n'
    assert (
        '"value":"tok-1234"' in type_in("vault retrieve deploy.token --json", vault, here=Played(), terminal=False).out
    )
    vault.values["odd"] = "a\x1b]0;title\x07b\n"
    assert "\x1b" not in type_in("vault retrieve odd", vault, here=Played()).out
    assert type_in("vault retrieve odd", vault, here=Played(), terminal=False).out == vault.values["odd"]
