"""Frames: laws of cutting bytes into lines, and of the depth that is measured before anything is decoded."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kept.frames import (
    BadRequest,
    Splitter,
    decode_batch,
    decode_request,
    encode_failure,
    encode_notification,
    encode_result,
    too_deep,
)
from kept.wire.errors import InvalidRequest, ParseError, TooLarge

LIMIT = 12

texts = st.lists(st.sampled_from([b"\n", b"a", b" ", b"xyz", b"\r\n", b"0123456789", b"\x00\xff"]), max_size=30).map(
    b"".join
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def lines(data: bytes, limit: int) -> list[bytes | None]:
    """What a splitter should give, said in another way."""
    *ended, rest = data.split(b"\n")
    found = [None if len(line) > limit else line for line in ended if len(line) > limit or line.strip()]
    return [*found, None] if len(rest) > limit else found


@given(texts, st.lists(st.integers(0, 300), max_size=20))
@example(b"x" * (LIMIT + 1) + b"\n", [LIMIT])
@example(b"x" * (LIMIT + 1) + b"\nab\n", [LIMIT + 1, LIMIT + 2])
def test_lines_are_the_same_however_the_bytes_arrive(data: bytes, places: list[int]) -> None:
    splitter = Splitter(LIMIT)
    found = []
    for chunk in cut(data, places):
        found += splitter.feed(chunk)
        assert splitter.held <= LIMIT
    assert found == lines(data, LIMIT)


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_no_bytes_make_a_splitter_hold_more_than_its_limit(chunks: list[bytes]) -> None:
    splitter = Splitter(LIMIT)
    for chunk in chunks:
        for line in splitter.feed(chunk):
            assert line is None or (len(line) <= LIMIT and b"\n" not in line and line.strip())
        assert splitter.held <= LIMIT


def depth_of(value: Any) -> int:
    """The reference: by recursion."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


tricky = st.text(alphabet='[]{}"\\,: aé\n\u2028', max_size=12)
documents = st.recursive(
    st.none() | st.integers() | tricky,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tricky, inner, max_size=4),
    max_leaves=30,
)


@given(
    documents,
    st.integers(0, 12),
    st.booleans(),
    st.integers(0, 12),
    st.sampled_from(["[%s]", '{"a":%s}', '[{"]":%s}]']),
)
def test_depth_is_what_a_recursive_count_says(
    document: Any, limit: int, is_ascii: bool, more: int, wrapping: str
) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii)
    for _ in range(more):
        text = wrapping % text
    assert too_deep(text.encode(), limit) == (depth_of(json.loads(text)) > limit)


@given(st.integers(0, 200), st.randoms(use_true_random=False))
def test_depth_of_mixed_brackets_is_exact_at_the_limit(depth: int, chance: random.Random) -> None:
    opened = [chance.choice("[{") for _ in range(depth)]
    text = "".join("[" if bracket == "[" else '{"[":' for bracket in opened)
    text += "0" + "".join("]" if bracket == "[" else "}" for bracket in reversed(opened))
    assert not too_deep(text.encode(), depth)
    assert depth == 0 or too_deep(text.encode(), depth - 1)


def test_brackets_in_strings_do_not_count() -> None:
    assert not too_deep(json.dumps({"a": "[" * 1000, "{" * 1000: '"[' * 500, "b": "\\" * 7 + '"'}).encode(), 1)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_refused_as_declared(line: bytes) -> None:
    for read in (decode_request, decode_batch):
        with suppress(ParseError, InvalidRequest):
            read(line)


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":1}', 7),
        (b'{"jsonrpc":"2.0","id":"x"}', "x"),
        (b'{"jsonrpc":"2.0","id":1.5}', 1.5),
        (b'{"jsonrpc":"2.0","id":true}', None),
        (b'{"jsonrpc":"2.0","id":{"a":1}}', None),
        (b"[]", None),
        (b"1", None),
    ],
)
def test_a_wrong_request_is_answered_under_its_id_where_it_has_a_valid_one(line: bytes, request_id: Any) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode_request(line)
    assert refusal.value.request_id == request_id


def test_a_refusal_never_quotes_what_was_sent() -> None:
    for line in (
        b'{"jsonrpc":"canary","method":"m","id":1}',
        b'{"jsonrpc":"2.0","method":{"canary":"canary"},"id":1}',
        b'{"jsonrpc":"2.0","method":"m","id":["canary"]}',
        b'{"jsonrpc":"2.0","canary":',
        b'"canary"',
        b"canary",
    ):
        with pytest.raises((ParseError, InvalidRequest)) as refusal:
            decode_request(line)
        assert "canary" not in str(refusal.value.to_wire())


def test_what_is_sent_is_json_rpc() -> None:
    assert json.loads(encode_result(1, None)) == {"jsonrpc": "2.0", "id": 1, "result": None}
    assert json.loads(encode_notification("event", {})) == {"jsonrpc": "2.0", "method": "event", "params": {}}
    assert json.loads(encode_failure(None, TooLarge("no", hint="less", limit=3))) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32006, "message": "no", "data": {"type": "too_large", "hint": "less", "limit": 3}},
    }
