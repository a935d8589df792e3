"""Whatever bytes come, each line is answered by nothing or by one valid reply, and the next request is served."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kept.wire.catalog import calls
from tests.harness import Process

KEYS = [
    "jsonrpc",
    "method",
    "params",
    "id",
    "key",
    "value",
    "query",
    "cursor",
    "limit",
    "topics",
    "since",
    "argv",
    "\u0000",
]
METHODS = [name for name in calls() if name not in ("daemon.stop", "daemon.restart", "daemon.reload")]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["2.0", *METHODS, "$/cancelRequest", "persistent", "global", "fts5"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)

plain = st.text(min_size=1, max_size=8) | st.integers(1, 9)


@st.composite
def likely(draw: st.DrawFn) -> dict[str, Any]:
    """A request of a real method, whose parameters have the right names and any values."""
    method = draw(st.sampled_from(METHODS))
    names = msgspec.structs.fields(calls()[method])
    params = {field.name: draw(plain | values) for field in names if field.required or draw(st.booleans())}
    made: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if draw(st.integers(0, 3)):
        made["id"] = draw(plain | scalars)
    return made


def as_line(value: Any) -> bytes:
    return json.dumps(value).encode()


not_ascii = st.binary(min_size=1, max_size=3).map(lambda data: bytes(byte | 0x80 for byte in data))


@st.composite
def stained(draw: st.DrawFn) -> bytes:
    """A request with bytes that are no ASCII, and mostly no UTF-8, at the beginning of a string in it."""
    line = as_line(draw(likely()))
    quotes = [place for place, byte in enumerate(line) if byte == ord('"')]
    place = draw(st.sampled_from(quotes[::2])) + 1
    return line[:place] + draw(not_ascii) + line[place:]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A request with some bytes of it changed."""
    line = bytearray(as_line(draw(likely())))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, len(line) - 1), st.integers(0, 255)), max_size=4)):
        line[place] = byte
    return bytes(line).replace(b"\n", b" ")


hostile = (
    st.binary(max_size=60).map(lambda data: data.replace(b"\n", b""))
    | st.text(alphabet='[]{}",:0aeE-.\\u ', max_size=40).map(str.encode)
    | values.map(as_line)
    | likely().map(as_line)
    | st.lists(likely() | values, max_size=4).map(as_line)
    | mangled()
    | stained()
)


class Wire:
    """One connection to a real daemon."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._count = 0

    def exchange(self, line: bytes) -> list[Any]:
        """What comes for a line before the answer to a question that is asked after everything else is done."""
        self._count += 1
        # A write that changes something is behind every write, and the heavy reads end before the last of these.
        mark = f"\u241e{self._count}"
        last = {"jsonrpc": "2.0", "id": mark, "method": "daemon.ping", "params": {}}
        self._connection.sendall(line + b"\n" + as_line(last) + b"\n")
        said: list[Any] = []
        while True:
            message = json.loads(self._lines.readline())
            if isinstance(message, dict) and message.get("id") == mark:
                return said
            said.append(message)

    def drain(self) -> list[Any]:
        """Close our side and take what is left."""
        self._connection.shutdown(socket.SHUT_WR)
        return [json.loads(line) for line in self._lines]

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="kept-", dir="/tmp") as home, Process(Path(home)) as started:
        yield started
        started.popen.terminate()
        assert started.popen.stderr is not None
        log = [json.loads(line) for line in started.popen.stderr]
        assert started.popen.wait(20) == 0
        assert not [line for line in log if line["level"] in ("error", "critical")]


def check_reply(reply: Any) -> None:
    if isinstance(reply, list):
        assert reply
        for member in reply:
            check_reply(member)
        return
    assert reply["jsonrpc"] == "2.0"
    if "method" in reply:
        assert reply.keys() == {"jsonrpc", "method", "params"}
        return
    assert reply.keys() in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    if "error" in reply:
        assert reply["error"].keys() == {"code", "message", "data"}
        assert reply["error"]["code"] != -32603, reply
        assert reply["error"]["data"]["type"]
        assert reply["error"]["data"]["hint"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(hostile, min_size=1, max_size=6))
def test_any_bytes_are_answered_line_by_line(process: Process, lines: list[bytes]) -> None:
    with process.connect() as connection:
        wire = Wire(connection)
        try:
            said = [reply for line in lines for reply in wire.exchange(line)] + wire.drain()
        finally:
            wire.close()
    for reply in said:
        check_reply(reply)
    answers = [reply for reply in said if isinstance(reply, list) or "method" not in reply]
    assert len(answers) <= sum(1 for line in lines if line.strip())
