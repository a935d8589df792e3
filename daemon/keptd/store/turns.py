"""Turns: a queue between threads in which all who wait get the same share, however much one of them asks for."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items are taken in turns over those who put them, and in order for each of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[object, deque[T]] = {}
        self._closed = False

    def put(self, owner: object, item: T) -> None:
        """Add an item behind the others of `owner`, which is compared by identity or equality and must be hashable."""
        with self._changed:
            self._waiting.setdefault(owner, deque()).append(item)
            self._changed.notify()

    def get(self) -> T | None:
        """The next item, when there is one; None when the queue is closed and empty."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            owner = next(iter(self._waiting))
            items = self._waiting.pop(owner)
            item = items.popleft()
            if items:
                # Put in again, the owner stands behind all others.
                self._waiting[owner] = items
            return item

    def close(self) -> None:
        """Let `get` return None once nothing is left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
