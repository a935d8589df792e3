"""An agent's wait for a person's consent: one connection waits for the secret, another finds out what the person has to
type meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..faults import Fault
from ..trust import Untrusted
from ..wire.errors import KeptError
from ..wire.vault import ListRequests, OpenEntry, RetrieveSecret
from .surface import Caller

_LOOKS = 50
_LOOK_SECONDS = 0.1


def wait(request: RetrieveSecret, waiting: Caller, asking: Caller, told: Callable[[str], object]) -> OpenEntry:
    """The entry, when a person has allowed it. `told` gets the id of the request, once it is known; it is called by
    another thread, and not at all where the answer comes first."""
    over = threading.Event()
    looking = threading.Thread(target=_look, args=(asking, told, over), daemon=True)
    looking.start()
    try:
        return waiting(request)
    finally:
        over.set()


def _look(asking: Caller, told: Callable[[str], object], over: threading.Event) -> None:
    """Find this process among those that wait. One that is never found waits without that."""
    for _ in range(_LOOKS):
        with suppress(KeptError, Fault, Untrusted):
            for request in asking(ListRequests()).items:
                if request.pid == os.getpid():
                    told(request.id)
                    return
        if over.is_set():
            return
        time.sleep(_LOOK_SECONDS)
