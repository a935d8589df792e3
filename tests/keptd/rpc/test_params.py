"""A refused parameter: the error names the field, the limit and the next step, and never the value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
import pytest
from msgspec import Raw

from kept.wire import Call
from kept.wire.catalog import calls
from kept.wire.errors import InvalidParams
from keptd.rpc.params import Params
from tests.harness import Daemon, Peer

CANARY = "Canary-7f3e\u0000"


def refusal(method: str, params: Any) -> InvalidParams:
    raw = params if isinstance(params, bytes) else json.dumps(params).encode()
    with pytest.raises(InvalidParams) as caught:
        Params(calls()[method]).decode(Raw(raw))
    return caught.value


K = {"key": "k", "value": 1}

WRONG: list[tuple[str, Any, str, str]] = [
    ("memory.set", {}, "key", "key is required"),
    ("memory.set", {"key": "k"}, "value", "value is required"),
    ("memory.set", {**K, "prioritty": 1}, "prioritty", "has no parameter prioritty"),
    ("memory.set", {**K, "priority": 11}, "priority", "<= 10"),
    ("memory.set", {**K, "priority": 0}, "priority", ">= 1"),
    ("memory.set", {**K, "priority": "5"}, "priority", "expected int"),
    ("memory.set", {**K, "priority": 5.5}, "priority", "expected int"),
    ("memory.set", {**K, "priority": True}, "priority", "expected int"),
    ("memory.set", {**K, "key": ""}, "key", "length >= 1"),
    ("memory.set", {**K, "key": "x" * 201}, "key", "length <= 200"),
    ("memory.set", {**K, "key": "a\nb"}, "key", "without control characters"),
    ("memory.set", {**K, "key": "a\u007fb"}, "key", "without control characters"),
    ("action.log", {"action": "a\0b"}, "action", "without NUL (U+0000)"),
    ("message.send", {"session_id": "s", "content": "\n\t\0"}, "content", "without NUL (U+0000)"),
    ("memory.set", {**K, "key": None}, "key", "expected str, got null"),
    ("memory.set", {**K, "tags": ["ok", "x" * 65]}, "tags[1]", "length <= 64"),
    ("memory.set", {**K, "tags": ["x"] * 33}, "tags", "length <= 32"),
    ("memory.set", {**K, "tier": "hot"}, "tier", "one of persistent"),
    ("memory.set", {**K, "on_secret": "ignore"}, "on_secret", "one of refuse, redact, allow"),
    ("memory.set", {**K, "expires_at": "tomorrow"}, "expires_at", "RFC3339"),
    ("memory.set", {**K, "expires_at": "2026-01-01T00:00:00"}, "expires_at", "timezone"),
    ("memory.set", {**K, "session_id": "a b"}, "session_id", "^[A-Za-z0-9-]+$"),
    ("memory.set", b'{"key":"k","value":{"a":[' + b"9" * 5000 + b"]}}", "value", "out of range"),
    ("event.list", {"limit": 1001}, "limit", "<= 1000"),
    ("event.list", {"topics": ["A b"]}, "topics[0]", "^([a-z_]+"),
    ("memory.search", {"query": "x" * 1001}, "query", "length <= 1000"),
]


@pytest.mark.parametrize(("method", "params", "field", "reason"), WRONG)
def test_a_wrong_parameter_is_named_with_its_limit(method: str, params: Any, field: str, reason: str) -> None:
    error = refusal(method, params)
    assert error.data["field"] == field
    assert reason in error.message
    assert field in error.message
    assert error.hint


@pytest.mark.parametrize("params", [[], ["k", 1], [{"key": "k"}]])
def test_parameters_by_position_are_refused_with_the_names(params: Any) -> None:
    error = refusal("memory.get", params)
    assert "by name, not by position" in error.message
    assert "key, scope" in error.hint


@pytest.mark.parametrize("params", ["text", 1, True, None])
def test_parameters_of_another_kind_are_refused(params: Any) -> None:
    assert "expected object" in refusal("memory.get", params).message


def test_the_hint_names_what_a_method_takes_with_its_own_parameters_first() -> None:
    assert "key, value, scope" in refusal("memory.set", {}).hint
    assert refusal("memory.set", {}).hint.endswith("idempotency_key, on_secret.")
    assert "no parameters" in refusal("daemon.ping", {"a": 1}).hint
    assert refusal("memory.set", {**K, "prioritty": 1}).hint == "Did you mean priority?"


def test_of_a_parameter_given_twice_the_last_one_counts() -> None:
    decoded = Params(calls()["memory.get"]).decode(Raw(b'{"key":"first","key":"last"}'))
    assert decoded.key == "last"  # type: ignore[attr-defined]


def test_no_parameters_may_be_left_out_or_empty() -> None:
    decode = Params(calls()["daemon.ping"]).decode
    assert decode(Raw()) == decode(Raw(b"{}"))


WRONG_VALUES = [CANARY, [CANARY], {CANARY: CANARY}, {"a": [CANARY]}, [[CANARY]]]


def wrong(call: type[Call[Any]]) -> Iterator[dict[str, Any]]:
    """Parameters with a canary in each place. What is missing is filled in as well, so that the canary is what is
    refused wherever it can be."""
    hints = get_type_hints(call)
    filled = {
        field.name: "x" for field in msgspec.structs.fields(call) if field.required and hints[field.name] is not int
    }
    for field in call.__struct_fields__:
        for value in WRONG_VALUES:
            yield {field: value}
            yield {**filled, field: value}
    yield {**filled, CANARY: CANARY}
    yield {**filled, CANARY.lower()[:6] + "!": 1}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_refusal_and_no_log_line_quotes_a_value(daemon: Daemon, peer: Peer) -> None:
    for method, call in calls().items():
        for given in wrong(call) if method != "daemon.stop" else ():
            reply = await peer.ask(method, **given)
            if "error" in reply:
                assert CANARY[:6] not in str(reply["error"]), (method, given)
                assert reply["error"]["code"] != -32603, (method, given)
    assert CANARY[:6] not in daemon.log()
