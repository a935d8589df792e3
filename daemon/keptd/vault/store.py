"""The vault's SQL, but for the audit list's: its one row, its entries and whose rights are withheld, wrong passwords,
receipts. It sees nothing but
what is sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import apsw

from .keys import KdfParameters

_HEADER = (
    "id, created_at, salt, memory_kib, passes, lanes, wrapped, key_version, recovery_salt, recovery, counter, head"
)
_PARTS = "id, name_hash, revision, key_version, about, value_mark, value"
_FOUND = (
    "SELECT v.head, e.id, e.name_hash, e.revision, e.key_version, e.about, e.value_mark, e.value "
    "FROM vault AS v LEFT JOIN vault_entry AS e ON e.id = ?"
)
_OUTLINES = (
    "SELECT CAST(id AS BLOB), name_hash, revision, key_version, about, value_mark, length(value) "
    "FROM vault_entry ORDER BY seq"
)
_WHOLE = f"SELECT CAST(id AS BLOB), {_PARTS[len('id, ') :]} FROM vault_entry ORDER BY seq"
_INSERT = f"INSERT INTO vault_entry ({_PARTS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE vault_entry SET name_hash = ?, revision = ?, key_version = ?, about = ?, value_mark = ?, value = ? "
    "WHERE id = ?"
)

_MOST_FAILURES = 1_000_000


class Header(NamedTuple):
    """The row of `vault`."""

    id: str
    created_at: int
    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    wrapped: bytes
    key_version: int
    recovery_salt: bytes | None
    recovery: bytes | None
    counter: int
    head: bytes

    @property
    def kdf(self) -> KdfParameters:
        """How the password becomes a key."""
        return KdfParameters(self.memory_kib, self.passes, self.lanes)


class Outline(NamedTuple):
    """An entry without its sealed value, and how many bytes that has."""

    id: str
    name_hash: bytes
    revision: int
    key_version: int
    about: bytes
    value_mark: bytes
    value_bytes: int


class EntryRow(NamedTuple):
    """An entry as it lies in the table."""

    id: str
    name_hash: bytes
    revision: int
    key_version: int
    about: bytes
    value_mark: bytes
    value: bytes

    @property
    def outline(self) -> Outline:
        """The same without the value."""
        return Outline(*self[:-1], len(self.value))


class Failures(NamedTuple):
    """Wrong passwords since the last right one, and when the last of them came, in microseconds since 1970."""

    number: int
    at: int


class Receipt(NamedTuple):
    """What a change with an idempotency key was, and what it was about."""

    request: bytes
    key_version: int
    entry_id: str


def header(db: apsw.Connection) -> Header | None:
    """The vault, where there is one."""
    rows = db.execute(f"SELECT CAST(id AS BLOB), {_HEADER[len('id, ') :]} FROM vault")
    return next((Header(_text(row[0]), *row[1:]) for row in rows), None)


def head(db: apsw.Connection) -> bytes | None:
    """The vault's head alone."""
    row = db.execute("SELECT head FROM vault").fetchone()
    return bytes(row[0]) if row else None


def put_header(db: apsw.Connection, header: Header) -> None:
    """Make the vault's row this one, and the spare one."""
    marks = ", ".join("?" * len(header))
    for table in ("vault", "vault_spare"):
        db.execute(f"INSERT OR REPLACE INTO {table} (only, {_HEADER}) VALUES (1, {marks})", tuple(header))


def derive(db: apsw.Connection) -> None:
    """After a recovery: of the vault's row and the spare one, the newer in the place of the other; of lost entries
    nothing."""
    for table, other in (("vault", "vault_spare"), ("vault_spare", "vault")):
        db.execute(
            f"INSERT OR REPLACE INTO {table} SELECT * FROM {other} "
            f"WHERE counter > ifnull((SELECT counter FROM {table}), -1)"
        )
    prune_withheld(db)


def count(db: apsw.Connection) -> int:
    """How many entries there are."""
    return int(db.execute("SELECT count(*) FROM vault_entry").get)


def ids(db: apsw.Connection) -> set[str]:
    """Those of all entries."""
    return {_text(one) for (one,) in db.execute("SELECT CAST(id AS BLOB) FROM vault_entry")}


def found(db: apsw.Connection, entry_id: str) -> tuple[bytes | None, EntryRow | None]:
    """The vault's head and one entry, in one look."""
    row = db.execute(_FOUND, (entry_id,)).fetchone()
    if row is None:
        return None, None
    return bytes(row[0]), EntryRow._make(row[1:]) if row[1] is not None else None


