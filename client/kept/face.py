"""`kept.connect()` and `kept.connect_async()`: the environment and a few names become a client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from .client import Client
from .held import LetGo, warn
from .paths import find
from .settings import PATIENCE_SECONDS, REPLY_SECONDS, Settings
from .wire.daemon import Hello

if TYPE_CHECKING:
    from .stream import AsyncClient

Kind = Literal["agent", "person", "program"]


def connect(
    client: str | None = None,
    *,
    version: str | None = None,
    user: str | None = None,
    project: str | None = None,
    session: str | None = None,
    kind: Kind | None = None,
    environ: Mapping[str, str] = os.environ,
    start: bool = True,
    patience: float = PATIENCE_SECONDS,
    reply_seconds: float = REPLY_SECONDS,
    on_let_go: LetGo = warn,
) -> Client:
    """A client, connected.

    `client` names the caller in what it writes (`daemon.hello`), as do the four after it; without it the daemon uses
    the program's name. `kind` says what it is: an `agent` gets those secrets alone that an agent may read, and stays
    one on this connection. `environ` says where the socket is. `start` allows to start the daemon. `patience` is how
    many seconds a call goes on when the connection is lost or the daemon is busy, `reply_seconds` how long one reply
    may take.

    A connection that was lost is made anew by the next call, and then is again in the sessions that it was attached to
    before that call is sent. `on_let_go` is told, with the call and the daemon's refusal, of those that it could not
    enter again; left out, it is a Python warning.

    Raises `kept.faults.NoDaemon`, `kept.trust.Untrusted`, or `kept.paths.BadPlace`.
    """
    settings = Settings(
        environ=environ, start=start, patience=patience, reply_seconds=reply_seconds, on_let_go=on_let_go
    )
    found = Client(find(environ), _hello(client, version, user, project, session, kind), settings)
    found.open()
    return found


def connect_async(
    client: str | None = None,
    *,
    version: str | None = None,
    user: str | None = None,
    project: str | None = None,
    session: str | None = None,
    kind: Kind | None = None,
    environ: Mapping[str, str] = os.environ,
    start: bool = True,
    patience: float = PATIENCE_SECONDS,
    reply_seconds: float = REPLY_SECONDS,
    on_let_go: LetGo = warn,
) -> AsyncClient:
    """The same for asyncio and trio, as a context: `async with kept.connect_async() as client`."""
    from .stream import AsyncClient  # noqa: PLC0415 - anyio is no dependency of the blocking client

    settings = Settings(
        environ=environ, start=start, patience=patience, reply_seconds=reply_seconds, on_let_go=on_let_go
    )
    return AsyncClient(find(environ), _hello(client, version, user, project, session, kind), settings)


def _hello(
    client: str | None,
    version: str | None,
    user: str | None,
    project: str | None,
    session: str | None,
    kind: Kind | None,
) -> Hello | None:
    if client is None:
        if any((version, user, project, session, kind)):
            raise TypeError("version, user, project, session and kind need a client's name")
        return None
    return Hello(client=client, version=version, user=user, project=project, session=session, kind=kind)
