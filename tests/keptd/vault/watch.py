"""A daemon that is watched: its home, the clients that it has, and the canaries that must be found nowhere."""

from __future__ import annotations

import base64
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kept.client import Client
from kept.wire import Call
from kept.wire.backup import ListBackups
from kept.wire.daemon import Clients, CountActivity, Hello, Ping, Status
from kept.wire.data import ExportAll, ReadArchive
from kept.wire.errors import KeptError
from kept.wire.event import ListEvents
from kept.wire.job import JobHistory
from kept.wire.maintenance import DatabaseStats
from kept.wire.vault import AuditVault, ListRequests, LockVault, StatusOfVault, UnlockVault
from tests.canaries import Aviary, Clean, found, of_home, of_process, unpacked
from tests.crash.homes import Home
from tests.crash.homes import home as home_of
from tests.harness import PATIENCE, request

SETTINGS = {
    "KEPT_VAULT_MEMORY_KIB": "19456",
    "KEPT_VAULT_PASSES": "2",
    "KEPT_VAULT_LANES": "1",
    "KEPT_LOG_LEVEL": "debug",
    "KEPT_MIRROR_ENABLED": "true",
    "KEPT_STORAGE_BALLAST_BYTES": "0",
}


class Watch:
    """A home, its clients, and what must not be found anywhere."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.aviary = Aviary()
        self.also: list[str] = []
        """Texts without a mark that are as secret."""
        self._clean: Clean = {}
        self.client = home.connect()
        self.agent = home.connect()
        self.agent.call(Hello(client="bot", kind="agent"))

    def look(self, after: str) -> None:
        """Look everywhere."""
        seen = of_home(self.folder, self.also, None if self.also else self._clean)
        # Where it has been killed there may be no other one yet.
        with suppress(FileNotFoundError, ProcessLookupError):
            seen += of_process(self.home.pid(), self.also)
        assert not seen, (after, seen)

    def done(self, call: Call[Any]) -> Any:
        """Carry it out, and look."""
        result = self.client.call(call)
        self.look(call.method)
        return result

    def refused(self, call: Call[Any], client: Client | None = None) -> None:
        """It must be refused, without repeating what was sent."""
        with pytest.raises(KeptError) as refusal:
            (client or self.client).call(call)
        said = msgspec.json.encode(refusal.value.to_wire())
        assert not found(said, self.also), said
        self.look(call.method)

    def shown(self, call: Call[Any]) -> None:
        """What it gives says nothing of a secret."""
        said = msgspec.json.encode(self.client.call(call))
        assert not found(said, self.also), (call.method, said)

    def end(self, number: signal.Signals) -> None:
        """End the daemon in that way; whatever asks next starts another."""
        self.home.end(number)
        self.look(number.name)
        self.client.call(Ping())
        self.look(f"the start after {number.name}")

    def close(self) -> None:
        self.client.close()
        self.agent.close()

    def shown_everywhere(self) -> None:
        """All that tells of what was done says nothing of it. Who waits is told by name, so nobody may wait."""
        for call in (
            ListEvents(limit=1000),
            CountActivity(),
            Status(),
            Clients(),
            JobHistory(),
            DatabaseStats(),
            ListBackups(),
            StatusOfVault(),
            ListRequests(),
        ):
            self.shown(call)

    def locked(self) -> None:
        """Lock the vault, whose audit list then has no names."""
        self.done(LockVault())
        self.shown(AuditVault(limit=1000))

    def connection(self) -> socket.socket:
        """One for lines of any kind."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(self.home.paths.socket)
        return connection

    def raw(self, *lines: bytes) -> None:
        """Send lines that are no good calls; what the daemon says to them repeats nothing."""
        said = b""
        with closing(self.connection()) as connection:
            connection.sendall(b"".join(line + b"\n" for line in (*lines, request("end", "daemon.ping"))))
            while b'"id":"end"' not in said:
                part = connection.recv(65_536)
                assert part
                said += part
        assert not found(said), said
        self.look("lines that are no good calls")

    def exported(self) -> None:
        """Everything, as one file, which the daemon has for a while as well."""
        archive = self.done(ExportAll())
        whole = b""
        while len(whole) < archive.bytes:
            whole += base64.b64decode(self.client.call(ReadArchive(id=archive.id, offset=len(whole))).data)
        assert not [form for part in unpacked(whole) for form in found(part)]

    def come_back(self, password: str) -> None:
        """Unlock the vault."""
        assert self.done(UnlockVault(password=password)).state == "unlocked"


@contextmanager
def watching(folder: Path, **settings: str) -> Iterator[Watch]:
    """A home to be watched, whose daemon is killed in the end."""
    with home_of(folder, **SETTINGS, **settings) as made:
        watched = Watch(made, folder)
        with closing(watched):
            yield watched
