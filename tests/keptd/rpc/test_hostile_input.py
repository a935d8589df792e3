"""What nobody should send: each gets its answer, and a second connection is served all the while."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.harness import Daemon, Peer, Process, request

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024

PARSE_ERROR = (None, -32700, "parse_error")
INVALID = (None, -32600, "invalid_request")
TOO_LARGE = (None, -32006, "too_large")

GET = b'{"jsonrpc":"2.0","method":"memory.get","id":%s,"params":{"key":%s}}'


@pytest.fixture
def daemon(lasting: Daemon) -> Daemon:
    """One daemon for all of it: whatever came before, it serves on."""
    return lasting


REFUSED = {
    "bad UTF-8 in a parameter": (GET % (b"1", b'"\xff\xfe"'), PARSE_ERROR),
    "bad UTF-8 in an id": (GET % (b'"\xff"', b'"k"'), PARSE_ERROR),
    "bad UTF-8 in a member that nobody reads": (
        b'{"jsonrpc":"2.0","method":"daemon.ping","id":1,"x":"\xc3"}',
        PARSE_ERROR,
    ),
    "a surrogate as UTF-8": (GET % (b"1", b'"\xed\xa0\x80"'), PARSE_ERROR),
    "NaN": (GET % (b"1", b"NaN"), PARSE_ERROR),
    "Infinity": (GET % (b"1", b"-Infinity"), PARSE_ERROR),
    "a lone surrogate": (GET % (b"1", rb'"\ud800"'), PARSE_ERROR),
    "a lone surrogate as an id": (GET % (rb'"\udc00"', b'"k"'), PARSE_ERROR),
    "a control character in a string": (GET % (b"1", b'"a\x01"'), PARSE_ERROR),
    "an escape that does not exist": (GET % (b"1", rb'"\q"'), PARSE_ERROR),
    "two texts on a line": (b'{"jsonrpc":"2.0","method":"daemon.ping","id":1} {}', PARSE_ERROR),
    "half a text": (b'{"jsonrpc":"2.0","method":"daemon.ping"', PARSE_ERROR),
    "a zero byte": (b"\x00", PARSE_ERROR),
    "HTTP": (b"GET / HTTP/1.1\r", PARSE_ERROR),
    "an id past every number": (GET % (b"1e999", b'"k"'), PARSE_ERROR),
    "the id true": (GET % (b"true", b'"k"'), INVALID),
    "the id []": (GET % (b"[]", b'"k"'), INVALID),
    "the id {}": (GET % (b"{}", b'"k"'), INVALID),
    "a number": (b"42", INVALID),
    "a string": (b'"daemon.ping"', INVALID),
    "null": (b"null", INVALID),
    "another version": (b'{"jsonrpc":"1.0","method":"daemon.ping"}', INVALID),
    "no version": (b'{"method":"daemon.ping"}', INVALID),
    "no method": (b'{"jsonrpc":"2.0"}', INVALID),
    "an empty batch": (b"[]", INVALID),
    "an empty batch with spaces": (b" [ ] ", INVALID),
    "depth 65": (b"[" * 65 + b"]" * 65, TOO_LARGE),
    "depth 100,000": (b"[" * 100_000 + b"]" * 100_000, TOO_LARGE),
    "depth 100,000 without an end": (b'{"a":' * 100_000, TOO_LARGE),
    "depth 100,000 in a request": (GET % (b"1", b"[" * 100_000 + b"]" * 100_000), TOO_LARGE),
    "a batch of 100,000": (b"[" + b",".join([GET % (b"1", b'"k"')] * 100_000) + b"]", TOO_LARGE),
    "a batch of 100,000 numbers": (b"[" + b",".join([b"1"] * 100_000) + b"]", TOO_LARGE),
}


@pytest.mark.parametrize(("line", "answer"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_line_that_is_no_request_gets_its_one_answer(
    peer: Peer, other: Peer, line: bytes, answer: tuple[Any, int, str]
) -> None:
    await peer.send(line)
    await other.is_served()
    assert await peer.error() == answer
    await peer.is_served()
    await other.is_served()


@pytest.mark.parametrize("number", [1.5, -1, 0, "", "\u0000", "é" * 1000, 2**53, 2**64, -(10**30), 1e300])
async def test_an_unusual_id_comes_back_as_it_was(peer: Peer, number: Any) -> None:
    await peer.send(request(number, "daemon.ping"))
    reply = await peer.receive()
    assert (type(reply["id"]), reply["id"]) == (type(number), number)
    assert "result" in reply


@pytest.mark.parametrize(
    ("batch", "answers"),
    [
        (b'[{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}]', 0),
        (b'[{"jsonrpc":"2.0","method":"$/cancelRequest"},{"jsonrpc":"2.0","method":"nothing"}]', 0),
        (b'[{"jsonrpc":"2.0","method":"memory.get","params":{"key":"k"}}]', 0),
        (b"[[]]", 1),
        (b"[[" + GET % (b"1", b'"k"') + b"]]", 1),
        (b"[null,true,{}]", 3),
        (b"[" + GET % (b"1", b'"k"') + b"," + GET % (b"1", b'"k"') + b"]", 2),
        (b'[{"jsonrpc":"2.0","method":"event.subscribe","id":1},{"jsonrpc":"2.0","method":"daemon.ping","id":2}]', 2),
    ],
)
async def test_a_batch_is_answered_by_one_array_or_not_at_all(peer: Peer, batch: bytes, answers: int) -> None:
    await peer.send(batch)
    if answers:
        assert len(await peer.receive()) == answers
    await peer.is_served()


async def test_a_batch_of_every_kind_of_work_is_complete(peer: Peer) -> None:
    members = [
        request(1, "memory.set", key="k", value=1),
        request(2, "memory.search", query="words"),
        request(3, "memory.get", key="none"),
        request(4, "cli.run", argv=["--version"]),
        request(5, "nothing"),
        request(6, "daemon.ping"),
    ]
    await peer.send(b"[" + b",".join(members) + b"]")
    replies = await peer.receive()
    assert sorted(reply["id"] for reply in replies) == [1, 2, 3, 4, 5, 6]
    assert {reply["id"] for reply in replies if "error" in reply} == {3, 5}


async def test_a_request_with_the_id_null_is_answered(peer: Peer) -> None:
    await peer.send(b'{"jsonrpc":"2.0","method":"daemon.ping","id":null}')
    reply = await peer.receive()
    assert reply["id"] is None
    assert "result" in reply


async def test_blank_lines_and_carriage_returns_mean_nothing(peer: Peer) -> None:
    await peer.send(b"", b"   ", b"\t\r", request(1, "daemon.ping") + b"\r")
    assert (await peer.receive())["id"] == 1
    await peer.is_served()


async def test_a_line_past_the_limit_is_refused_and_the_next_one_served(peer: Peer, other: Peer) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.send, b'{"jsonrpc":"2.0","method":"' + b"x" * 17 * MIB + b'"}')
        for _ in range(20):
            await other.is_served()
        assert await peer.error() == TOO_LARGE
    await peer.is_served()


async def test_a_line_of_just_the_limit_is_read(peer: Peer) -> None:
    line = request(1, "daemon.ping")
    await peer.send(line + b" " * (16 * MIB - len(line)), line + b" " * (16 * MIB - len(line) + 1))
    assert (await peer.receive())["id"] == 1
    assert await peer.error() == TOO_LARGE


async def test_a_line_without_end_is_refused_once_and_not_kept(daemon: Daemon, peer: Peer, other: Peer) -> None:
    chunk = b"x" * MIB
    for _ in range(40):
        await peer.send_raw(chunk)
        await other.is_served()
    assert await peer.error() == TOO_LARGE
    await peer.send(b"")
    await peer.is_served()


async def test_half_a_message_and_a_close_leave_nothing_behind(daemon: Daemon, peer: Peer, other: Peer) -> None:
    await peer.send_raw(request(1, "memory.set", key="half", value=1)[:-5])
    await peer.close()
    await daemon.until("the connection is let go", lambda: len(daemon.served()) == 1)
    assert await other.refusal("memory.get", key="half") == (-32001, "not_found")


async def test_half_a_message_and_a_half_close_end_the_connection_without_an_answer(peer: Peer, other: Peer) -> None:
    await peer.send_raw(request(1, "memory.set", key="half", value=1)[:-5])
    await peer.end_sending()
    await peer.ended()
    assert await other.refusal("memory.get", key="half") == (-32001, "not_found")


@pytest.mark.parametrize(
    "words",
    [
        '"',
        '""" OR 1',
        "NEAR(a b, 2)",
        "key:secret",
        "a* ^b -c +d",
        "(((",
        "'; DROP TABLE memory; --",
        "\\",
        "%_%",
        "AND OR NOT",
        "{a b}:c",
        "\u202e\u0301\ufffd",
        "😀",
    ],
)
async def test_words_of_a_search_are_never_syntax(peer: Peer, words: str) -> None:
    await peer.result("memory.set", key="kept", value="some words")
    for method in ("memory.search", "decision.search"):
        assert isinstance((await peer.result(method, query=words))["items"], list)
    assert (await peer.result("memory.get", key="kept"))["value"] == "some words"


