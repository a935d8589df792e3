"""A value is found in the forms in which programs write it."""

from __future__ import annotations

import html
import json
import os
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kept.vault_run.forms import forms, text_of
from kept.vault_run.scrub import CannotHide, Scrubber

SOME = settings(max_examples=100 if os.environ.get("KEPT_VAULT") == "all" else 20)
"""Of every one of these tests, which are the product of what writes a value and what stands around it."""

SECRET = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=60)


def scrubbed(value: Any, output: bytes) -> bytes:
    scrubber = Scrubber({"n": forms(value)})
    return scrubber.feed(output) + scrubber.close()


GO = {ord("&"): "\\u0026", ord("<"): "\\u003c", ord(">"): "\\u003e"}

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "base64": lambda text: b64encode(text.encode()),
    "base64 for URLs": lambda text: urlsafe_b64encode(text.encode()).rstrip(b"="),
    "base64 in lines": lambda text: encodebytes(text.encode()).rstrip(),
    "URL": lambda text: quote(text, safe="").encode(),
    "URL in small letters": lambda text: _small(quote(text, safe="")),
    "form": lambda text: quote_plus(text).encode(),
    "encodeURIComponent": lambda text: quote(text, safe="!~*'()").encode(),
    "JSON": lambda text: json.dumps(text)[1:-1].encode(),
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode(),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper().encode(),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-16 from the other end": lambda text: text.encode("utf-16-be"),
    "PowerShell": lambda text: b64encode(text.encode("utf-16-le")),
    "JSON of Go": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].translate(GO).encode(),
    "a shell's trace": lambda text: text.replace("'", "'\\''").encode(),
    "shlex": lambda text: text.replace("'", "'\"'\"'").encode(),
    "Python": lambda text: repr(text)[1:-1].encode(),
    "Python in ASCII": lambda text: ascii(text)[1:-1].encode(),
    "bytes of Python": lambda text: repr(text.encode())[2:-1].encode(),
    "HTML": lambda text: html.escape(text).encode(),
    "HTML between tags": lambda text: html.escape(text, quote=False).encode(),
    "XML": lambda text: html.escape(text).replace("&#x27;", "&apos;").encode(),
    "terminal": lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n").encode(),
}


def _small(encoded: str) -> bytes:
    head, *rest = encoded.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)]).encode()


@pytest.mark.parametrize("encoding", ENCODINGS)
@SOME
@given(secret=SECRET)
def test_a_value_is_not_in_the_output_in_any_encoding(encoding: str, secret: str) -> None:
    encoded = ENCODINGS[encoding](secret)
    try:
        out = scrubbed(secret, b"<" + encoded + b">")
    except CannotHide:
        return
    assert encoded not in out


@SOME
@given(
    secret=st.binary(min_size=8, max_size=40).map(bytes.hex), before=st.binary(max_size=5), after=st.binary(max_size=5)
)
def test_base64_is_found_within_something_longer(secret: str, before: bytes, after: bytes) -> None:
    out = scrubbed(secret, b64encode(before + b":" + secret.encode() + after))
    assert out.count(b"[vault:n]") == 1
    # At either end a digit or two stay that depend on what is beside it, or on a part of a byte.
    assert len(out) <= len(b64encode(before + b":" + after)) + len(b"[vault:n]") + 8


@given(secret=st.binary(min_size=8, max_size=40).map(bytes.hex), before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_command_as_powershell_takes_it_is_seen_through(secret: str, before: str, after: str) -> None:
    command = f"{before} -Token {secret} {after}".encode("utf-16-le")
    assert scrubbed(secret, b64encode(command)).count(b"[vault:n]") == 1


@pytest.mark.parametrize(("columns", "width"), [(76, 57), (64, 48)], ids=["base64(1)", "openssl"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\n", b"\n# and what else is in the file"])
@SOME
@given(secret=st.binary(min_size=29, max_size=90).map(bytes.hex))
def test_base64_in_lines_is_found_also_where_something_follows(
    columns: int, width: int, line_end: bytes, behind: bytes, secret: str
) -> None:
    encoded = secret.encode() + behind
    lines = [b64encode(encoded[at : at + width]) for at in range(0, len(encoded), width)]
    assert max(map(len, lines)) == columns
    out = scrubbed(secret, line_end.join(lines))
    assert out.startswith(b"[vault:n]")
    assert b64encode(secret.encode()[:3]) not in out


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_hexadecimal_dump_in_lines_is_found(line_end: bytes) -> None:
    secret = "a token that is longer than a line of xxd -p has room for"
    dump = line_end.join(secret[at : at + 30].encode().hex().encode() for at in range(0, len(secret), 30))
    assert scrubbed(secret, b"<" + dump + b">") == b"<[vault:n]>"


def test_a_value_within_json_and_each_line_of_a_text_is_hidden() -> None:
    value = {"user": "somebody", "keys": ["first-key-of-two", "second\nline number two"]}
    out = scrubbed(value, b"somebody has first-key-of-two; 2: line number two; " + text_of(value).encode())
    assert out == b"[vault:n] has [vault:n]; 2: [vault:n]; [vault:n]"


def test_a_terminals_line_ends_hide_nothing() -> None:
    assert scrubbed("ab\ncd\nefgh", b"<ab\r\ncd\r\nefgh>") == b"<[vault:n]>"


def test_the_space_around_a_value_is_not_needed_to_find_it() -> None:
    assert scrubbed(" token\n", b"<token>, < token\n>") == b"<[vault:n]>, <[vault:n]>"
    assert scrubbed("  first: one\n  second: two\n", b"1 | second: two") == b"1 | [vault:n]"


def test_the_name_of_a_member_is_no_secret() -> None:
    assert scrubbed({"password": "hunter2!"}, b"password") == b"password"


def test_a_value_that_is_too_short_has_no_forms() -> None:
    assert forms("abc") == ()
    assert forms(7) == ()
    assert forms("abcd") == (b"abcd",)


def test_a_short_value_is_not_looked_for_in_other_encodings() -> None:
    assert scrubbed("abcdefg", b"abcdefg".hex().encode()) == b"abcdefg".hex().encode()
