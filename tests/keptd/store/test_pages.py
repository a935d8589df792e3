from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from kept.wire import VALUE_BYTES, Cursor
from kept.wire.errors import InvalidParams, TooLarge
from keptd.store.pages import PAGE_BYTES, Order, fit, page
from keptd.store.values import encode_value

NEWEST = Order("thing.list newest", int)
NAMED = Order("thing.list name", str, int)


def number_cursor(row: int) -> str:
    return NEWEST.cursor(row)


@given(st.text(max_size=200), st.integers(-(2**63), 2**63 - 1))
def test_a_cursor_gives_back_its_position_and_fits_the_wire(name: str, seq: int) -> None:
    cursor = NAMED.cursor(name, seq)

    assert NAMED.after(msgspec.convert(cursor, Cursor)) == (name, seq)


def test_no_cursor_is_the_beginning() -> None:
    assert NEWEST.after(None) is None


def packed(*parts: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(list(parts))).rstrip(b"=").decode()


def mark_of(order: Order, *position: int | str) -> Any:
    cursor = order.cursor(*position)
    return msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "no cursor",
        "é",
        "=" * 8,
        NAMED.cursor("a", 1),
        Order("other.list newest", int).cursor(1),
        NEWEST.cursor(1)[:-2],
        NEWEST.cursor(1) + "AAAA",
        packed(),
        packed(mark_of(NEWEST, 1)),
        packed(mark_of(NEWEST, 1), "1"),
        packed(mark_of(NEWEST, 1), 1, 1),
        packed(mark_of(NEWEST, 1), True),
        packed(mark_of(NEWEST, 1), 1.5),
        packed(mark_of(NEWEST, 1), 2**63),
        packed(mark_of(NEWEST, 1), [1]),
        packed(1, 1),
    ],
)
def test_a_cursor_that_this_order_did_not_make_is_refused_by_name(cursor: str) -> None:
    with pytest.raises(InvalidParams) as refusal:
        NEWEST.after(cursor)

    assert refusal.value.data["field"] == "cursor"


@given(st.binary(max_size=60))
def test_no_bytes_make_a_cursor_fail_otherwise(noise: bytes) -> None:
    for cursor in (base64.urlsafe_b64encode(noise).decode(), noise.decode("latin-1")):
        with pytest.raises(InvalidParams):
            NEWEST.after(cursor)


def test_a_page_has_a_cursor_only_where_more_follows() -> None:
    full = page([1, 2, 3], 2, str, number_cursor)
    last = page([1, 2], 2, str, number_cursor)

    assert (full.items, full.next_cursor) == (["1", "2"], NEWEST.cursor(2))
    assert (last.items, last.next_cursor) == (["1", "2"], None)
    assert page([], 2, str, number_cursor).items == []


def test_a_page_ends_before_it_grows_too_large_and_goes_on_from_there() -> None:
    big = Raw(msgspec.json.encode("x" * VALUE_BYTES))

    shown = page(range(20), 20, lambda _: big, number_cursor)

    assert len(shown.items) == PAGE_BYTES // len(bytes(big))
    assert shown.next_cursor == NEWEST.cursor(len(shown.items) - 1)


def test_a_page_has_its_first_item_however_large() -> None:
    huge = Raw(msgspec.json.encode("x" * (PAGE_BYTES + 1)))

    shown = page([1, 2], 2, lambda _: huge, number_cursor)

    assert len(shown.items) == 1
    assert shown.next_cursor == NEWEST.cursor(1)
    assert len(fit([huge, huge])) == 1


def test_results_without_a_cursor_are_cut_to_what_fits() -> None:
    big = Raw(msgspec.json.encode("x" * VALUE_BYTES))

    assert len(fit([big] * 20)) == PAGE_BYTES // len(bytes(big))
    assert fit(["a", "b"]) == ["a", "b"]


def test_a_value_is_stored_as_compact_json() -> None:
    assert encode_value("value", {"a": [1, None, "é\n"]}) == '{"a":[1,null,"é\\n"]}'


def test_a_value_is_measured_in_bytes_and_refused_past_its_limit() -> None:
    assert len(encode_value("value", "é" * (VALUE_BYTES // 2 - 1))) == VALUE_BYTES // 2 + 1

    with pytest.raises(TooLarge) as refusal:
        encode_value("value", "é" * (VALUE_BYTES // 2))

    assert refusal.value.data == {"field": "value", "limit": VALUE_BYTES}
