"""How a secret's value may look in an output: as it is, in UTF-16, and as programs write it into URLs, JSON, HTML,
headers, dumps, and the words of a shell.

Pure. Owns the list of encodings. What is not here gets through: other encodings, a value that a program has cut in
pieces, changed or compressed.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

LEAST = 4
"""Characters of the shortest value that can be hidden. A shorter one stands in every output by chance."""

ENCODED_LEAST = 8
"""Bytes from which on a value is looked for in other forms too: those of a shorter one are as short."""

_BASE64_COLUMNS = (64, 76)
"""Digits of base64 in a line: PEM (RFC 7468) and openssl; MIME (RFC 2045), base64(1) and Python."""

_HEX_COLUMNS = 60
"""Hexadecimal digits in a line of `xxd -p`."""

_UNRESERVED = ("", "/", "!~*'()")
"""What programs leave as it is besides letters, digits and `_.-~`: RFC 3986, paths, JavaScript's encodeURIComponent."""


_IN_DOUBLE_QUOTES = re.compile(r'["$`\\]')
_OF_A_SHELL = re.compile(r"""[\t !"$&'()*,;<>?\[\\\]^`{|}]""")
"""Before which bash puts a backslash."""

_GO = {ord(letter): f"\\u{ord(letter):04x}" for letter in "&<>"}
"""How Go's encoder writes what would be markup in HTML, as in what kubectl prints."""


def text_of(value: Any) -> str:
    """A value as a program gets it: text as it is, the rest as compact JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def forms(value: Any) -> tuple[bytes, ...]:
    """All forms of a value, of each text in it, and of each of their lines, with and without the space around them;
    empty where the value is too short."""
    whole = text_of(value)
    if len(whole) < LEAST:
        return ()
    found: set[bytes] = set()
    for text in {whole, *_texts(value)}:
        # A shell's $(...) drops the line feeds at the end, and a program that reads a file often more.
        for part in {text, text.strip(), *_lines(text)}:
            if len(part) >= LEAST:
                found.update(_of_text(part))
                found.update(_in_lines(part.encode()))
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value. Names are none: they say what something is."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def _lines(text: str) -> Iterator[str]:
    """The lines of a text that has several: a program that shows them puts numbers, or a margin, between."""
    lines = text.splitlines()
    return (line.strip() for line in lines if len(lines) > 1 and len(line.strip().encode()) >= ENCODED_LEAST)


def _of_text(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield raw
    # A terminal puts a carriage return before each line feed.
    yield text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    # None of these is shorter than the text.
    yield from (quoted.encode() for quoted in _quoted(text))
    if len(raw) < ENCODED_LEAST:
        return
    for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        yield escaped[1:-1].encode()
        yield escaped[1:-1].replace("/", "\\/").encode()
        yield escaped[1:-1].translate(_GO).encode()
    for safe in _UNRESERVED:
        yield from _either_case(quote(text, safe=safe))
    yield from _either_case(quote_plus(text))
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield from _base64(raw)
    wide = text.encode("utf-16-le")
    yield wide
    yield text.encode("utf-16-be")
    # As PowerShell takes a command (-EncodedCommand).
    yield from _base64(wide)


def _quoted(text: str) -> Iterator[str]:
    """As it stands in the quotes of a shell, which traces its commands so (`set -x`), of Python, and of HTML."""
    yield text.replace("'", "'\\''")
    # dash, and Python's shlex.
    yield text.replace("'", "'\"'\"'")
    # bash: declare -p, printf %q.
    yield _IN_DOUBLE_QUOTES.sub(r"\\\g<0>", text)
    yield _OF_A_SHELL.sub(r"\\\g<0>", text)
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    yield repr(text.encode())[2:-1]
    yield html.escape(text, quote=False)
    for apostrophe in ("&#x27;", "&#39;", "&apos;"):
        yield html.escape(text).replace("&#x27;", apostrophe)


def _either_case(encoded: str) -> Iterator[bytes]:
    """With the digits of its escapes in capitals, and in small letters."""
    yield encoded.encode()
    head, *rest = encoded.split("%")
    yield "%".join([head, *(part[:2].lower() + part[2:] for part in rest)]).encode()


def _base64(raw: bytes) -> Iterator[bytes]:
    """By itself, and as it stands within something longer (`user:password`): from the first to the last digit that
    depends on it alone, at each of the three places that it can begin at."""
    exact = b64encode(raw)
    within = [
        b64encode(bytes(before) + raw)[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6] for before in (0, 1, 2)
    ]
    for digits in (exact, exact.rstrip(b"="), *within):
        yield digits
        yield digits.translate(bytes.maketrans(b"+/", b"-_"))


def _in_lines(raw: bytes) -> Iterator[bytes]:
    """As programs break it where it begins a line, with the line ends of files and of terminals. What follows the
    value, such as the line feed of echo(1), changes no digit of base64 but the last."""
    exact = b64encode(raw)
    for digits, columns in (
        *((each, columns) for each in (exact, exact[: len(raw) * 8 // 6]) for columns in _BASE64_COLUMNS),
        (raw.hex().encode(), _HEX_COLUMNS),
    ):
        if len(digits) > columns:
            lines = [digits[at : at + columns] for at in range(0, len(digits), columns)]
            yield b"\n".join(lines)
            yield b"\r\n".join(lines)
