"""Stored text on its way to a terminal: made harmless, cut to a width, and told as people say it.

Stored text is untrusted: an escape sequence in a memory could retitle the window, hide text, or type into the shell.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_REORDERING = "\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[{_CONTROL}{_REORDERING}\u2028\u2029]")
_UNSAFE_IN_JSON = re.compile(f"[\x7f-\x9f{_REORDERING}\u2028\u2029]")
_SPANS = (
    (60, "s"),
    (3600, "min"),
    (86_400, "h"),
    (86_400 * 60, "d"),
    (86_400 * 730, "months"),
    (float("inf"), "years"),
)
_NEXT = {"min": "s", "h": "min", "d": "h"}
_FEW = 10
"""Of fewer the rest is told as well: two hours less a minute are not an hour."""

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "months": 86_400 * 30.44, "years": 86_400 * 365.25}


def clean(text: str) -> str:
    """`text` with each control character but line feed and tab, and each character that reorders a line, replaced."""
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` clean and on one line."""
    return " ".join(clean(text).split())


def cells_of(text: str) -> int:
    """How many cells of a terminal `text`, on one line, takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - its tables are large, and most text needs none

    return cell_len(text)


def clip(text: str, width: int) -> str:
    """`text`, on one line, in `width` cells at most; where it is cut, it ends with an ellipsis."""
    if cells_of(text) <= width:
        return text
    from rich.cells import set_cell_size  # noqa: PLC0415 - as above

    cut = set_cell_size(text, max(width - 1, 0)).rstrip(" ")
    # Its count and its cut differ where joiners stand alone.
    while cut and cells_of(cut) >= width:
        cut = cut[:-1]
    return cut + "…"


def as_json(value: Any, indent: int) -> str:
    """`value` as one JSON document; what a terminal could take as a command is escaped, which JSON reads back
    exactly."""
    encoded = msgspec.json.encode(value)
    if indent:
        encoded = msgspec.json.format(encoded, indent=indent)
    return harmless_json(encoded.decode())


def harmless_json(text: str) -> str:
    """JSON text, in which what a terminal could take as a command is escaped; it reads back the same."""
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(value: Any) -> str:
    """A value as a person would write it: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else as_json(value, 0)


def age(then: datetime, now: datetime) -> str:
    """How long ago, as `3 min ago`; or how far ahead, as `in 3 min`."""
    seconds = (now - then).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{roughly(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def roughly(seconds: float) -> str:
    """How long ago something was: in the largest unit, rounded down."""
    count, unit, _ = _in_largest(seconds)
    return f"{count} {unit}"


def duration(seconds: float) -> str:
    """A length of time in its largest unit; of few days, hours and minutes with the next one: `1 h 59 min`. Rounded
    down, by less than a tenth below two months."""
    count, unit, rest = _in_largest(seconds)
    after = _NEXT.get(unit)
    more = int(rest / _SECONDS[after]) if after and count < _FEW else 0
    return f"{count} {unit} {more} {after}" if more else f"{count} {unit}"


def _in_largest(seconds: float) -> tuple[int, str, float]:
    unit = next(name for limit, name in _SPANS if seconds < limit)
    count = int(seconds / _SECONDS[unit])
    return count, unit, seconds - count * _SECONDS[unit]


def took(seconds: float) -> str:
    """How long something took: in milliseconds below a second, in seconds with a decimal below a minute."""
    if seconds == 0:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1000:.2f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else roughly(seconds)


def counted(count: int, noun: str) -> str:
    """A number and what is counted: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def measured(name: str, value: Any) -> str | None:
    """A number in the unit that the name of its field ends with; None where it names none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    unit = name.rpartition("_")[2]
    if unit == "bytes" and isinstance(value, int):
        return size(value)
    if unit == "ms":
        return took(value / 1000)
    return took(value) if unit == "seconds" else None


def title(name: str) -> str:
    """A field's name for people: in words, without the unit that its value is shown with."""
    return "size" if name == "bytes" else re.sub("_(bytes|ms|seconds)$", "", name).replace("_", " ")


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(count: int) -> str:
    """A number of bytes, in a unit that fits."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
