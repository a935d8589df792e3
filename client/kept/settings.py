"""How a client behaves, whatever its kind: where it looks for the daemon, and how long it goes on."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from .held import LetGo, warn

PATIENCE_SECONDS = 30.0
REPLY_SECONDS = 60.0


class Settings(Struct, frozen=True, kw_only=True):
    """What `kept.connect` and `kept.connect_async` take beside the caller's names."""

    environ: Mapping[str, str] = os.environ
    """What a daemon that is started gets."""
    start: bool = True
    """Whether the daemon may be started where none answers."""
    patience: float = PATIENCE_SECONDS
    """How many seconds a call goes on while the connection is lost or the daemon is busy."""
    reply_seconds: float = REPLY_SECONDS
    """How long one reply may take."""
    on_let_go: LetGo = warn
    """Told what could not be held on to when a connection was lost."""


DEFAULTS = Settings()
