"""Planted secrets that come or go another way, and are found nowhere either: out of another vault's files, to agents,
in requests that are refused. Nor does the command line show them of the daemon."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kept.wire.daemon import Hello, RunCommand
from kept.wire.event import Subscribe
from kept.wire.vault import (
    Confirm,
    DeleteSecret,
    InitVault,
    ListRequests,
    ListSecrets,
    RetrieveSecret,
    RotateKey,
    SearchSecrets,
    StoreSecret,
    UpdateSecret,
)
from kept.wire.vault_import import INDEX, ImportVault, VaultFile
from tests.canaries import found
from tests.harness import PATIENCE, request

from .test_file_vault import FIXED_SALT, as_javascript, as_python, key_of
from .watch import Watch, watching

MESSAGE_BYTES = 128 * 1024

SHOWN = (
    ("top", "--once"),
    ("top", "--once", "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("status",),
    ("daemon", "status"),
    ("event", "list"),
    ("event", "list", "--json"),
    ("job", "history", "--json"),
    ("maintenance", "stats"),
    ("maintenance", "check"),
)
"""Commands that show of the daemon what there is to see."""


def test_no_secret_is_found_anywhere_whichever_way_it_came(home: Path) -> None:
    with watching(home, KEPT_LIMITS_MESSAGE_BYTES=str(MESSAGE_BYTES)) as watch, closing(watch.connection()) as follower:
        follower.sendall(request("follow", Subscribe.method) + b"\n")
        password = watch.aviary.bird("password")
        watch.done(InitVault(password=password))
        with _late(watch):
            _import(watch)
            _lend(watch)
            _answer(watch)
            _go_away(watch)
            _refuse(watch)
            _say_what_can_not_be_read(watch)
        _type(watch)
        watch.done(RotateKey(password=password))
        watch.shown_everywhere()
        watch.exported()
        _show(watch)
        _lock(watch)
        watch.home.end(signal.SIGTERM)
        watch.look("the end")
        told = b""
        while part := follower.recv(65_536):
            told += part
        assert b"vault.imported" in told
        assert b"vault.asked" in told
        assert not found(told)


def _sealed(watch: Watch, password: str) -> tuple[VaultFile, ...]:
    """The files of another vault: three entries, one that is none, and one that another password sealed."""
    bird = watch.aviary.bird
    key = key_of(FIXED_SALT, password)
    entries = [
        {"key": bird("name"), "value": {bird("member"): bird("value")}, "metadata": {"tags": [bird("tag")]}},
        {"key": f"{bird('name')}\u200b", "value": bird("value"), "metadata": {"category": bird("category")}},
        {"key": bird("name"), "value": bird("value"), "metadata": {bird("key"): bird("metadata")}},
    ]
    listed = {str(entry["key"]): {"file": f"{bird('path')}/{entry['key']}"} for entry in entries}
    files = {INDEX: as_javascript(key, json.dumps({"entries": listed}).encode())}
    for number, entry in enumerate(entries):
        seal = as_python if number else as_javascript
        files[f"{bird('file')}.vault"] = seal(key, json.dumps(entry).encode())
    files[f"{bird('file')}.vault"] = as_javascript(key, json.dumps([bird("value")]).encode())
    files[f"{bird('file')}.vault"] = as_javascript(key_of(FIXED_SALT, bird("password")), b"{}")
    return tuple(VaultFile(name=name, data=base64.b64encode(data).decode()) for name, data in files.items())


def _import(watch: Watch) -> None:
    password = watch.aviary.bird("password")
    files = _sealed(watch, password)
    assert watch.done(ImportVault(password=password, files=files)).stored == 3
    assert watch.done(ImportVault(password=password, files=files, on_conflict="rename")).stored == 0
    watch.refused(ImportVault(password=watch.aviary.bird("password"), files=files))
    watch.refused(ImportVault(password=password, files=(*files, files[0])))
    watch.refused(ImportVault(password=password, files=(VaultFile(name="a.vault", data=watch.aviary.bird("data")),)))
    watch.refused(ImportVault(password=password, files=(VaultFile(name=watch.aviary.bird("file"), data=""),)))


def _kept(watch: Watch, **more: Any) -> StoreSecret:
    """A secret that was stored."""
    call = StoreSecret(name=watch.aviary.bird("name"), value=watch.aviary.bird("value"), **more)
    watch.done(call)
    return call


def _lend(watch: Watch) -> None:
    usable, other = _kept(watch, agent_usable=True), _kept(watch)
    lent = watch.agent.call(RetrieveSecret(id=usable.name, purpose="lend"))
    assert lent.value == usable.value
    watch.look("lent")
    watch.refused(RetrieveSecret(id=usable.name), watch.agent)
    watch.refused(RetrieveSecret(id=other.name, purpose="lend"), watch.agent)
    watch.refused(UpdateSecret(id=usable.name, agent_readable=True), watch.agent)
    watch.refused(DeleteSecret(id=usable.name), watch.agent)


@contextmanager
def _asking(watch: Watch, secret: StoreSecret, seconds: int = 600) -> Iterator[tuple[socket.socket, Confirm]]:
    """An agent that waits for a secret, and the answer that would let it have it."""
    before = {waiting.id for waiting in watch.client.call(ListRequests()).items}
    with closing(watch.connection()) as agent:
        call = request(2, RetrieveSecret.method, id=secret.name, wait_seconds=seconds)
        agent.sendall(request(1, Hello.method, client="bot", kind="agent") + b"\n" + call + b"\n")
        while not (new := {one.id for one in watch.client.call(ListRequests()).items} - before):
            pass
        watch.look("vault.asked")
        (one,) = new
        yield (
            agent,
            Confirm(id=next(w.id for w in watch.client.call(ListRequests()).items if w.id == one), answer="allow"),
        )


def _lines(connection: socket.socket, number: int) -> list[bytes]:
    said = b""
    while said.count(b"\n") < number:
        part = connection.recv(65_536)
        assert part
        said += part
    return said.splitlines()


@contextmanager
def _late(watch: Watch) -> Iterator[None]:
    """While other things are done, an agent waits a second, in vain."""
    with _asking(watch, _kept(watch), 1) as (agent, _):
        yield
        refusal = _lines(agent, 3)[2]
    assert b"nobody confirmed" in refusal
    assert not found(refusal)


def _answer(watch: Watch) -> None:
    secret = _kept(watch)
    with _asking(watch, secret) as (agent, yes):
        watch.refused(yes, watch.agent)
        watch.done(yes)
        assert str(secret.value).encode() in _lines(agent, 3)[2]
    with _asking(watch, secret) as (agent, yes):
        watch.done(Confirm(id=yes.id, answer="deny"))
        assert not found(_lines(agent, 3)[2])
    watch.refused(yes)


def _go_away(watch: Watch) -> None:
    """Who waited hangs up, and somebody else in the middle of a line."""
    with _asking(watch, _kept(watch)):
        pass
    with closing(watch.connection()) as connection:
        connection.sendall(request(1, StoreSecret.method, name=watch.aviary.bird("name"), value=1)[:-3])
    watch.look("the ends of connections")


def _lock(watch: Watch) -> None:
    secret = _kept(watch)
    with _asking(watch, secret) as (agent, _):
        watch.locked()
        assert not found(_lines(agent, 3)[2])
    watch.refused(RetrieveSecret(id=secret.name))


def _refuse(watch: Watch) -> None:
    """Whole calls that don't fit, or not what there is."""
    bird = watch.aviary.bird
    known = _kept(watch, idempotency_key=bird("idempotency"))
    for call in (
        StoreSecret(name=known.name, value=bird("value"), idempotency_key=bird("idempotency")),
        StoreSecret(name=bird("name"), value=bird("value"), idempotency_key=known.idempotency_key),
        StoreSecret(name=f"{bird('name')}\u202e", value=bird("value")),
        StoreSecret(name=f" {bird('name')}", value=bird("value")),
        StoreSecret(name=f"{bird('name')}\n", value=bird("value")),
        StoreSecret(name=bird("name"), value=bird("value"), category=bird("category") * 50),
        StoreSecret(name=bird("name"), value=bird("value"), tags=(bird("tag") * 9,)),
        StoreSecret(name=bird("name"), value=bird("value"), idempotency_key=bird("idempotency") * 9),
        UpdateSecret(id=bird("name"), value=bird("value")),
        UpdateSecret(id=known.name, metadata={bird("key"): bird("metadata") * 2000}),
        ListSecrets(cursor=bird("cursor")),
        ListSecrets(prefix=bird("prefix") * 50),
        SearchSecrets(query=bird("query") * 99),
        DeleteSecret(id=bird("name"), idempotency_key=bird("idempotency")),
        Confirm(id=bird("request"), answer="allow"),  # type: ignore[arg-type]  # It is none.
    ):
        watch.refused(call)


