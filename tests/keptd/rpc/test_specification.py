"""The fifteen examples of section 7 of the JSON-RPC 2.0 specification (https://www.jsonrpc.org/specification).

kept's methods stand in the place of `subtract`, `sum`, `update`, `notify_hello` and `get_data`.

The one difference is by design: parameters go by name, so that the first two are refused with -32602.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Daemon, Peer, notification, request

pytestmark = pytest.mark.anyio

Outline = tuple[Any, Any]
"""A reply in short: its id, and an error's code or else the method that made the result."""

GET = '"method": "memory.get", "params": {"key": "minuend"}'
MINUEND = 42

EXAMPLES: list[tuple[str, str, Any]] = [
    (
        "rpc call with positional parameters",
        '{"jsonrpc": "2.0", "method": "memory.get", "params": ["minuend", "global"], "id": 1}',
        (1, -32602),
    ),
    (
        "rpc call with positional parameters, the other way round",
        '{"jsonrpc": "2.0", "method": "memory.get", "params": ["global", "minuend"], "id": 2}',
        (2, -32602),
    ),
    (
        "rpc call with named parameters",
        '{"jsonrpc": "2.0", "method": "memory.get", "params": {"key": "minuend", "scope": "global"}, "id": 3}',
        (3, MINUEND),
    ),
    (
        "rpc call with named parameters, the other way round",
        '{"jsonrpc": "2.0", "method": "memory.get", "params": {"scope": "global", "key": "minuend"}, "id": 4}',
        (4, MINUEND),
    ),
    (
        "a notification",
        '{"jsonrpc": "2.0", "method": "memory.set", "params": {"key": "update", "value": [1, 2, 3, 4, 5]}}',
        None,
    ),
    (
        "a notification without parameters, of a method that does not exist",
        '{"jsonrpc": "2.0", "method": "foobar"}',
        None,
    ),
    ("rpc call of a method that does not exist", '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', ("1", -32601)),
    ("rpc call with invalid JSON", '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', (None, -32700)),
    ("rpc call with an invalid request object", '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', (None, -32600)),
    (
        "rpc call batch, invalid JSON",
        '[{"jsonrpc": "2.0", ' + GET + ', "id": "1"}, {"jsonrpc": "2.0", "method"]',
        (None, -32700),
    ),
    ("rpc call with an empty array", "[]", (None, -32600)),
    ("rpc call with an invalid batch, but not empty", "[1]", [(None, -32600)]),
    ("rpc call with an invalid batch", "[1,2,3]", [(None, -32600)] * 3),
    (
        "rpc call batch",
        (
            "["
            '{"jsonrpc": "2.0", ' + GET + ', "id": "1"},'
            '{"jsonrpc": "2.0", "method": "memory.set", "params": {"key": "notify_hello", "value": 7}},'
            '{"jsonrpc": "2.0", "method": "memory.get", "params": ["minuend"], "id": "2"},'
            '{"foo": "boo"},'
            '{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
            '{"jsonrpc": "2.0", "method": "memory.get", "params": {"key": "minuend"}, "id": "9"}'
            "]"
        ),
        [("1", MINUEND), ("2", -32602), (None, -32600), ("5", -32601), ("9", MINUEND)],
    ),
    (
        "rpc call batch, all notifications",
        (
            "["
            '{"jsonrpc": "2.0", "method": "memory.set", "params": {"key": "notify_sum", "value": 1}},'
            '{"jsonrpc": "2.0", "method": "memory.set", "params": {"key": "notify_hello", "value": 7}}'
            "]"
        ),
        None,
    ),
]


@pytest.fixture
def daemon(lasting: Daemon) -> Daemon:
    """One for all examples."""
    return lasting


def outline(reply: dict[str, Any]) -> Outline:
    assert reply["jsonrpc"] == "2.0"
    assert ("result" in reply) != ("error" in reply)
    if "error" in reply:
        assert isinstance(reply["error"]["message"], str)
        return reply["id"], reply["error"]["code"]
    return reply["id"], reply["result"]["value"]


def test_there_are_fifteen_examples() -> None:
    assert len(EXAMPLES) == 15


@pytest.mark.parametrize(("sent", "expected"), [pytest.param(*rest, id=name) for name, *rest in EXAMPLES])
async def test_an_example_of_the_specification_holds(peer: Peer, sent: str, expected: Any) -> None:
    await peer.result("memory.set", key="minuend", value=MINUEND)
    await peer.send(sent.encode(), request("after", "memory.get", key="minuend"))
    replies = [await peer.receive()]
    if expected is not None:
        replies.append(await peer.receive())
    assert outline(replies[-1]) == ("after", MINUEND)
    if isinstance(expected, list):
        assert sorted(map(outline, replies[0]), key=str) == sorted(expected, key=str)
    elif expected is not None:
        assert outline(replies[0]) == expected


async def test_a_notification_has_its_effect_though_it_is_not_answered(peer: Peer) -> None:
    await peer.send(notification("memory.set", key="update", value=1), request(1, "memory.set", key="next", value=2))
    assert (await peer.receive())["id"] == 1
    assert (await peer.result("memory.get", key="update"))["value"] == 1
