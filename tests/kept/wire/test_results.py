"""What a client may be sent by a later daemon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from kept.wire.catalog import calls, result_type
from kept.wire.component import Component
from kept.wire.errors import StorageFailed
from kept.wire.memory import Memory

STAMP = "2026-01-01T00:00:00Z"


def words(kind: Any) -> Iterator[inspect.LiteralType]:
    """The closed sets of words in a type."""
    if isinstance(kind, inspect.LiteralType):
        yield kind
    for name in kind.__struct_fields__ if isinstance(kind, msgspec.Struct) else ():
        inner = getattr(kind, name)
        for part in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(part, (inspect.Type, inspect.Field)):
                yield from words(part)


@pytest.mark.parametrize("name", calls())
def test_no_result_has_a_closed_set_of_words(name: str) -> None:
    assert list(words(inspect.type_info(result_type(calls()[name])))) == []


def test_a_word_that_this_client_does_not_know_is_read() -> None:
    stamps = dict.fromkeys(("checked_at", "created_at", "updated_at"), STAMP)
    component = {"id": "1", "name": "n", "status": "dozing", "health": 9, "metadata": None, "version": 1, "actor": "a"}
    assert msgspec.convert({**component, **stamps}, Component, strict=False).status == "dozing"
    assert "tier" in Memory.__struct_fields__


def test_every_read_may_meet_a_disk_that_fails() -> None:
    assert all(StorageFailed in call.common_errors for call in calls().values())
