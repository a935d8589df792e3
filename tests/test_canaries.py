"""What looks for canaries finds them: in each form, wherever they begin, also where they are compressed."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from keptd.zstd import compress
from tests.canaries import MARK, Aviary, found, of_home


@pytest.mark.parametrize("before", range(7))
def test_it_is_found_in_base64_wherever_it_begins(before: int) -> None:
    inside = "x" * before + Aviary().bird() + "y" * 5
    assert found(base64.b64encode(inside.encode()))
    assert found(base64.urlsafe_b64encode(inside.encode()))


def test_it_is_found_in_other_forms() -> None:
    bird = Aviary().bird()
    plain = bird.encode()
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in bird).encode()
    others = [plain, plain.lower(), bird.encode("utf-16"), bird.encode("utf-32"), plain.hex().encode(), escaped]
    assert all(found(b"before" + other + b"after") for other in others)
    assert not found(b"nothing of the sort" * 100)
    assert found(b'{"a": "say \\"hi\\""}', ['say "hi"'])


def test_it_is_found_in_files_and_what_is_compressed_in_them(tmp_path: Path) -> None:
    bird = Aviary().bird().encode()
    (tmp_path / "sound").write_bytes(b"x" * 10_000)
    assert not of_home(tmp_path)
    for name, content in {
        "a.zst": compress(bird),
        "b": b"before" + compress(b"x" * 100) + compress(gzip.compress(b"y" * 9000 + bird)) + b"after",
        "c": bird[: len(MARK) + 3],
        "d": json.dumps(bird.decode()).encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert of_home(tmp_path), name
        (tmp_path / name).unlink()
    (tmp_path / MARK).touch()
    assert of_home(tmp_path)
