"""D-Bus messages: what is written is read again, and no bytes do more harm than to be refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptd import system_bus
from keptd.system_bus import MESSAGE_BYTES, BadMessage, Message, Skipped, address, call, take

texts = st.text(max_size=20)

SPOKEN = bytes.fromhex(
    "6c01000100000000010000006e00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000006017300"
    "140000006f72672e667265656465736b746f702e444275730000000002017300140000006f72672e667265656465736b746f702e"
    "4442757300000000030173000500000048656c6c6f000000"
)
"""The call of Hello as dbus-send of D-Bus 1.14 sends it, in the order of its fields."""

IN_BIG_ENDIAN = (
    b"\1\1o\0" + struct.pack(">I", 23) + b"/org/freedesktop/login1\0",
    b"\2\1s\0" + struct.pack(">I", 30) + b"org.freedesktop.login1.Manager\0",
    b"\3\1s\0" + struct.pack(">I", 15) + b"PrepareForSleep\0",
    b"\7\1s\0" + struct.pack(">I", 4) + b":1.2\0",
    b"\x08\1g\0\1b\0",
)


def taken(buffer: bytearray) -> Message:
    message = take(buffer)
    assert isinstance(message, Message)
    return message


@given(serial=st.integers(1, 2**32 - 1), whom=st.tuples(texts, texts, texts, texts), said=st.lists(texts, max_size=4))
def test_a_call_is_read_as_it_was_written(serial: int, whom: tuple[str, str, str, str], said: list[str]) -> None:
    buffer = bytearray(call(serial, *whom, *said) + b"l")
    message = taken(buffer)
    assert buffer == b"l"
    destination, path, interface, member = whom
    wanted = {
        system_bus.PATH: path,
        system_bus.INTERFACE: interface,
        system_bus.MEMBER: member,
        system_bus.DESTINATION: destination,
    }
    assert {**message.fields} == wanted | ({system_bus.SIGNATURE: "s" * len(said)} if said else {})
    reader = system_bus._Reader(message.body, message.order)
    assert [reader.text() for _ in said] == said
    assert reader.is_at_end()


def test_a_message_of_another_program_is_read() -> None:
    message = taken(bytearray(SPOKEN))
    assert message.fields == {
        1: "/org/freedesktop/DBus",
        2: "org.freedesktop.DBus",
        3: "Hello",
        6: "org.freedesktop.DBus",
    }
    hello = call(1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
    assert take(bytearray(hello)) == message


def test_a_message_in_the_other_byte_order_is_read() -> None:
    fields = b""
    for field in IN_BIG_ENDIAN:
        fields += bytes(-len(fields) % 8) + field
    whole = b"B\4\0\1" + struct.pack(">III", 4, 7, len(fields)) + fields
    whole += bytes(-len(whole) % 8) + struct.pack(">I", 1)
    message = taken(bytearray(whole))
    signal = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForSleep")
    assert message.is_signal(":1.2", *signal)
    assert not message.is_signal(":1.3", *signal)
    assert message.truth() is True


@given(whole=st.just(call(1, "a", "/", "b", "c", "d")), cut=st.integers(min_value=0))
def test_a_message_is_waited_for_until_all_of_it_has_come(whole: bytes, cut: int) -> None:
    buffer = bytearray(whole[: cut % len(whole)])
    before = bytes(buffer)
    assert take(buffer) is None
    assert buffer == before


@given(st.binary(max_size=300))
@example(b"l\4\0\1" + struct.pack("<III", 2**32 - 1, 1, 0))
@example(b"l\4\0\1" + struct.pack("<III", 0, 1, 2**32 - 1))
@example(b"l\4\0\1" + struct.pack("<III", 0, 1, 8) + b"\1\2so\0\0\0\0")
def test_any_bytes_are_a_message_or_the_beginning_of_one_or_refused(data: bytes) -> None:
    is_read_or_refused(bytearray(data))


@given(at=st.integers(min_value=0), to=st.integers(0, 255))
def test_a_message_with_any_byte_changed_is_read_or_refused(at: int, to: int) -> None:
    data = bytearray(call(1, "org.freedesktop.login1", "/", "a.b", "Inhibit", "sleep", "x"))
    data[at % len(data)] = to
    is_read_or_refused(data)


def is_read_or_refused(buffer: bytearray) -> None:
    before = len(buffer)
    try:
        message = take(buffer)
        if isinstance(message, Message):
            message.truth()
            message.texts(3)
    except BadMessage:
        return
    assert message is None or len(buffer) < before


@pytest.mark.parametrize("lengths", [(MESSAGE_BYTES, 0), (0, MESSAGE_BYTES), (2**27 - 16, 0)])
@pytest.mark.parametrize("come", [0, 1000, MESSAGE_BYTES])
def test_what_is_too_long_is_skipped_before_it_has_come(lengths: tuple[int, int], come: int) -> None:
    buffer = bytearray(b"l\4\0\1" + struct.pack("<III", lengths[0], 1, lengths[1])) + bytes(come)
    assert take(buffer) == Skipped(sum(lengths) - come)
    assert buffer == b""


def test_what_no_message_may_be_as_long_as_is_none() -> None:
    for lengths in ((2**27, 0), (0, 2**27)):
        with pytest.raises(BadMessage):
            take(bytearray(b"l\4\0\1" + struct.pack("<III", lengths[0], 1, lengths[1])))


@pytest.mark.parametrize("field", [b"\x0a\2as\0\0\0\0", b"\x0a\1s\0\1\0\0\0", b"\x0a\1s\0\1\0\0\0\xff\0\0\0\0\0\0\0"])
def test_a_message_whose_fields_are_not_read_is_skipped_and_the_next_is_read(field: bytes) -> None:
    buffer = bytearray(b"l\4\0\1" + struct.pack("<III", 3, 1, len(field)) + field) + b"abc" + SPOKEN
    assert take(buffer) == Skipped(0)
    assert taken(buffer) == taken(bytearray(SPOKEN))


def test_a_body_of_texts_is_read_and_any_other_refused() -> None:
    message = taken(bytearray(call(1, "a", "/", "b", "c", "some", "texts")))
    assert message.texts(2) == ["some", "texts"]
    for count in (1, 3):
        with pytest.raises(BadMessage):
            message.texts(count)


@pytest.mark.parametrize(
    ("signature", "body"), [("s", b"\0\0\0\0\0"), ("b", b""), ("b", b"\1\0\0\0\0"), ("bb", b"\1\0\0\0")]
)
def test_a_body_that_is_no_single_truth_is_refused(signature: str, body: bytes) -> None:
    with pytest.raises(BadMessage):
        Message(system_bus.SIGNAL, 1, {system_bus.SIGNATURE: signature}, body, "<").truth()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("unix:path=/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"),
        ("unix:path=/tmp/a%20b,guid=1234", "/tmp/a b"),
        ("tcp:host=x,port=1;unix:abstract=/tmp/x", "\0/tmp/x"),
        ("unix:tmpdir=/tmp", ""),
        ("unix:path=", ""),
        ("", ""),
    ],
)
def test_the_address_names_a_socket(text: str, place: str) -> None:
    assert address(text) == place


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    address(text)
