"""The start: what it looks at, what it refuses to touch, and that it can be killed at any rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from keptd import recovery
from keptd.recovery import Backup, Marker, Start
from keptd.store import OWN
from keptd.store.database import UnusableDatabase, open_writer
from keptd.store.migrations import Migration, NewerDatabase, migrate
from tests.damage import SETS, SMALL, Rows, Sample, dump, harm
from tests.rooms import ACTOR, FakeClock

from .conftest import Home

Backups = Callable[[Path], Iterable[Backup]]


def start(home: Path, backups: Backups = recovery.no_backups, clock: FakeClock | None = None) -> Start:
    from keptd.supervisor import DOMAINS

    return recovery.at_start(home / "kept.db", SETS, DOMAINS, SMALL, clock or FakeClock(), ACTOR, backups)


def contents(folder: Path) -> dict[str, bytes]:
    """What is in the files of a folder, but for empty ones and the memory that connections share."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {str(path.relative_to(folder)): content for path in files if (content := path.read_bytes())}


def zero(home: Path, page: int, count: int = 1) -> None:
    content = bytearray((home / "kept.db").read_bytes())
    content[page * 4096 : (page + count) * 4096] = bytes(count * 4096)
    (home / "kept.db").write_bytes(content)


def rows(found: Rows) -> int:
    return sum(len(one) for one in found.values())


def test_a_first_start_finds_nothing_and_makes_nothing(tmp_path: Path) -> None:
    assert start(tmp_path) == Start("clean", True, None, False)
    assert contents(tmp_path) == {}


def test_a_start_after_a_clean_end_changes_nothing(copy: Home) -> None:
    home = copy("clean")
    before = contents(home)
    assert start(home) == Start("clean", True, None, False)
    assert contents(home) == before


def test_a_start_after_a_crash_leaves_the_log_as_it_is_and_has_the_rest_checked_later(copy: Home) -> None:
    home = copy("crashed")
    Marker(home).set()
    before = contents(home)
    assert start(home) == Start("unclean", False, None, False)
    assert contents(home) == before


def test_a_run_that_met_damage_has_all_of_it_checked_before_anything_is_served(copy: Home) -> None:
    home = copy("clean")
    Marker(home).damaged()
    assert start(home) == Start("damaged", True, None, False)


def test_a_database_without_checksums_is_checked_before_serving_after_an_unclean_end(tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / "kept.db"))) as db:
        db.pragma("auto_vacuum", "INCREMENTAL")
        migrate(db, SETS, 1)
    assert start(tmp_path) == Start("clean", True, None, False)
    Marker(tmp_path).set()
    assert start(tmp_path) == Start("unclean", True, None, False)


def test_the_structure_of_a_database_without_checksums_is_looked_at(tmp_path: Path, sample: Sample) -> None:
    with closing(apsw.Connection(str(tmp_path / "kept.db"))) as db:
        db.pragma("auto_vacuum", "INCREMENTAL")
        migrate(db, SETS, 1)
        for number in range(200):
            db.execute(
                "INSERT INTO error (id, error, context, created_at, latest_at, updated_at, actor) "
                "VALUES (?, 'e', 'null', 1, 1, 1, 'a')",
                (f"id-{number}",),
            )
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'error_by_time'")
    zero(tmp_path, root - 1)
    Marker(tmp_path).set()
    found = start(tmp_path).recovered
    assert found is not None
    assert found.salvaged["error"] == 200
    assert found.lost == "Nothing was lost."


def test_the_damaged_files_go_to_quarantine_as_they_are(copy: Home, sample: Sample) -> None:
    home = copy("crashed")
    region = next(region for region in sample.regions() if region.name == "log: page, earlier commit")
    from random import Random

    harm(home, region, "bit", Random(1))
    before = contents(home)
    found = start(home).recovered
    assert found is not None
    assert contents(Path(found.quarantine)) == before
    assert Path(found.quarantine).stat().st_mode & 0o077 == 0


def test_the_report_is_kept_in_the_log_of_changes_and_in_a_file(copy: Home) -> None:
    home = copy("clean")
    zero(home, 2)
    found = start(home).recovered
    assert found is not None
    (file,) = (home / "recovery").iterdir()
    stored = msgspec.json.decode(file.read_bytes())
    assert stored["lost"] == found.lost
    assert stored["quarantine"] == found.quarantine
    newest = max(dump(home / "kept.db")["change"].items(), key=lambda item: int(item[0]))[1]
    assert newest[3:5] == ("recovery", "database")


