"""`kept vault import`: what is read of a folder, what is asked for, and what is told."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kept.cli import vault_folder
from kept.wire.errors import Denied, Locked, NotFound
from kept.wire.vault import EntryId, ListRequests, Requests, StatusOfVault, UnlockVault, VaultStatus
from kept.wire.vault_import import INDEX, ImportedSecret, ImportedVault, ImportVault

from .test_local import Played
from .typing_at import Printed, Recorder, type_in

ID = EntryId("0" * 36)
IMPORTED = ImportedVault(
    items=(
        ImportedSecret(file="a.vault", action="stored", name="a", id=ID),
        ImportedSecret(file="b.vault", action="same", name="b", id=ID),
        ImportedSecret(file="c.vault", action="taken", name="c", id=ID),
        ImportedSecret(file="d.vault", action="renamed", name="d (2)", id=ID),
        ImportedSecret(file="e\x1b[31m.vault", action="unread", why="it doesn't open"),
    ),
    stored=2,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Another program's vault."""
    (tmp_path / INDEX).write_bytes(b"index")
    (tmp_path / "a.vault").write_bytes(b"\x00\xff")
    (tmp_path / "notes.txt").write_text("not for the vault")
    return tmp_path


OPEN = Requests(items=())
LOCKED = Locked("the vault is locked")


def answers(requests: Any = OPEN, imported: Any = IMPORTED) -> Recorder:
    status = VaultStatus(state="locked" if requests is LOCKED else "unlocked")
    return Recorder({ListRequests: requests, ImportVault: imported, StatusOfVault: status})


def typed(words: list[str], recorder: Recorder, *secrets: str, attended: bool = True) -> tuple[Printed, Played]:
    here = Played(answer="" if attended else None)
    here.secrets = list(secrets)
    return type_in(["vault", "import", *words], recorder, here=here), here


def test_the_files_are_sent_as_they_are_with_the_password_that_was_asked_for(folder: Path) -> None:
    recorder = answers()
    printed, here = typed([str(folder), "--on-conflict", "rename"], recorder, "the old password")
    assert printed.code == 0
    call = recorder.last
    assert (call.password, call.on_conflict) == ("the old password", "rename")
    assert {file.name: base64.b64decode(file.data) for file in call.files} == {INDEX: b"index", "a.vault": b"\x00\xff"}
    assert [asked.prompt for asked in here.wanted] == ["Password (kept vault import): "]


def test_what_became_of_each_file_is_told_and_harmless(folder: Path) -> None:
    printed, _ = typed([str(folder)], answers(), "x")
    assert printed.out.splitlines() == [
        "taken     c.vault: c the name stands for something else; --on-conflict rename keeps both",
        "renamed   d.vault: d (2) is its name, since the other one was taken",
        "unread    e\ufffd[31m.vault: it doesn't open",
        "stored 2 entries; 1 were there already",
    ]


def test_programs_get_all_of_it_and_no_question_about_a_locked_vault(folder: Path) -> None:
    printed, _ = typed([str(folder), "--json"], answers(), "x")
    assert len(json.loads(printed.out)["items"]) == 5
    printed, here = typed([str(folder), "--json"], answers(LOCKED))
    assert (printed.code, here.wanted) == (1, [])


@pytest.mark.parametrize("refusal", [LOCKED, NotFound("there is no vault yet")])
def test_nobody_is_asked_for_the_password_of_files_that_cant_be_taken_over(folder: Path, refusal: Exception) -> None:
    printed, here = typed([str(folder)], answers(refusal), attended=False)
    assert (printed.code, here.wanted) == (1, [])
    assert str(refusal) in printed.err


def test_a_locked_vault_is_unlocked_first_by_who_is_there(folder: Path) -> None:
    recorder = answers(LOCKED)
    _, here = typed([str(folder)], recorder, "kept's own", "the other")
    assert [asked.prompt for asked in here.wanted] == [
        "Password (kept vault unlock): ",
        "Password (kept vault import): ",
    ]
    unlock = next(call for call in recorder.calls if isinstance(call, UnlockVault))
    assert (unlock.password, recorder.last.password) == ("kept's own", "the other")


@pytest.mark.parametrize(
    ("place", "why"),
    [("nowhere", "No such file"), ("a.vault", "Not a directory"), ("empty", "there is no vault in")],
)
def test_a_folder_that_has_no_vault_is_told_before_anything_is_asked(folder: Path, place: str, why: str) -> None:
    (folder / "empty").mkdir()
    recorder = answers()
    printed, here = typed([str(folder / place)], recorder)
    assert (printed.code, here.wanted, recorder.calls) == (2, [], [])
    assert why in printed.err


def test_links_and_pipes_are_left_out_and_told(folder: Path) -> None:
    (folder / "link.vault").symlink_to(folder / "notes.txt")
    os.mkfifo(folder / "pipe.vault")
    recorder = answers()
    printed, _ = typed([str(folder)], recorder, "x")
    assert {file.name for file in recorder.last.files} == {INDEX, "a.vault"}
    assert printed.err.count("left out: ") == 2
    assert "left out: link.vault: it is a link, and links are not followed" in printed.err


def test_where_nothing_can_be_read_nothing_is_asked(folder: Path) -> None:
    for name in (INDEX, "a.vault"):
        (folder / name).unlink()
        (folder / name).symlink_to(folder / "notes.txt")
    printed, here = typed([str(folder)], answers())
    assert (printed.code, here.wanted) == (2, [])


def test_more_than_a_message_takes_is_told_with_the_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_folder, "FILES_BYTES", 6)
    printed, here = typed([str(folder)], answers())
    assert (printed.code, here.wanted) == (2, [])
    assert "one folder after another" in printed.err
    monkeypatch.setattr(vault_folder, "FILES", 1)
    assert "2 files are more than 1" in typed([str(folder)], answers())[0].err


def test_a_refusal_is_told_without_the_password(folder: Path) -> None:
    printed, _ = typed([str(folder)], answers(imported=Denied("the password opens none of these files")), "hunter2")
    assert printed.code == 1
    assert "opens none" in printed.err
    assert "hunter2" not in printed.err + printed.out


def test_the_password_is_never_a_word_of_the_command(folder: Path) -> None:
    printed, _ = typed([str(folder), "--password", "hunter2"], answers())
    assert printed.code == 2
    assert "hunter2" not in printed.err
