"""A vault that an earlier schema kept."""

from __future__ import annotations

import apsw

from keptd.store.migrations import migrate
from keptd.vault import store
from keptd.vault.schema import MIGRATIONS


def test_wrong_passwords_of_before_they_were_counted_apart_go_on_as_peoples() -> None:
    db = apsw.Connection(":memory:")
    migrate(db, [("vault", MIGRATIONS[:1])], 1)
    assert MIGRATIONS[0].digest == "498014ac36b0443e", "a migration that was applied somewhere is never edited"
    db.execute("INSERT INTO vault_guard (only, failures, failed_at) VALUES (1, 5, 7)")

    assert migrate(db, [("vault", MIGRATIONS)], 2) == ["vault/002_agents"]

    assert store.failures(db, False) == (5, 7)
    assert store.failures(db, True) == (0, 0)
    assert store.withheld(db) == set()