def test_a_database_that_is_gone_is_said_to_be_lost_where_there_is_no_backup(copy: Home) -> None:
    home = copy("clean")
    Marker(home).set()
    (home / "kept.db").unlink()
    found = start(home).recovered
    assert found is not None
    assert found.reason == "the database file is missing"
    assert found.lost.startswith("Everything that was stored is lost")


@pytest.mark.parametrize("left", ["missing", "empty", "junk", "first half", "other half"])
def test_whatever_is_left_of_the_file_the_backup_comes_back(copy: Home, sample: Sample, left: str) -> None:
    home = copy("clean")
    Marker(home).set()
    content = (home / "kept.db").read_bytes()
    half = len(content) // 8192 * 4096
    match left:
        case "missing":
            (home / "kept.db").unlink()
        case "empty":
            (home / "kept.db").write_bytes(b"")
        case "junk":
            (home / "kept.db").write_bytes(b"dear diary, " * 1000)
        case "first half":
            (home / "kept.db").write_bytes(content[:half])
        case _:
            (home / "kept.db").write_bytes(content[half:])
    found = start(home, sample.good_backups).recovered
    assert found is not None
    recovered = dump(home / "kept.db")
    for table in ("decision", "error", "action"):
        assert sample.in_backup[table].keys() <= recovered[table].keys()
    assert "lost: nothing could be read" not in found.lost
    if left in ("missing", "empty", "junk"):
        assert {table: recovered[table] for table in recovered if table != "change"} == {
            table: sample.in_backup[table] for table in recovered if table != "change"
        }


def test_a_log_that_lost_its_database_still_gives_its_rows(copy: Home, sample: Sample) -> None:
    home = copy("crashed")
    Marker(home).set()
    (home / "kept.db").unlink()
    found = start(home).recovered
    assert found is not None
    assert sum(found.salvaged.values()) > 0


class Killed(BaseException):
    """The process ends here."""


def test_a_recovery_that_is_killed_at_any_rename_is_finished_by_the_next_start(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename
    whole = None
    for last in range(20):
        home = tmp_path / str(last)
        shutil.copytree(sample.crashed, home)
        zero(home, 2)
        before = contents(home)
        left = iter([True] * last)

        def rename(path: Path, target: Path, left: Iterable[bool] = left) -> Path:
            if not next(iter(left), False):
                raise Killed
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
        try:
            start(home, sample.good_backups)
        except Killed:
            monkeypatch.setattr(Path, "rename", real)
            assert {name for name in contents(home) if name.endswith("kept.db")}
            found = start(home, sample.good_backups)
            assert found.recovered is not None
        else:
            assert last > 4
            whole = last
        monkeypatch.setattr(Path, "rename", real)
        (quarantine,) = (home / "quarantine").iterdir()
        assert contents(quarantine) == before
        assert start(home).recovered is None
        assert sorted(path.suffix for path in (home / "recovery").iterdir()) == [".json"]
        assert rows(dump(home / "kept.db")) > rows(sample.at_crash)
        if whole is not None:
            return
    pytest.fail("it never came to its end")


def test_a_newer_database_that_is_damaged_is_not_touched(tmp_path: Path) -> None:
    newer = Migration("001_shelf", "CREATE TABLE shelf (id INTEGER PRIMARY KEY) STRICT;")
    with closing(open_writer(tmp_path / "kept.db")) as db:
        migrate(db, [*SETS, ("shelves", (newer,))], 1)
    content = bytearray((tmp_path / "kept.db").read_bytes())
    content[30] ^= 1
    (tmp_path / "kept.db").write_bytes(content)
    with pytest.raises(NewerDatabase, match="shelves/001_shelf"):
        start(tmp_path)
    assert (tmp_path / "kept.db").read_bytes() == content
    assert not (tmp_path / "quarantine").exists()


def test_without_room_nothing_is_touched_and_the_text_says_how_much_is_wanted(
    copy: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy("clean")
    zero(home, 2)
    before = contents(home)
    real = os.statvfs

    def full(path: Path) -> os.statvfs_result:
        found = list(real(path))
        found[4] = 10  # f_bavail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(UnusableDatabase, match=r"no room to recover it: free \d+ bytes"):
        start(home)
    assert contents(home) == before


def test_a_machine_that_cannot_keep_checksums_refuses_a_database_that_has_them(
    copy: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keptd.store import checksums

    home = copy("clean")
    monkeypatch.setattr(checksums, "available", lambda: False)
    with pytest.raises(UnusableDatabase, match="Install apsw from its wheel"):
        open_writer(home / "kept.db")


def test_every_room_is_part_of_the_recovery() -> None:
    from keptd.supervisor import DOMAINS

    assert len(SETS) == len(OWN) + len(DOMAINS)
