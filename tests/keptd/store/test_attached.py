"""What rooms keep in memory: one of a kind, told of a replacement, closed whatever becomes of another."""

from __future__ import annotations

from typing import ClassVar

import pytest

from keptd.store.attached import Attached


class Note:
    told: ClassVar[list[str]] = []

    def replaced(self) -> None:
        self.told.append(f"{type(self).__name__} replaced")

    def close(self) -> None:
        self.told.append(f"{type(self).__name__} closed")


class Other(Note):
    def close(self) -> None:
        super().close()
        raise ValueError("it went wrong")


def test_each_type_has_one_instance_and_each_daemon_its_own() -> None:
    here, there = Attached(), Attached()
    assert here.of(Note) is here.of(Note)
    assert here.of(Note) is not there.of(Note)
    assert here.of(Other) is not here.of(Note)


def test_all_are_told_and_all_are_closed_the_last_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Note, "told", told)
    attached = Attached()
    attached.of(Note)
    attached.of(Other)
    attached.replaced()
    with pytest.raises(ValueError, match="wrong"):
        attached.close()
    assert told == ["Note replaced", "Other replaced", "Other closed", "Note closed"]
    attached.close()
    assert len(told) == 4
