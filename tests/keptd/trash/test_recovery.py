"""A recovery that lost the count of time lets nothing leave the trash early."""

from __future__ import annotations

from pathlib import Path

import pytest

from kept.wire.memory import DeleteMemory, SetMemory
from keptd.clock import DAY
from keptd.store import ages
from tests.keptd.house import House

A_DAY = 86_400


@pytest.mark.parametrize("days", [40, 400])
def test_what_was_in_the_trash_has_its_days_before_it_still(tmp_path: Path, days: int) -> None:
    house = House(tmp_path)
    house.rooms.clock.pause(days * A_DAY, "second")
    ages.look(house.rooms.writer, house.rooms.clock)
    for key in ("a", "b"):
        house.rooms(SetMemory(key=key, value=1))
        house.rooms(DeleteMemory(key=key))
        house.rooms.clock.advance(A_DAY)
    ages.look(house.rooms.writer, house.rooms.clock)
    came = house.rooms.clock.now() - 2 * DAY
    house.hit("SELECT 'age', max(day) FROM age")
    house.recover(with_backup=False)
    rooms = house.rooms
    rooms.clock.micros = came + 2 * DAY
    ages.look(rooms.writer, rooms.clock)
    counted = ages.now(rooms.reader, rooms.clock)
    left = [until - counted for (until,) in rooms.reader.execute("SELECT purge_at FROM trash ORDER BY seq")]
    assert left == [30 * DAY, 31 * DAY]
    rooms.close()
