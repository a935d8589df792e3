"""A control call that runs as a task, and how it is cancelled."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Running:
    """Cancelling it cancels its task, unless its handler has a way of its own to end soon and tell what it has done."""

    def __init__(self) -> None:
        self._scope: anyio.CancelScope | None = None
        self._hook: Callable[[], None] | None = None

    @property
    def scope(self) -> anyio.CancelScope:
        """What the task is in. It is made when it is asked for, since most calls become no task."""
        if self._scope is None:
            self._scope = anyio.CancelScope()
        return self._scope

    @property
    def has_hook(self) -> bool:
        """Whether the handler ends by itself when it is told."""
        return self._hook is not None

    def on_cancel(self, hook: Callable[[], None]) -> None:
        """Have `hook` called instead of cancelling the task; more than once, perhaps."""
        self._hook = hook

    def cancel(self) -> None:
        """Have it end."""
        if self._hook is not None:
            self._hook()
        else:
            self.scope.cancel()