def _say_what_can_not_be_read(watch: Watch) -> None:
    bird = watch.aviary.bird
    store = request(1, StoreSecret.method, name=bird("name"), value=bird("value"))
    watch.raw(
        request(2, StoreSecret.method, name=bird("name"), **{bird("member"): bird("value")}),
        request(3, bird("method"), name=bird("name")),
        json.dumps({"jsonrpc": "2.0", "id": 4, "method": StoreSecret.method, "params": [bird("value")]}).encode(),
        json.dumps({"jsonrpc": bird("version"), "id": 5, "method": StoreSecret.method}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": [bird("id")], "method": "daemon.ping"}).encode(),
        bird("line").encode(),
        b'"%b"' % bird("line").encode(),
        store[:-1],
        store + b"}",
        store.replace(b"Zilp", b"\xff\xfeZilp", 1),
        store.replace(b'"value":', b'"value":' + b"[" * 99, 1),
        b"[" + store + b"," + store[:-5] + b"]",
        store[:-2] + b"x" * MESSAGE_BYTES + b'"}}',
        request(6, "vault.import", password=bird("password"), files=[{"name": f"{bird('file')}/a", "data": ""}]),
        request(7, "vault.import", password=bird("password"), files={bird("file"): bird("data")}),
        request(8, "vault.change_password", password=bird("password"), new_password=bird("password") * 99),
        request(9, "vault.retrieve", id=bird("name"), purpose=bird("purpose")),
    )


def _type(watch: Watch) -> None:
    """Command lines that carry secrets to the daemon, which the thin script sends as they are."""
    bird = watch.aviary.bird
    known = _kept(watch)
    for words in (
        ("vault", "retrieve", known.name),
        ("vault", "list"),
        ("vault", "store", bird("name"), "--value", bird("value")),
        ("vault", "unlock", "--password", bird("password")),
        ("vault", bird("word")),
        (bird("word"), bird("word")),
        ("rpc", "vault.store", json.dumps({"name": bird("name"), "value": bird("value"), bird("member"): 1})),
    ):
        watch.client.call(RunCommand(argv=words))
        watch.look(" ".join(words[:2]))


def _show(watch: Watch) -> None:
    """What the command line shows of the daemon."""
    environ = {**watch.home.environ, "KEPT_DEBUG": "1"}
    for words in SHOWN:
        command = [sys.executable, "-m", "kept", *words]
        printed = subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE, check=False)
        assert printed.stdout, (words, printed.stderr)
        assert not found(printed.stdout + printed.stderr), words
    watch.look("what is shown")
