"""Checksums: on every page of a new database, compared at every read from the file, and copied by backups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from keptd.store import checksums
from keptd.store.checksums import PAGE, RESERVED, checksum, header_is_sound, is_sound, map_page
from keptd.store.database import is_damage, open_reader, open_writer

LONG = "word " * 3000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "kept.db"
    with closing(open_writer(made)) as db:
        db.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, rank INTEGER NOT NULL) STRICT")
        db.execute("CREATE TABLE spare (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
        for number in range(200):
            db.execute("INSERT INTO note VALUES (?, ?, 5)", (number, LONG if number % 50 == 0 else f"{number} " * 20))
        db.execute("INSERT INTO spare VALUES (1, ?)", (LONG,))
        db.execute("DELETE FROM spare")
    return made


def pages(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    return (content[at : at + PAGE] for at in range(0, len(content), PAGE))


def write(path: Path, number: int, page: bytes) -> None:
    with path.open("r+b") as file:
        file.seek((number - 1) * PAGE)
        file.write(page)


def read(path: Path) -> list[tuple[object, ...]]:
    with closing(open_reader(path)) as db:
        return list(db.execute("SELECT * FROM note WHERE rank = 5 ORDER BY id"))


def answer(path: Path) -> list[tuple[object, ...]] | None:
    """What is read, or None where damage is met."""
    try:
        return read(path)
    except apsw.Error as fault:
        if not is_damage(fault):
            raise
        return None


def test_every_page_of_a_new_database_has_a_checksum(path: Path) -> None:
    assert checksums.reserve(path) == RESERVED
    assert all(is_sound(page) for page in pages(path))


def test_a_flipped_bit_is_damage_and_never_a_row(path: Path) -> None:
    right, random = read(path), Random(1)
    content = path.read_bytes()
    for _ in range(60):
        at = random.randrange(PAGE, len(content))
        damaged = bytearray(content)
        damaged[at] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        assert answer(path) in (None, right)


def test_a_page_of_zeros_is_damage_wherever_it_is_read(path: Path) -> None:
    right, refused = read(path), 0
    for number, page in enumerate(list(pages(path)), 1):
        if number == 1:
            continue
        write(path, number, bytes(PAGE))
        found = answer(path)
        assert found in (None, right), number
        refused += found is None
        write(path, number, page)
    assert refused > 10


def test_a_free_page_is_full_of_zeros_and_no_damage(path: Path) -> None:
    with closing(open_reader(path)) as db, closing(apsw.Connection(":memory:")) as copied:
        assert db.pragma("freelist_count") > 0
        with copied.backup("main", db, "main") as steps:
            steps.step()
        assert db.pragma("integrity_check") == "ok"


def test_the_writer_refuses_a_text_that_a_page_of_zeros_has_become_part_of(path: Path) -> None:
    with closing(open_reader(path)) as db:
        ((number,),) = db.execute("SELECT max(pageno) FROM dbstat WHERE name = 'note' AND pagetype = 'overflow'")
    write(path, int(str(number)), bytes(PAGE))
    with closing(open_writer(path)) as db, pytest.raises(apsw.CorruptError):
        db.execute("SELECT * FROM note").fetchall()


def test_a_copy_through_the_backup_api_has_checksums_too(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with (
        closing(open_reader(path)) as db,
        closing(apsw.Connection(str(target))) as copied,
        copied.backup("main", db, "main") as steps,
    ):
        steps.step()
    assert checksums.reserve(target) == RESERVED
    assert all(is_sound(page) for page in pages(target))


def test_a_vacuum_keeps_the_checksums(path: Path) -> None:
    with closing(open_writer(path)) as db:
        db.execute("VACUUM")
        db.execute("PRAGMA incremental_vacuum").fetchall()
        assert db.pragma("checksum_verification") == "1"
    assert checksums.reserve(path) == RESERVED
    assert all(is_sound(page) for page in pages(path))


def test_what_is_in_the_log_alone_is_read_and_gets_its_checksum_when_it_is_moved(path: Path) -> None:
    with closing(open_writer(path)) as db:
        db.execute("UPDATE note SET text = 'new'")
        with closing(open_reader(path)) as reader:
            assert reader.execute("SELECT DISTINCT text FROM note").fetchall() == [("new",)]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert all(is_sound(page) for page in pages(path))


def test_one_bit_of_the_header_cannot_turn_the_checking_off(path: Path) -> None:
    first, second, *_ = pages(path)
    assert header_is_sound(first, second)
    for place in range(100 * 8):
        changed = bytearray(first)
        changed[place // 8] ^= 1 << place % 8
        assert not header_is_sound(bytes(changed), second)


def test_a_database_that_was_made_without_checksums_goes_on_without(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("auto_vacuum", "INCREMENTAL")
        db.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL, rank INTEGER NOT NULL) STRICT")
        db.execute("INSERT INTO note VALUES (1, ?, 5)", ("with \0 in it",))
    with closing(open_writer(path)) as db:
        db.execute("INSERT INTO note VALUES (2, ?, 5)", (LONG,))
        assert db.execute("SELECT text FROM note WHERE id = 1").fetchall() == [("with \0 in it",)]
    assert len(read(path)) == 2
    assert checksums.reserve(path) == 0
    assert header_is_sound(*list(pages(path))[:2])


def test_the_checksum_is_that_of_cksumvfs() -> None:
    random = Random(2)
    with closing(apsw.Connection(":memory:", vfs="memdb")) as db:
        db.enable_load_extension(True)
        db.load_extension(str(Path(apsw.__file__).with_name("sqlite_extra_binaries") / "cksumvfs.so"))
        for _ in range(20):
            page = random.randbytes(PAGE - RESERVED)
            whole = page + checksum(page + bytes(RESERVED))
            assert db.execute("SELECT verify_checksum(?)", (whole,)).fetchone() == (1,)


def test_the_pointer_map_is_where_sqlite_has_it(path: Path) -> None:
    assert [map_page(number) for number in (2, 3, 819, 820, 821)] == [2, 2, 2, 820, 820]
    assert map_page(checksums.LOCK_PAGE + 2) != checksums.LOCK_PAGE
