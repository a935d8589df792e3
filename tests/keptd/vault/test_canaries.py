"""Planted secrets, names, categories, tags, metadata and passwords: nowhere to be found but in the replies that give
them, whatever is done, and however the daemon ends.

The suite plants a few dozen, `make vault-proof` a thousand.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kept.paths import find
from kept.wire.backup import CreateBackup, RestoreBackup, VerifyBackup
from kept.wire.daemon import Hello, Reload
from kept.wire.event import Subscribe
from kept.wire.job import RunJob
from kept.wire.maintenance import CheckDatabase, OptimizeDatabase
from kept.wire.memory import SetMemory
from kept.wire.vault import (
    AuditVault,
    ChangePassword,
    Confirm,
    DeleteSecret,
    ExportKey,
    InitVault,
    ListRequests,
    ListSecrets,
    LockVault,
    RecoverVault,
    RetrieveSecret,
    RotateKey,
    SearchSecrets,
    StoreSecret,
    UpdateSecret,
)
from keptd.log import FILE_BYTES
from keptd.vault import recovery_code
from tests.canaries import found
from tests.harness import request

from .watch import Watch, watching

ALL = os.environ.get("KEPT_VAULT") == "all"
BIRDS = 1000 if ALL else 24
LOOK_EVERY = 50 if ALL else 4


@pytest.fixture
def watch(home: Path) -> Iterator[Watch]:
    log = Path(find({"KEPT_HOME": str(home)}).log)
    log.parent.mkdir(parents=True, exist_ok=True)
    # It is about to be set aside.
    log.write_bytes((b"x" * 99 + b"\n") * (FILE_BYTES // 100 - 20))
    with watching(home) as watched:
        yield watched
    assert log.with_name(f"{log.name}.1").exists(), (log.stat().st_size, FILE_BYTES)


def _entry(watch: Watch, number: int) -> StoreSecret:
    bird = watch.aviary.bird
    values: tuple[Any, ...] = (bird("value"), {bird("member"): [bird("item"), number]}, [bird("line") * 40])
    return StoreSecret(
        name=bird("name"),
        value=values[number % 3],
        category=bird("category"),
        tags=(bird("tag"), bird("tag")),
        metadata={bird("key"): bird("metadata")},
        agent_readable=number % 2 == 0,
        idempotency_key=bird("idempotency"),
    )


def _store_and_change(watch: Watch, calls: list[StoreSecret]) -> None:
    bird = watch.aviary.bird
    for number, call in enumerate(calls):
        watch.client.call(call)
        if number % LOOK_EVERY == 0:
            watch.look(f"entry {number}")
    watch.done(calls[0])
    watch.refused(StoreSecret(name=calls[0].name, value=bird("value")))
    watch.refused(StoreSecret(name=bird("name"), value=1, idempotency_key=calls[0].idempotency_key))
    watch.done(UpdateSecret(id=calls[1].name, value=bird("value")))
    watch.done(UpdateSecret(id=calls[2].name, name=bird("name")))
    watch.refused(UpdateSecret(id=calls[3].name, name=calls[0].name))
    watch.refused(UpdateSecret(id=calls[4].name, value=1, if_version=99))
    watch.done(DeleteSecret(id=calls[5].name))


def _read(watch: Watch, calls: list[StoreSecret]) -> None:
    bird = watch.aviary.bird
    watch.done(ListSecrets(limit=1000))
    watch.done(ListSecrets(category=calls[0].category, prefix=calls[0].name, tag=calls[0].tags[0]))
    assert watch.done(SearchSecrets(query=calls[0].name)).items
    watch.done(SearchSecrets(query=bird("query")))
    watch.done(RetrieveSecret(id=calls[0].name))
    watch.refused(RetrieveSecret(id=bird("name")))
    watch.done(AuditVault(id=calls[0].name))
    watch.refused(AuditVault(id=bird("name")))
    watch.refused(RetrieveSecret(id=calls[7].name), watch.agent)
    _ask(watch, calls[7].name)
    watch.refused(DeleteSecret(id=calls[0].name), watch.agent)


def _ask(watch: Watch, name: str) -> None:
    """An agent asks for a secret and waits, and a person says no."""
    with closing(watch.connection()) as agent:
        hello = request(1, Hello.method, client="bot", kind="agent")
        agent.sendall(hello + b"\n" + request(2, RetrieveSecret.method, id=name, wait_seconds=600) + b"\n")
        while not (waiting := watch.client.call(ListRequests()).items):
            pass
        watch.look("vault.asked")
        watch.done(Confirm(id=waiting[0].id, answer="deny"))
        said = b""
        while said.count(b"\n") < 3:
            said += agent.recv(65_536)
    assert not found(said), said


def _say_nonsense(watch: Watch) -> None:
    """Lines that are no good calls; one of their passwords counts as tried."""
    bird = watch.aviary.bird
    watch.raw(
        request(1, "vault.store", name=bird("name"), value=bird("value"), tags=bird("tag")),
        request(2, "vault.store", name=7, value=bird("value")),
        request(3, "vault.store", name=bird("name"), valeu=bird("value")),
        request(4, "vault.store", name=bird("name") * 50, value=bird("value")),
        request(5, "vault.store", name=bird("name"), value=bird("value"), metadata=[bird("metadata")]),
        request(6, "vault.unlock", password=[bird("password")]),
        request(7, "vault.recover", code=bird("code"), new_password=bird("password")),
        request(8, "vault.recover", code=" ".join([bird("code")] * 24), new_password="short"),
        request(9, "vault.confirm", id="x", answer=bird("answer")),
        request(10, "vault.storf", name=bird("name"), value=bird("value")),
        request(11, "vault.store", name=bird("name"), value=bird("value"))[:-9],
        b'{"jsonrpc":"2.0","method":"vault.unlock","params":{"password":"%b"}}' % bird("password").encode(),
        b"[" + request(12, "vault.unlock", password=bird("password")) + b"]",
    )


def _change_keys(watch: Watch, password: str) -> None:
    """In the end the password is the same."""
    other = watch.aviary.bird("password")
    code = watch.client.call(ExportKey(password=password)).code
    watch.also += _texts_of(code)
    watch.look("vault.export_key")
    watch.done(ChangePassword(password=password, new_password=other))
    watch.done(LockVault())
    watch.done(RecoverVault(code=code, new_password=password))
    watch.done(RotateKey(password=password))
    watch.also.clear()


def _keep_house(watch: Watch, password: str) -> None:
    """Backups, an export, a restoration, what jobs do."""
    backup = watch.done(CreateBackup(label="before"))
    watch.done(VerifyBackup(id=backup.id))
    watch.done(StoreSecret(name=watch.aviary.bird("name"), value=watch.aviary.bird("value")))
    watch.done(CheckDatabase())
    watch.done(OptimizeDatabase())
    for job in ("vault.tidy", "vault.auto_lock"):
        watch.done(RunJob(name=job))
    watch.done(SetMemory(key="so that the mirror is written", value=1))
    watch.done(Reload())
    watch.exported()
    watch.done(RestoreBackup(id=backup.id))
    watch.come_back(password)


def test_no_secret_is_found_anywhere_after_whatever_is_done(watch: Watch) -> None:
    password = watch.aviary.bird("password")
    follower = watch.connection()
    follower.sendall(request("follow", Subscribe.method) + b"\n")

    watch.done(InitVault(password=password))
    watch.refused(InitVault(password=watch.aviary.bird("password")))
    calls = [_entry(watch, number) for number in range(BIRDS)]
    _store_and_change(watch, calls)
    _read(watch, calls)
    _say_nonsense(watch)
    watch.shown_everywhere()
    watch.locked()
    watch.refused(RetrieveSecret(id=calls[0].name))
    watch.end(signal.SIGKILL)
    watch.come_back(password)
    _change_keys(watch, password)
    _keep_house(watch, password)
    watch.end(signal.SIGABRT)
    watch.come_back(password)
    assert len(watch.client.call(ListSecrets(limit=1000)).items) == BIRDS - 1
    assert watch.client.call(RetrieveSecret(id=calls[0].name)).value == calls[0].value
    watch.shown_everywhere()
    watch.locked()
    with closing(follower):
        told = b""
        while part := follower.recv(65_536):
            told += part
    assert b"vault.stored" in told
    assert not found(told)
    assert not list(Path.cwd().glob("core*"))
    watch.end(signal.SIGTERM)


def _texts_of(code: str) -> list[str]:
    """The recovery code, parts of it that stand in no other text, and what it says."""
    words = code.split()
    return [code, *(" ".join(words[at : at + 3]) for at in range(0, 24, 6)), recovery_code.read(code).hex()]
