"""Damage that no request of a client meets, but a backup, a check or an export: it ends the daemon as any other, is
recovered by the next start, and is never in a backup that counts as good."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio
import apsw
import msgspec
import pytest

from keptd.recovery import DAMAGED, Marker
from keptd.store.migrations import migrate
from tests.damage import SETS, Kind, Sample, harm
from tests.harness import PATIENCE, Process, request, running
from tests.places import HOMES

PLACES: tuple[tuple[str, Kind], ...] = (
    ("table: leaf, memory", "bit"),
    ("table: overflow", "zeros"),
    ("index: leaf", "bit"),
    ("text index: leaf", "zeros"),
)
CASES = [
    (name, kind, call)
    for name, kind in PLACES
    for call in ("backup.create", "maintenance.check", "data.export_all")
    if call != "data.export_all" or "index" not in name  # An export reads no index.
]


def ask(connection: socket.socket, method: str, **params: Any) -> dict[str, Any]:
    """The reply, past the messages on its progress."""
    connection.sendall(request(1, method, **params) + b"\n")
    received = b""
    while True:
        while b"\n" not in received:
            received += connection.recv(65536)
        line, _, received = received.partition(b"\n")
        reply: dict[str, Any] = msgspec.json.decode(line)
        if "id" in reply:
            return reply


class Protected(NamedTuple):
    """A home with a good backup, for copies."""

    folder: Path
    backup: str

    def at(self, home: Path) -> str:
        """Copy it; the backup's id."""
        shutil.copytree(self.folder, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run"))
        return self.backup


@pytest.fixture(scope="module")
def protected(sample: Sample) -> Iterator[Protected]:
    with tempfile.TemporaryDirectory(prefix="kept-", dir=HOMES) as folder:
        shutil.copytree(sample.clean, folder, dirs_exist_ok=True)
        with Process(Path(folder)) as process, process.connect() as connection:
            made = ask(connection, "backup.create")["result"]
            process.popen.send_signal(signal.SIGTERM)
            assert process.popen.wait(PATIENCE) == 0
        yield Protected(Path(folder), made["id"])


@pytest.mark.parametrize(("name", "kind", "call"), CASES)
def test_damage_ends_the_daemon_and_the_next_start_recovers(
    sample: Sample, protected: Protected, home: Path, name: str, kind: Kind, call: str
) -> None:
    good = protected.at(home)
    places = [region for region in sample.regions() if region.name.startswith(name)]
    harm(home, places[len(places) // 2], kind, Random(name))
    with Process(home) as process, process.connect() as connection:
        reply = ask(connection, call)
        if call == "maintenance.check":
            found = {one["what"]: one for one in reply["result"]["findings"]}
            assert found["structure"]["verdict"] == "problem"
            assert "its next start puts the database together again" in found["structure"]["next_step"]
        else:
            assert reply["error"]["data"]["type"] == "storage_failed"
        assert process.popen.wait(PATIENCE) == DAMAGED
    assert Marker(home).ending() == "damaged"
    anyio.run(_recovers, home, good)


async def _recovers(home: Path, good: str) -> None:
    async with running(home) as daemon:
        daemon.expected |= {"recovering", "recovered"}
        peer = await daemon.connect()
        storage = (await peer.result("daemon.status"))["storage"]
        assert (storage["ending"], storage["is_checked"]) == ("damaged", True)
        assert storage["recovered"] == "Nothing was lost."
        (event,) = (await peer.result("event.list", topics=["database"]))["items"]
        assert event["method"] == "recovery"
        backups = (await peer.result("backup.list"))["items"]
        assert [(one["id"], one["problem"]) for one in backups] == [(good, None)]
        assert (await peer.result("backup.create"))["verified_at"]


def test_damage_that_the_backup_job_meets_thins_nothing_out(sample: Sample, protected: Protected, home: Path) -> None:
    good = protected.at(home)
    places = [region for region in sample.regions() if region.name.startswith("table: leaf, memory")]
    harm(home, places[len(places) // 2], "bit", Random(1))
    with Process(home) as process, process.connect() as connection:
        run = ask(connection, "job.run", name="backup.create")["result"]
        assert run["result"] in ("failed", "interrupted")
        assert process.popen.wait(PATIENCE) == DAMAGED
    with Process(home) as process, process.connect() as connection:
        component = ask(connection, "component.get", name="keptd.backups")["result"]
        assert (component["status"], component["metadata"]["newest_verified"]) == ("down", good)
        assert "damaged" in component["metadata"]["problem"]


def without_checksums(home: Path) -> None:
    """A database that nothing guards but its structure, which an index has lost a row of."""
    with closing(apsw.Connection(str(home / "kept.db"), vfs="unix")) as db:
        db.pragma("auto_vacuum", "INCREMENTAL")
        migrate(db, SETS, 1)
        for number in range(200):
            db.execute(
                "INSERT INTO error (id, error, context, created_at, latest_at, updated_at, actor) "
                "VALUES (?, 'e', 'null', 1, 1, 1, 'a')",
                (f"id-{number}",),
            )
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'error_by_time'")
    content = bytearray((home / "kept.db").read_bytes())
    content[(root - 1) * 4096 : root * 4096] = bytes(4096)
    (home / "kept.db").write_bytes(content)


@pytest.mark.parametrize("call", ["backup.create", "maintenance.check"])
def test_damage_to_the_structure_is_met_where_pages_have_no_checksums(home: Path, call: str) -> None:
    without_checksums(home)
    with Process(home) as process, process.connect() as connection:
        reply = ask(connection, call)
        assert "error" in reply if call == "backup.create" else reply["result"]["verdict"] == "problem"
        assert process.popen.wait(PATIENCE) == DAMAGED
    with Process(home) as process, process.connect() as connection:
        assert ask(connection, "daemon.status")["result"]["storage"]["recovered"] == "Nothing was lost."
        assert [one["verified_at"] for one in ask(connection, "backup.list")["result"]["items"]] in ([], [None])
        assert len(ask(connection, "error.list", limit=1000)["result"]["items"]) == 200


def test_a_migration_that_meets_damage_is_not_made_and_the_next_start_recovers(sample: Sample, home: Path) -> None:
    """The backup before it reads every page; without the recovery, each start would refuse anew."""
    shutil.copytree(sample.clean, home, dirs_exist_ok=True)
    with closing(apsw.Connection(str(home / "kept.db"))) as db:
        db.execute("DELETE FROM migration WHERE name = 'jobs/001_job'")
        db.execute("DROP TABLE job")
        db.execute("DROP TABLE job_run")
    places = [region for region in sample.regions() if region.name.startswith("table: leaf, memory")]
    harm(home, places[len(places) // 2], "bit", Random(1))
    process = Process(home)
    code, said = process.another()
    assert code == DAMAGED, said
    assert Marker(home).ending() == "damaged"
    with process, process.connect() as connection:
        assert "recovered" in ask(connection, "daemon.status")["result"]["storage"]
        assert "result" in ask(connection, "job.list")
