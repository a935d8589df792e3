"""Secrets that a test plants and looks for afterwards, wherever they could have been written, in whatever form.

Each begins and ends with the same mark, so that a thousand are looked for as fast as one, and one that was cut short is
found as well. `Bird` makes them, `found` looks into bytes, `of_home` into all that lies below a folder, also into what
is compressed there.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from keptd.zstd import ZstdDecompressor, ZstdError

MARK = "Zilpzalp"
"""Stands in no text of kept's."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b\x08"
_DEPTH = 3
_OVERLAP = 4096


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
    shifted = {f"base64, {before} bytes in": _whole_base64(plain, before) for before in range(3)}
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


def _whole_base64(plain: bytes, before: int) -> bytes:
    """The characters that stand for nothing but these bytes, where so many others come before."""
    first = -(-before * 8 // 6)
    return base64.b64encode(bytes(before) + plain)[first : (before + len(plain)) * 8 // 6]


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
    """What is compressed there; nothing, where it only looks so."""
    stream = ZstdDecompressor() if magic == _ZSTD else zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        return bytes(stream.decompress(data))
    except (ZstdError, zlib.error):
        return b""


Clean = dict[tuple[int, int], tuple[int, int]]
"""Files that were looked at: by device and inode, their size and when they were changed."""

_MAPPED = ("-shm", "-wal", ".db")
"""Files that can change without its being seen from their time."""


def files(folder: Path, clean: Clean) -> Iterator[tuple[Path, bytes]]:
    """Every regular file below a folder, with what is in it; one that goes away meanwhile is none. Of what is in
    `clean` only what is new: nothing, or what a log has grown by."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            with suppress(FileNotFoundError):
                about = path.lstat()
                now = about.st_size, about.st_mtime_ns
                which = about.st_dev, about.st_ino
                before = clean.get(which, (0, 0))
                if not S_ISREG(about.st_mode) or (before == now and not name.endswith(_MAPPED)):
                    continue
                with path.open("rb") as file:
                    if ".log" in name:
                        file.seek(max(0, before[0] - _OVERLAP))
                    yield path, file.read()
                clean[which] = now


def of_home(folder: Path, also: Iterable[str] = (), clean: Clean | None = None) -> list[str]:
    """Where below a folder a canary is, in which form; names of files count as well. `clean` is kept from one look to
    the next, so that what hasn't changed is not looked at again."""
    texts = list(also)
    seen = []
    for path, data in files(folder, {} if clean is None else clean):
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
