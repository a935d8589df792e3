"""The vault as people read it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from kept.wire import Done, Page
from kept.wire.vault import (
    Access,
    AuditVault,
    Confirm,
    DeleteSecret,
    Entry,
    EntryId,
    ExportKey,
    FoundEntry,
    ListRequests,
    ListSecrets,
    RecoveryCode,
    Request,
    RequestId,
    Requests,
    Rotated,
    RotateKey,
    SearchSecrets,
    StatusOfVault,
    StoreSecret,
    VaultStatus,
)

from .test_local import Played
from .typing_at import NOW, Printed, Recorder, type_in

ENTRY = Entry(
    id=EntryId("01"),
    name="deploy.token",
    category="credential",
    tags=("ci", "web"),
    metadata={},
    agent_readable=True,
    agent_usable=False,
    rights_withheld=False,
    created_at=NOW,
    updated_at=NOW - timedelta(hours=2),
    version=1,
)


def shown(words: str, answers: dict[type[Any], Any], *, secret: str = "", **more: Any) -> Printed:
    here = Played(answer=more.pop("answer", None))
    here.secrets = [secret]
    return type_in(words, Recorder(answers), here=here, **more)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (VaultStatus(state="absent"), ["There is no vault yet", "kept vault init"]),
        (
            VaultStatus(state="locked", failures=4, retry_after_ms=5000),
            ["kept vault unlock", "4 wrong passwords", "5 s"],
        ),
        (VaultStatus(state="locked", failures=3, retry_after_ms=40), ["the next one has to wait 1 s."]),
        (
            VaultStatus(
                state="unlocked", entries=1, locks_at=NOW + timedelta(minutes=9), locks_by=NOW + timedelta(minutes=119)
            ),
            ["1 entry", "in 9 min if nobody uses it", "in 1 h 59 min in any case", "kept vault export-key"],
        ),
        (
            VaultStatus(state="read_only", entries=3, damaged=("a",), problem="look at it"),
            ["1 of them damaged", "look at it"],
        ),
        (
            VaultStatus(state="unlocked", entries=9, agents_failures=2, rights_withheld=1),
            ["Agents gave 2 wrong passwords", "1 entry is withheld", "kept vault update NAME --agent-readable"],
        ),
        (VaultStatus(state="dreaming"), ["The vault is dreaming."]),
    ],
)
def test_a_sentence_says_how_it_is_and_what_to_do(status: VaultStatus, told: list[str]) -> None:
    for words in ("vault", "vault status"):
        out = " ".join(shown(words, {StatusOfVault: status}).out.split())
        for part in told:
            assert part in out


def test_entries_are_a_table_that_says_who_reads_them() -> None:
    out = shown("vault list", {ListSecrets: Page(items=[ENTRY], next_cursor="next")}, columns=100)
    assert out.out.split("\n")[0].split() == ["NAME", "CATEGORY", "TAGS", "READ", "BY", "CHANGED"]
    assert out.out.split("\n")[1].split("  ")[0] == "deploy.token"
    for part in ("credential", "ci, web", "agents too", "2 h ago"):
        assert part in out.out
    assert "--cursor next" in out.err
    assert "kept vault store" in shown("vault list", {ListSecrets: Page(items=[])}).err


def test_a_list_says_whose_rights_are_withheld() -> None:
    entry = msgspec.structs.replace(ENTRY, agent_readable=False, rights_withheld=True)
    assert "people (withheld)" in shown("vault list", {ListSecrets: Page(items=[entry])}, columns=100).out


def test_search_results_say_what_fits() -> None:
    found = FoundEntry(score=1.0, snippet="the *deploy* token", **msgspec.structs.asdict(ENTRY))
    assert "the *deploy* token" in shown("vault search deploy", {SearchSecrets: Page(items=[found])}).out
    assert "values are not" in shown("vault search x", {SearchSecrets: Page(items=[])}).err


def test_an_audit_list_that_shows_nothing_doesnt_say_that_nobody_was_there() -> None:
    printed = shown("vault audit --action retrieve", {AuditVault: Page(items=[])})
    assert "nothing of that" in printed.err


IDS = [f"01a1fdc0-3e21-7191-b9b0-7b18d466b0{number:02}" for number in range(9)]


def looks(*entries: tuple[str | None, str | None]) -> Page[Access]:
    """An audit list of entries, by their ids and names, that were looked at."""
    return Page(
        items=[
            Access(
                seq=seq,
                at=NOW,
                action="retrieve",
                entry_id=id_,
                outcome="denied",
                client="me",
                kind="agent",
                uid=1,
                pid=4,
                name=name,
            )
            for seq, (id_, name) in enumerate(entries)
        ]
    )


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_audit_list_says_who_did_what_with_which_entry(columns: int) -> None:
    page = looks((IDS[0], "web"), (IDS[1], "mail"), (IDS[5], None), (None, None))
    printed = shown("vault audit", {AuditVault: page}, columns=columns)
    for part in ("retrieve", "denied", "me (agent)", "web", "mail"):
        assert part in printed.out
    # It was deleted since: its id is all that there is.
    assert IDS[5] in printed.out
    assert not any(id_ in printed.out for id_ in IDS[:2])
    assert all(len(line) <= columns for line in printed.out.splitlines())


@pytest.mark.parametrize("columns", [45, 60, 80, 200])
def test_while_no_names_are_told_the_audit_list_shows_ids_that_can_be_typed(columns: int) -> None:
    printed = shown("vault audit", {AuditVault: looks(*((id_, None) for id_ in IDS))}, columns=columns)
    assert all(id_ in printed.out for id_ in IDS)


def test_one_long_name_leaves_the_audit_list_its_columns() -> None:
    page = looks((IDS[0], "n" * 200), (IDS[1], "web"))
    lines = shown("vault audit", {AuditVault: page}, columns=80).out.splitlines()
    assert lines[0].split() == ["AT", "ACTION", "OUTCOME", "BY", "ENTRY", "PID"]
    assert lines[2] == "  entry: " + "n" * 200
    assert lines[3].split()[-2:] == ["web", "4"]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_one_long_name_leaves_the_list_its_columns(columns: int) -> None:
    long = msgspec.structs.replace(ENTRY, name="n" * 200)
    lines = shown("vault list", {ListSecrets: Page(items=[long, ENTRY])}, columns=columns).out.splitlines()
    assert lines[0].split() == ["NAME", "CATEGORY", "TAGS", "READ", "BY", "CHANGED"]
    assert lines[1] == "n" * 200
    assert lines[2].split()[0] == "credential"
    assert lines[3].split()[:2] == ["deploy.token", "credential"]


def test_who_waits_is_shown_with_the_way_to_answer() -> None:
    request = Request(
        id=RequestId("r1"),
        entry_id=EntryId("01"),
        name="deploy.token",
        purpose="read",
        client="claude",
        pid=42,
        asked_at=NOW,
        ends_at=NOW + timedelta(minutes=2),
    )
    printed = shown("vault requests", {ListRequests: Requests(items=(request,))}, columns=100)
    for part in ("r1", "deploy.token", "to read it", "claude", "2 min"):
        assert part in printed.out
    lent = Requests(items=(msgspec.structs.replace(request, purpose="lend"),))
    assert "to lend it" in shown("vault requests", {ListRequests: lent}, columns=100).out
    assert "kept vault confirm ID allow" in printed.err
    assert "claude" in shown("vault confirm r1 allow", {Confirm: request}).out
    assert "no agent waits" in shown("vault requests", {ListRequests: Requests(items=())}).err


CODE = RecoveryCode(code=" ".join(f"word{number}" for number in range(1, 25)), key_version=1)


@pytest.mark.parametrize("columns", [40, 80])
def test_the_recovery_code_is_numbered_in_columns_with_a_warning(columns: int) -> None:
    printed = shown("vault export-key", {ExportKey: CODE}, secret="password", columns=columns)
    lines = printed.out.splitlines()
    assert lines[0].split() == ["1.", "word1", "7.", "word7", "13.", "word13", "19.", "word19"]
    assert all(f"{number}. word{number}" in printed.out for number in range(1, 25))
    assert "Whoever has these words can open the vault" in " ".join(printed.out.split())


def test_the_recovery_code_goes_into_no_file_by_mistake() -> None:
    recorder, here = Recorder({ExportKey: CODE}), Played()
    printed = type_in("vault export-key", recorder, here=here, terminal=False)
    assert (printed.code, recorder.calls, here.wanted) == (2, [], [])
    assert "--json" in printed.err
    assert "word24" in shown("vault export-key --json", {ExportKey: CODE}, secret="password", terminal=False).out


def test_a_rotation_says_that_the_recovery_code_is_void() -> None:
    rotated = Rotated(entries=12, key_version=2, recovery_code_void=True)
    out = shown("vault rotate", {RotateKey: rotated}, secret="password").out
    assert out.startswith("12 entries are sealed under a new key (version 2)\n")
    assert "kept vault export-key" in out


def test_storing_says_what_was_stored_and_not_the_value() -> None:
    printed = shown(
        "vault store deploy.token --agent-readable", {StoreSecret: ENTRY, ListSecrets: Page(items=[])}, secret="canary"
    )
    assert printed.out == "stored deploy.token (credential, for agents too)\n"


def test_deleting_asks_at_a_terminal_and_needs_a_word_elsewhere() -> None:
    done: dict[type[Any], Any] = {DeleteSecret: Done(id="01", label="deploy.token")}
    assert shown("vault delete deploy.token", done, answer="yes").out == "deleted deploy.token (01)\n"
    assert shown("vault delete deploy.token --yes", done).code == 0
    for answer in ("no", "", None):
        recorder = Recorder(done)
        printed = type_in("vault delete deploy.token", recorder, here=Played(answer=answer))
        assert (printed.code, recorder.calls) == (2, [])


@pytest.mark.parametrize("words", ["vault", "vault list", "vault audit", "vault requests"])
def test_programs_get_json(words: str) -> None:
    answers: dict[type[Any], Any] = {
        StatusOfVault: VaultStatus(state="locked"),
        ListSecrets: Page(items=[ENTRY]),
        AuditVault: Page(items=[]),
        ListRequests: Requests(items=()),
    }
    assert isinstance(msgspec.json.decode(shown(f"{words} --json", answers, terminal=False).out), dict)
