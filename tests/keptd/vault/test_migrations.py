"""A vault that an earlier schema kept."""

from __future__ import annotations

import apsw

from keptd.store.migrations import migrate
from keptd.vault import cipher, entries, store
from keptd.vault.entries import About
from keptd.vault.keys import DataKey
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


def test_what_was_sealed_before_an_agent_could_be_lent_it_still_opens() -> None:
    key = DataKey("vault", 1)
    row = entries.seal(key, "entry", 1, About("n", "c", (), {}, True, 2, 3), b"1")
    plain = b'{"name":"n","category":"c","tags":[],"metadata":{},"agent_readable":true,"created_at":2,"updated_at":3}'
    sealed = cipher.seal(key.entries, cipher.pad(plain), cipher.aad("vault", "entry", "about", 1, 1))
    assert entries.open_about(key, row._replace(about=sealed)) == About("n", "c", (), {}, True, 2, 3, False)
