"""Archives between files and a daemon that is played."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kept.cli import transfer
from kept.wire import Call, Done
from kept.wire.daemon import Status
from kept.wire.data import (
    Archive,
    BeginUpload,
    DeleteAll,
    Deleted,
    DiscardArchive,
    ExportAll,
    ImportAll,
    Imported,
    Part,
    ReadArchive,
    TransferId,
    Upload,
    WritePart,
)
from kept.wire.errors import Conflict
from tests.kept.cli.test_local import Played
from tests.kept.cli.typing_at import type_in

ID = TransferId("0" * 32)
CONTENT = bytes(range(256)) * 40


class Daemon:
    """Gives and takes an archive in parts of 1,000 bytes, and remembers what it was asked."""

    def __init__(self, content: bytes = CONTENT, *, refuses: bool = False) -> None:
        self.content = content
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.refuses = refuses
        self.received = b""
        self.asked: list[Call[Any]] = []

    def __call__(self, call: Call[Any], /) -> Any:
        self.asked.append(call)
        match call:
            case ExportAll():
                at = datetime(2026, 1, 1, tzinfo=UTC)
                size = len(self.content)
                return Archive(id=ID, bytes=size, sha256=self.sha256, created_at=at, rows={"memory": 3}, files=1)
            case ReadArchive(offset=offset):
                return Part(offset=offset, data=base64.b64encode(self.content[offset : offset + 1000]).decode())
            case BeginUpload(bytes=size):
                return Upload(id=ID, received=0, bytes=size)
            case WritePart(offset=offset, data=data):
                assert offset == len(self.received)
                self.received += base64.b64decode(data)
                return Upload(id=ID, received=len(self.received), bytes=0)
            case ImportAll():
                if self.refuses:
                    raise Conflict("the home is not empty")
                return Imported(rows={"memory": 3}, files=1, seq=9, replaced=2, backup_id="b")
            case DiscardArchive():
                return Done(id=ID)
            case DeleteAll():
                return Deleted(rows=5, files=2, seq=6, left=("backups",))
            case Status():
                return Home()
        raise AssertionError(call)


class Home:
    home = "/home/me/.local/share/kept"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)


def test_an_export_is_written_whole_for_the_owner_alone(tmp_path: Path) -> None:
    daemon, file = Daemon(), tmp_path / "all.kept"
    printed = type_in(["data", "export-all", str(file)], daemon, here=Played(), terminal=False)

    assert printed.code == 0
    assert printed.out.startswith("exported 3 rows and 1 files: 10")
    assert file.read_bytes() == CONTENT
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert isinstance(daemon.asked[-1], DiscardArchive)


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    daemon, file = Daemon(), tmp_path / "all.kept"
    file.write_text("mine")
    printed = type_in(["data", "export-all", str(file)], daemon, here=Played())

    assert printed.code == 2
    assert file.read_text() == "mine"
    assert daemon.asked == []


def test_what_came_wrong_is_not_kept(tmp_path: Path) -> None:
    daemon = Daemon()
    daemon.sha256 = "0" * 64
    printed = type_in(["data", "export-all", str(tmp_path / "all.kept")], daemon, here=Played())

    assert printed.code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_ends_too_early_is_not_kept(tmp_path: Path) -> None:
    daemon = Daemon()
    whole, daemon.content = daemon.content, daemon.content[:-1]

    def call(asked: Call[Any]) -> Any:
        answer = daemon(asked)
        return (
            answer
            if not isinstance(answer, Archive)
            else Archive(id=ID, bytes=len(whole), sha256=daemon.sha256, created_at=answer.created_at, rows={}, files=0)
        )

    assert type_in(["data", "export-all", str(tmp_path / "all.kept")], call, here=Played()).code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    printed = type_in(["data", "export-all", str(tmp_path / "none" / "all.kept")], Daemon(), here=Played())

    assert printed.code == 2
    assert "No such file or directory" in printed.err


@pytest.mark.usefixtures("small_parts")
def test_an_import_sends_the_file_in_parts_with_its_digest(tmp_path: Path) -> None:
    daemon, file = Daemon(), tmp_path / "all.kept"
    file.write_bytes(CONTENT)
    printed = type_in(["data", "import-all", str(file), "--on-conflict", "replace"], daemon, here=Played())

    assert printed.code == 0
    assert printed.out == (
        "imported 3 rows and 1 files\n2 rows were replaced; kept backup restore b brings them back\n"
    )
    assert daemon.received == CONTENT
    assert daemon.asked[0] == BeginUpload(bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert daemon.asked[-1] == ImportAll(id=ID, on_conflict="replace")


def test_a_refused_import_leaves_nothing_with_the_daemon(tmp_path: Path) -> None:
    daemon, file = Daemon(refuses=True), tmp_path / "all.kept"
    file.write_bytes(CONTENT)
    printed = type_in(["data", "import-all", str(file)], daemon, here=Played())

    assert printed.code == 1
    assert "the home is not empty" in printed.err
    assert daemon.asked[-1] == DiscardArchive(id=ID)


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_is_missing_or_empty_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    daemon, file = Daemon(), tmp_path / "all.kept"
    if content is not None:
        file.write_bytes(content)

    assert type_in(["data", "import-all", str(file)], daemon, here=Played()).code == 2
    assert daemon.asked == []


@pytest.mark.usefixtures("small_parts")
def test_it_is_shown_how_far_an_archive_is_on_its_way(tmp_path: Path) -> None:
    file = tmp_path / "all.kept"
    for words, what in (["data", "export-all"], "fetching 10.0 KiB"), (["data", "import-all"], "sending 10.0 KiB"):
        here = Played()
        assert type_in([*words, str(file)], Daemon(), here=here).code == 0
        assert here.shown[0] == (1000, len(CONTENT), what)
        assert here.shown[-1] == (len(CONTENT), len(CONTENT), what)


WORDS = "delete everything in kept"


def test_a_deletion_needs_the_words_typed() -> None:
    daemon, here = Daemon(), Played(answer=WORDS)
    printed = type_in("data delete-all --backups", daemon, here=here, terminal=False)

    assert printed.out == ("deleted 5 rows and 2 files\nleft as they are: backups (--backups deletes them as well)\n")
    assert WORDS in here.questions[0]
    assert daemon.asked[-1] == DeleteAll(confirm=WORDS, backups=True)


@pytest.mark.parametrize("answer", ["", "yes", "delete everything", None])
def test_nothing_is_deleted_without_them(answer: str | None) -> None:
    daemon = Daemon()

    assert type_in("data delete-all", daemon, here=Played(answer=answer)).code == 2
    assert not any(isinstance(call, DeleteAll) for call in daemon.asked)


def test_the_words_can_be_an_option_where_nobody_types() -> None:
    daemon, here = Daemon(), Played()

    assert type_in(["data", "delete-all", "--confirm", WORDS], daemon, here=here).code == 0
    assert here.questions == []


@pytest.mark.parametrize("words", ["data export-all x", "data import-all x", "data delete-all"])
def test_the_daemon_leaves_these_to_the_callers_process(words: str) -> None:
    daemon = Daemon()

    assert type_in(words, daemon).local
    assert daemon.asked == []
