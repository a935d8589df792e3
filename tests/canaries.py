"""Secrets that a test plants and looks for afterwards, wherever they could have been written, in whatever form.

Each begins and ends with the same mark, so that a thousand are looked for as fast as one, and one that was cut short is
found as well. `Bird` makes them, `found` looks into bytes, `of_home` into all that lies below a folder, also into what
is compressed there.
"""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from keptd.zstd import ZstdError, ZstdFile

MARK = "Zilpzalp"
"""Stands in no text of kept's."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b\x08"
_DEPTH = 3


class Aviary:
    """Canaries, each another."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def bird(self, what: str = "") -> str:
        """A new one; `what` is for who finds it."""
        return f"{MARK}-{what}{next(self._numbers)}-{os.urandom(6).hex()}-{MARK}"


def forms(text: str) -> dict[str, bytes]:
    """A text as it may stand in bytes, by the name of the form; of base64 the part that doesn't depend on what stands
    around it, of letters whose case is folded none."""
    plain = text.encode()
    shifted = {
        f"base64, {shift} bytes in": base64.b64encode(bytes(shift) + plain)[-(-shift * 8 // 6) + (shift > 0) :].rstrip(
            b"="
        )[: len(plain) * 8 // 6 - 2]
        for shift in range(3)
    }
    found = {
        "as it is": plain,
        "in lower case": plain.lower(),
        "UTF-16, little end first": text.encode("utf-16-le"),
        "UTF-16, big end first": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32-le"),
        "hexadecimal": plain.hex().encode(),
        "hexadecimal, in capitals": plain.hex().upper().encode(),
        "JSON, escaped": "".join(f"\\u{ord(letter):04x}" for letter in text).encode(),
        "percent": "".join(f"%{byte:02X}" for byte in plain).encode(),
        **shifted,
    }
    if json.dumps(text) != f'"{text}"':
        found["JSON"] = json.dumps(text).encode()
    return found


_MARKED = forms(MARK)


def found(data: bytes, also: Iterable[str] = ()) -> list[str]:
    """The forms in which a canary stands in bytes, or one of some other texts."""
    seen = [form for form, pattern in _MARKED.items() if pattern in data]
    for number, text in enumerate(also):
        seen += [f"text {number}, {form}" for form, pattern in forms(text).items() if pattern in data]
    return seen


def unpacked(data: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """Bytes, and whatever is compressed in them at their beginning or anywhere."""
    yield data
    if not depth:
        return
    for magic in (_ZSTD, _GZIP):
        at = data.find(magic)
        while at >= 0:
            inner = _unpacked_at(data[at:], magic)
            if inner:
                yield from unpacked(inner, depth - 1)
            at = data.find(magic, at + 1)


def _unpacked_at(data: bytes, magic: bytes) -> bytes:
    """What is compressed there, as far as it goes."""
    stream = ZstdFile(io.BytesIO(data), "r") if magic == _ZSTD else gzip.GzipFile(fileobj=io.BytesIO(data))
    whole = bytearray()
    try:
        while part := stream.read(65_536):
            whole += part
    except (OSError, EOFError, ZstdError):
        pass
    return bytes(whole)


def files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every regular file below a folder, with what is in it; one that goes away meanwhile is none."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                try:
                    yield path, path.read_bytes()
                except FileNotFoundError:
                    continue


def of_home(folder: Path, also: Iterable[str] = ()) -> list[str]:
    """Where below a folder a canary is, in which form; names of files count as well."""
    texts = list(also)
    seen = []
    for path, data in files(folder):
        seen += [f"name of {path}" for _ in found(str(path.relative_to(folder)).encode(), texts)]
        seen += [f"{path}: {form}" for part in unpacked(data) for form in found(part, texts)]
    return seen


def of_process(pid: int, also: Iterable[str] = ()) -> list[str]:
    """Where the kernel shows a canary of a process to others: its environment, its arguments, its names."""
    texts = list(also)
    seen = []
    for name in ("environ", "cmdline", "comm", "maps", "status"):
        data = Path(f"/proc/{pid}/{name}").read_bytes()
        seen += [f"/proc/PID/{name}: {form}" for form in found(data, texts)]
    return seen
