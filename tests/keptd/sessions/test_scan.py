"""The scanner finds the values of a JSON text, whatever its layout and however it is cut."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keptd.sessions.scan import BadText, Scanner

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=30,
)
LAYOUTS = st.fixed_dictionaries(
    {
        "indent": st.none() | st.sampled_from((0, 1, 4, "\t", " \r")),
        "ensure_ascii": st.booleans(),
        "sort_keys": st.booleans(),
        "separators": st.sampled_from(((",", ":"), (", ", ": "), (" ,", " :\n"))),
    }
)


def scanner(text: bytes, chunk: int = 7, longest: int = 1_000_000, deepest: int = 64) -> Scanner:
    return Scanner(io.BytesIO(text), longest, deepest, chunk)


def walked(found: Scanner, depth: int) -> Any:
    """The value, of which so many levels are walked through and the rest is taken out whole."""
    following = found.peek()
    if depth and following == b"{":
        return {name: walked(found, depth - 1) for name in found.members()}
    if depth and following == b"[":
        return [walked(found, depth - 1) for _ in found.elements()]
    return json.loads(found.value())


def taken(found: Scanner) -> None:
    """Take out every member of an object, to the end of the text."""
    for _ in found.members():
        found.value()
    found.end()


@given(value=ANY, layout=LAYOUTS, chunk=st.integers(1, 40), depth=st.integers(0, 4))
def test_what_is_found_is_what_a_decoder_finds(value: Any, layout: dict[str, Any], chunk: int, depth: int) -> None:
    text = json.dumps(value, **layout).encode()
    found = scanner(text, chunk)
    assert walked(found, depth) == json.loads(text)
    found.end()
    assert found.offset == len(text)


@given(value=ANY, layout=LAYOUTS, chunk=st.integers(1, 40))
def test_what_is_passed_over_ends_where_the_value_ends(value: Any, layout: dict[str, Any], chunk: int) -> None:
    text = json.dumps([value, "after"], **layout).encode()
    found = scanner(text, chunk)
    places = found.elements()
    next(places)
    found.skip()
    next(places)
    assert found.value() == b'"after"'


@given(text=st.binary(max_size=60), chunk=st.integers(1, 20))
def test_any_bytes_are_read_or_refused(text: bytes, chunk: int) -> None:
    found = scanner(text, chunk, deepest=5)
    bad: BadText | None = None
    value = b""
    try:
        value = found.value()
        found.end()
    except BadText as refusal:
        bad = refusal
    if bad is None:
        assert value.strip(b" \t\r\n") == text.strip(b" \t\r\n")
    else:
        assert 0 <= bad.offset <= len(text)
        assert bad.line >= 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "the text ends where an object must stand"),
        (b"[]", "here an object must stand"),
        (b'{"a" 1}', "here a colon must stand"),
        (b'{"a": 1 "b": 2}', "here a comma must stand"),
        (b'{"a": 1,}', "here the name of a member must stand"),
        (b'{"a": }', "here a value must stand"),
        (b'{"a": [}]}', "the brackets don't match"),
        (b'{"a": "b', "the text ends in the middle of a value"),
        (b'{"a": 1', "the text ends where a comma must stand"),
        (b'{"a": [[[[]]]]}', "this nests too deeply"),
        (b'{"a": "0123456789012345678"}', "this is longer than 20 bytes"),
        (b'{"a": "\xff"}', "this is not UTF-8"),
        (b'{"\xff": 1}', "the name of a member is not a JSON string"),
        (b'{"a": 1} 2', "something follows the end of the document"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_a_wrong_text_is_refused_with_the_reason(text: bytes, why: str, chunk: int) -> None:
    found = scanner(text, chunk, longest=20, deepest=3)
    with pytest.raises(BadText) as refusal:
        taken(found)
    assert refusal.value.why == why


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_a_refusal_says_where(chunk: int) -> None:
    found = scanner(b'{\n "a": 1,\n\n "b": "\n\xff" }', chunk)
    with pytest.raises(BadText) as refusal:
        taken(found)
    assert (refusal.value.offset, refusal.value.line) == (20, 5)


def test_no_more_than_a_value_and_a_chunk_is_held() -> None:
    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size: int = -1) -> bytes:
            self.asked += size
            return b"[" + b"1," * (size // 2) if self.asked == size else b"1," * (size // 2)

    source = Endless()
    with pytest.raises(BadText, match="longer"):
        Scanner(source, 10_000, 64, 1000).value()  # type: ignore[arg-type]  # it reads like a file
    assert source.asked <= 12_000
