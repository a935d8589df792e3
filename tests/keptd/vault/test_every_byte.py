"""Each byte that is stored of the vault, changed: what comes of it is refused, or shows what was there.

The pages' checksums are made right each time, so that nothing but the vault's own checks can refuse. The suite changes
one bit of each byte, `make vault-proof` every one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import anyio
import apsw
import pytest

from kept.wire.errors import Denied
from kept.wire.vault import UnlockVault
from keptd.vault import rights
from keptd.vault.entries import About

from .strongbox import State, beside, cheap, furnish, look, strongbox

ALL = os.environ.get("KEPT_VAULT") == "all"

TABLES = ("vault", "vault_spare", "vault_entry", "vault_guard", "vault_receipt", "vault_withheld", "vault_audit")


class Cell(NamedTuple):
    table: str
    column: str
    rowid: int
    stored: object

    def changed(self) -> Iterator[object]:
        """What it could be instead, a byte at a time."""
        match self.stored:
            case int(number):
                whole = number.to_bytes(8, "big", signed=True)
                for other in _flipped(whole):
                    yield int.from_bytes(other, "big", signed=True)
            case str(text):
                # The text of SQLite may hold any bytes, and so may what somebody makes of it.
                yield from _flipped(text.encode())
            case bytes(blob):
                yield from _flipped(blob)
                yield from (blob[:-1], blob + b"\0", b"")

    def put(self, db: apsw.Connection, other: object) -> None:
        value = "CAST(? AS TEXT)" if isinstance(self.stored, str) else "?"
        db.execute(f"UPDATE {self.table} SET {self.column} = {value} WHERE rowid = ?", (other, self.rowid))


def _flipped(whole: bytes) -> Iterator[bytes]:
    for at in range(len(whole)):
        for bit in range(8) if ALL else {at % 8, 7} if at < 8 else {at % 8}:
            yield whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]


def cells(db: apsw.Connection, table: str) -> list[Cell]:
    columns = [str(name) for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
    return [
        Cell(table, column, cast("int", rowid), stored)
        for rowid, *values in db.execute(f"SELECT rowid, {', '.join(columns)} FROM {table}").fetchall()
        for column, stored in zip(columns, values, strict=True)
        if stored is not None
    ]


def outcomes(db: apsw.Connection, table: str) -> Counter[str]:
    """What becomes of each change of a table: how often which."""
    before = look(db)
    assert before is not None
    truth, is_sound = before
    assert is_sound
    seen: Counter[str] = Counter()
    db.execute("BEGIN IMMEDIATE")
    for cell in cells(db, table):
        for other in cell.changed():
            db.execute("SAVEPOINT change")
            try:
                cell.put(db, other)
                seen[_judged(db, truth)] += 1
            except apsw.ConstraintError:
                seen["refused by the table"] += 1
            finally:
                db.execute("ROLLBACK TO change")
    db.execute("ROLLBACK")
    return seen


def _judged(db: apsw.Connection, truth: State) -> str:
    found = look(db)
    if found is None:
        return "refused"
    shown, is_sound = found
    if any(one not in truth or not _fits(entry, truth[one]) for one, entry in shown.items()):
        return "wrong"
    if is_sound:
        return "harmless" if shown.keys() == truth.keys() else "wrong"
    return "refused"


def _fits(shown: tuple[About, bytes], true: tuple[About, bytes]) -> bool:
    """Whether it is what was stored, for agents or, where their rights are withheld, for people only."""
    about, value = true
    return shown in (true, (rights.counting(about, is_withheld=True), value))


async def _made(folder: Path) -> None:
    async with strongbox(folder) as box:
        await furnish(box)
        with pytest.raises(Denied):
            await box(UnlockVault(password="wrong"))
    with beside(folder) as db:
        db.execute("INSERT INTO vault_withheld SELECT id FROM vault_entry LIMIT 2")


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_byte_is_refused_or_shows_what_was_there(tmp_path: Path, table: str) -> None:
    with cheap():
        anyio.run(_made, tmp_path)
        with beside(tmp_path) as db:
            seen = outcomes(db, table)
    assert not seen["wrong"], seen
    if table == "vault":
        assert seen["refused"]
        assert not seen["harmless"]
    if table == "vault_withheld":
        assert seen.keys() == {"harmless"}
    if table in ("vault_spare", "vault_guard", "vault_receipt", "vault_audit"):
        assert seen["harmless"]
    if table in ("vault_spare", "vault_guard", "vault_receipt"):
        assert not seen["refused"]
