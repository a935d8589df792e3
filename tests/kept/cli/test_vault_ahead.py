"""Nobody types a secret for nothing: what the daemon would refuse is told before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kept.wire import Page
from kept.wire.errors import Conflict, Locked, NotFound
from kept.wire.vault import (
    ChangePassword,
    ExportKey,
    InitVault,
    ListRequests,
    ListSecrets,
    RecoverVault,
    Requests,
    RotateKey,
    StatusOfVault,
    StoreSecret,
    UnlockVault,
    UpdateSecret,
    VaultStatus,
)

from .test_local import Played
from .test_vault_views import ENTRY
from .typing_at import Printed, Recorder, type_in

NO_VAULT = NotFound("there is no vault yet", hint="vault.init makes one.")
LOCKED = Locked("the vault is locked")
OPEN = Requests(items=())


def typed(words: str, state: Any, *secrets: str, **answers: Any) -> tuple[Printed, Recorder, Played]:
    entries = state if isinstance(state, Exception) else Page(items=answers.pop("entries", []))
    how = "absent" if state is NO_VAULT else "locked" if state is LOCKED else "unlocked"
    status = VaultStatus(state=how, retry_after_ms=answers.pop("retry_after_ms", 0))
    recorder, here = Recorder({ListRequests: state, ListSecrets: entries, StatusOfVault: status}), Played()
    here.secrets = list(secrets)
    return type_in(f"{words} --json", recorder, here=here), recorder, here


@pytest.mark.parametrize(
    ("words", "state", "told"),
    [
        *(
            (words, NO_VAULT, "no vault yet")
            for words in (
                "vault store n",
                "vault update n --ask-value",
                "vault unlock",
                "vault recover",
                "vault change-password",
                "vault rotate",
                "vault export-key",
            )
        ),
        *(
            (words, LOCKED, "is locked")
            for words in (
                "vault store n",
                "vault update n --ask-value",
                "vault change-password",
                "vault rotate",
                "vault export-key",
            )
        ),
        ("vault init", OPEN, "there is a vault already"),
        ("vault init", LOCKED, "there is a vault already"),
    ],
)
def test_a_refusal_that_is_known_comes_before_the_question(words: str, state: Any, told: str) -> None:
    printed, recorder, here = typed(words, state)
    assert (printed.code, here.wanted, len(recorder.calls)) == (1, [], 1)
    assert told in printed.err


@pytest.mark.parametrize(
    ("words", "state", "request_"),
    [
        ("vault init", NO_VAULT, InitVault),
        ("vault unlock", LOCKED, UnlockVault),
        ("vault unlock", OPEN, UnlockVault),
        ("vault recover", LOCKED, RecoverVault),
        ("vault change-password", OPEN, ChangePassword),
        ("vault rotate", OPEN, RotateKey),
        ("vault export-key", OPEN, ExportKey),
        ("vault store n", OPEN, StoreSecret),
        ("vault update n --ask-value", OPEN, UpdateSecret),
    ],
)
def test_one_call_finds_that_out_and_the_next_one_does_it(words: str, state: Any, request_: type[Any]) -> None:
    _, recorder, here = typed(words, state, "password one", "password two")
    assert here.wanted
    assert [type(call) for call in recorder.calls[1:]] == [request_]


def test_nobody_types_a_password_that_comes_too_early() -> None:
    printed, recorder, here = typed("vault unlock", LOCKED, retry_after_ms=31_000)
    assert (printed.code, here.wanted, len(recorder.calls)) == (1, [], 1)
    assert '"retry_after_ms":31000' in printed.err
    assert "Try again in 31 s." in printed.err
    # Typing takes as long as that.
    _, recorder, here = typed("vault unlock", LOCKED, "password", retry_after_ms=2000)
    assert len(here.wanted) == 1


def test_a_name_that_is_taken_is_told_before_its_value_is_asked_for() -> None:
    printed, recorder, here = typed("vault store deploy.token", OPEN, entries=[ENTRY])
    assert (printed.code, here.wanted) == (1, [])
    assert "the name is taken" in printed.err
    assert "kept vault update" in printed.err
    assert recorder.calls == [ListSecrets(prefix="deploy.token", limit=1)]


def test_a_name_that_another_begins_with_is_free() -> None:
    longer = msgspec.structs.replace(ENTRY, name="deploy.token.old")
    assert typed("vault store deploy.token", OPEN, "x", entries=[longer])[1].last == StoreSecret(
        name="deploy.token", value="x"
    )


def test_a_value_that_is_stored_again_under_its_key_is_no_conflict() -> None:
    _, recorder, _ = typed("vault store deploy.token --idempotency-key k", OPEN, "x", entries=[ENTRY])
    assert isinstance(recorder.last, StoreSecret)


def test_a_name_that_is_taken_meanwhile_is_refused_as_before() -> None:
    recorder = Recorder({ListSecrets: Page(items=[]), StoreSecret: Conflict("the name is taken")})
    here = Played()
    here.secrets = ["x"]
    printed = type_in("vault store n", recorder, here=here)
    assert (printed.code, len(here.wanted)) == (1, 1)
    assert "the name is taken" in printed.err


@pytest.mark.parametrize(
    "words",
    ["vault unlock -", "vault store n --value-fd 3", "vault change-password --password-fd 3 --new-password-fd 4"],
)
def test_a_program_that_gives_the_secret_itself_costs_one_call(words: str) -> None:
    _, recorder, here = typed(words, NO_VAULT, "one password", "another password")
    assert len(here.wanted) >= 1
    assert ListRequests not in map(type, recorder.calls)
    assert ListSecrets not in map(type, recorder.calls)
