"""What can be read of a damaged archive, and of a copy of it: all of that, nothing else, and a word on the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from keptd.journal import frames
from keptd.journal.archive import _decode
from keptd.journal.frames import Frames, write
from keptd.journal.salvage import salvage

COUNT = 24


def line(seq: int) -> bytes:
    return (
        b'{"seq":%d,"action":{"id":"i%d","action":"did %d","details":null,"project":null,"session_id":null,'
        b'"created_at":"2026-01-01T00:00:00Z","actor":"a"}}' % (seq, seq, seq)
    )


def places(path: Path) -> list[int]:
    with Frames(path) as opened:
        return [_decode(one).seq for number in range(len(opened.table)) for one in opened.lines(number)]


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(frames, "FRAME_LINES", 4)
    path = tmp_path / "actions-2026-01.jsonl.zst"
    write(path, None, map(line, range(1, COUNT + 1)))
    return path


def test_whatever_bit_flips_the_other_frames_are_there_and_a_loss_is_said(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    target = tmp_path / "mended.zst"
    for at in range(len(content)):
        whole.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        lost = salvage(whole, None, target)
        found = places(target)
        assert set(found) <= set(range(1, COUNT + 1))
        assert COUNT - len(found) in (0, 4), at
        assert lost or len(found) == COUNT
        if 4 < min(set(range(1, COUNT + 1)) - set(found), default=0) <= COUNT - 4:
            assert lost == "up to 4 archived actions"


def test_cut_short_anywhere_what_is_left_of_it_is_there(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    target = tmp_path / "mended.zst"
    seen = set()
    for length in range(len(content)):
        whole.write_bytes(content[:length])
        lost = salvage(whole, None, target)
        assert lost
        found = places(target) if target.exists() else []
        assert found == list(range(1, len(found) + 1))
        assert (lost == "all of its archived actions") == (not found)
        seen.add(len(found))
    assert seen == set(range(0, COUNT + 1, 4))


def test_a_copy_fills_what_can_not_be_read_and_what_is_newer_than_it_stays(whole: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.zst"
    write(older, None, map(line, range(1, 13)))
    content = bytearray(whole.read_bytes())
    content[20] ^= 1
    whole.write_bytes(content)
    target = tmp_path / "mended.zst"
    salvage(whole, older, target)
    assert places(target) == list(range(1, COUNT + 1))


def test_a_copy_of_the_same_size_has_all_of_it(whole: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.zst"
    same.write_bytes(whole.read_bytes())
    content = bytearray(whole.read_bytes())
    content[20] ^= 1
    whole.write_bytes(content)
    assert salvage(whole, same, tmp_path / "mended.zst") == ""
    assert places(tmp_path / "mended.zst") == list(range(1, COUNT + 1))