def outlines(db: apsw.Connection) -> Iterator[Outline]:
    """All entries, without reading their values."""
    return (Outline(_text(row[0]), *row[1:]) for row in db.execute(_OUTLINES))


def whole(db: apsw.Connection) -> Iterator[EntryRow]:
    """All entries."""
    return (EntryRow(_text(row[0]), *row[1:]) for row in db.execute(_WHOLE))


def insert(db: apsw.Connection, row: EntryRow) -> None:
    """Add an entry."""
    db.execute(_INSERT, tuple(row))


def update(db: apsw.Connection, rows: Iterable[EntryRow]) -> None:
    """Replace entries that are there."""
    db.executemany(_UPDATE, ((*row[1:], row.id) for row in rows))


def delete(db: apsw.Connection, ids: Iterable[str]) -> None:
    """Take entries out; the database writes zeros over them."""
    db.executemany("DELETE FROM vault_entry WHERE id = ?", ((one,) for one in ids))


def keep_only(db: apsw.Connection, ids: Container[str]) -> None:
    """Take out all but these, also where an id is no text any more."""
    rows: list[Any] = db.execute("SELECT seq, CAST(id AS BLOB) FROM vault_entry").fetchall()
    db.executemany("DELETE FROM vault_entry WHERE seq = ?", ((seq,) for seq, one in rows if _text(one) not in ids))


def failures(db: apsw.Connection, of_agents: bool) -> Failures:
    """How often a wrong password came, from agents or from all others."""
    rows = db.execute("SELECT failures, failed_at FROM vault_guard WHERE of_agents = ?", (of_agents,))
    return next(map(Failures._make, rows), Failures(0, 0))


def count_failures(db: apsw.Connection, of_agents: bool, more: int, now: int) -> None:
    """So many more, up to `_MOST_FAILURES`: no wait depends on more."""
    db.execute(
        "INSERT INTO vault_guard (of_agents, failures, failed_at) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (of_agents) DO UPDATE SET failures = min(max(failures, 0) + ?2, ?4), failed_at = ?3",
        (of_agents, more, now, _MOST_FAILURES),
    )


def forgive(db: apsw.Connection, of_agents: bool) -> None:
    """The right one came, from an agent or from somebody else: that takes nothing from the other's count."""
    db.execute("DELETE FROM vault_guard WHERE of_agents = ?", (of_agents,))


def forgive_all(db: apsw.Connection) -> None:
    """There is another vault."""
    db.execute("DELETE FROM vault_guard")


def withheld(db: apsw.Connection) -> set[str]:
    """The ids of the entries whose rights for agents don't count."""
    return {_text(one) for (one,) in db.execute("SELECT CAST(entry_id AS BLOB) FROM vault_withheld")}


def withhold(db: apsw.Connection, ids: Iterable[str]) -> None:
    """These as well."""
    db.executemany("INSERT OR IGNORE INTO vault_withheld (entry_id) VALUES (?)", ((one,) for one in ids))


def withhold_no_longer(db: apsw.Connection, entry_id: str) -> None:
    """The entry is sealed anew with the rights that count, or is gone."""
    db.execute("DELETE FROM vault_withheld WHERE entry_id = ?", (entry_id,))


def prune_withheld(db: apsw.Connection) -> None:
    """Entries are gone that nobody asked to delete."""
    db.execute("DELETE FROM vault_withheld WHERE entry_id NOT IN (SELECT id FROM vault_entry)")


def receipt(db: apsw.Connection, key: str) -> Receipt | None:
    """What was done with this idempotency key."""
    rows = db.execute("SELECT request, key_version, entry_id FROM vault_receipt WHERE key = ?", (_hashed(key),))
    return next(map(Receipt._make, rows), None)


def keep_receipt(db: apsw.Connection, key: str, kept: Receipt, now: int) -> None:
    """Remember what was done with a key."""
    db.execute(
        "INSERT INTO vault_receipt (key, request, key_version, entry_id, at) VALUES (?, ?, ?, ?, ?)",
        (_hashed(key), *kept, now),
    )


def sweep_receipts(db: apsw.Connection, before: int, limit: int) -> int:
    """Forget up to `limit` receipts from before a time; how many."""
    db.execute(
        "DELETE FROM vault_receipt WHERE rowid IN (SELECT rowid FROM vault_receipt WHERE at < ? LIMIT ?)",
        (before, limit),
    )
    return db.changes()


def _text(stored: bytes) -> str:
    """An id, also where what is stored is not UTF-8: then as one that no entry has, which opens nothing."""
    return stored.decode("utf-8", "backslashreplace")


def _hashed(key: str) -> str:
    """As the store's receipts do it: a caller may take anything for a key."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