async def test_wrong_fts5_syntax_is_refused_where_it_was_asked_for(peer: Peer) -> None:
    for query in ('"', "AND", "nocolumn:x", "'; DROP TABLE memory; --"):
        assert await peer.refusal("memory.search", query=query, syntax="fts5") == (-32602, "invalid_params")


@pytest.mark.parametrize(("depth", "taken"), [(62, True), (63, False)])
@pytest.mark.parametrize("ends", [b"[]", b"{}", b"[{}]"], ids=["arrays", "objects", "both"])
async def test_a_value_may_nest_up_to_the_limit_of_the_whole_message(
    peer: Peer, depth: int, taken: bool, ends: bytes
) -> None:
    if ends == b"[]":
        value = b"[" * depth + b"]" * depth
    elif ends == b"{}":
        value = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
    else:
        value = b'[{"a":' * (depth // 2) + (b"[]" if depth % 2 else b"1") + b"}]" * (depth // 2)
    key = f"{depth} {ends.decode()}"
    begin = b'{"jsonrpc":"2.0","id":1,"method":"memory.set","params":{"key":"%s","value":' % key.encode()
    await peer.send(begin + value + b"}}")
    reply = await peer.receive()
    if taken:
        assert reply["result"]["version"] == 1
        assert "result" in await peer.ask("memory.get", key=key)
    else:
        assert (reply["id"], reply["error"]["code"], reply["error"]["data"]["limit"]) == (None, -32006, 64)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"1" * 300, None),
        (b"-" + b"9" * 25, None),
        (b"1e308", None),
        (b"1" * 5000, -32602),
        (b"1e400", -32602),
    ],
    ids=["300 digits", "26 digits", "large float", "5000 digits", "past every float"],
)
async def test_a_huge_number_is_kept_exactly_or_refused(peer: Peer, value: bytes, code: int | None) -> None:
    await peer.send(b'{"jsonrpc":"2.0","id":1,"method":"memory.set","params":{"key":"n","value":' + value + b"}}")
    reply = await peer.receive()
    if code is None:
        assert reply["result"]["value"] == (float(value) if b"e" in value else int(value))
    else:
        assert reply["error"]["code"] == code


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("event.list", {"since": None}),
        ("event.subscribe", {"since": None}),
        ("memory.list", {"limit": None}),
        ("memory.set", {"key": "k", "value": 1, "ttl": None}),
        ("memory.set", {"key": "k", "value": 1, "if_version": None}),
        ("component.set", {"name": "n", "status": "down", "health": None}),
        ("context.bundle", {"budget_tokens": None}),
    ],
)
async def test_a_number_past_64_bits_is_refused_or_harmless_as_a_parameter(
    peer: Peer, method: str, params: dict[str, Any], value: int
) -> None:
    given = {name: value if content is None else content for name, content in params.items()}
    reply = await peer.ask(method, **given)
    if "error" in reply:
        assert reply["error"]["code"] in {-32602, -32002}


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
def test_endless_lines_of_many_connections_leave_the_process_small(home: Any, anyio_backend: Any) -> None:
    with Process(home) as process:
        before = process.resident_bytes()
        connections = [process.connect() for _ in range(4)]
        bystander = process.connect()
        for _ in range(48):
            for connection in connections:
                connection.sendall(b"x" * MIB)
            bystander.sendall(request(1, "daemon.ping") + b"\n")
            assert b"result" in bystander.recv(4096)
        after = process.resident_bytes()
        for connection in (*connections, bystander):
            connection.close()
    # Four times the longest line, and as much again for what the allocator has not given back.
    assert after - before < 4 * 2 * 17 * MIB
