"""What happens, from end to end, to a write whose text looks like a credential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kept.wire import Write
from kept.wire.catalog import calls
from kept.wire.errors import SecretFound
from tests.harness import Daemon, Peer, notification, running

pytestmark = pytest.mark.anyio

TOKEN = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
KEY_ID = "AKIA" + "Q7M2ZK4JX5TB6WNC"
WRITES: list[tuple[str, dict[str, Any], str]] = [
    ("memory.set", {"key": "k", "value": f"token {TOKEN} here"}, "value"),
    ("memory.set", {"key": "k", "value": {"deep": [1, {"er": TOKEN}]}}, "value"),
    ("memory.set", {"key": "k", "value": 1, "tags": ["ok", TOKEN]}, "tags"),
    ("memory.set", {"key": TOKEN, "value": 1}, "key"),
    ("action.log", {"action": f"logged in with {TOKEN}"}, "action"),
    ("decision.add", {"decision": "d", "reasoning": f"because {TOKEN}"}, "reasoning"),
    ("error.record", {"error": "e", "context": {"header": f"Bearer {TOKEN}"}}, "context"),
]


def stored(home: Path) -> bytes:
    """Every byte that the daemon has on disk, the log among it."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("method", "params", "field"), WRITES, ids=[f"{method} {field}" for method, _, field in WRITES]
)
async def test_a_credential_is_refused_by_default_and_left_nowhere(
    home: Path, daemon: Daemon, peer: Peer, method: str, params: dict[str, Any], field: str
) -> None:
    reply = await peer.ask(method, **params)
    error = reply["error"]
    assert (error["code"], error["data"]["type"]) == (-32011, "secret_found")
    assert error["data"]["field"].startswith(field)
    assert error["message"] == f"{error['data']['field']} holds what looks like a credential ({error['data']['kind']})"
    assert "vault" in error["data"]["hint"]
    await peer.send(notification(method, **params))
    await peer.is_served()
    assert (await peer.result("event.list"))["items"] == []
    assert TOKEN not in str(reply)
    assert TOKEN.encode() not in stored(home)


async def test_redact_keeps_the_text_and_masks_the_credential(home: Path, daemon: Daemon, peer: Peer) -> None:
    entry = await peer.result("memory.set", key="k", value=f"token {TOKEN} here", on_secret="redact")
    assert entry["value"].startswith("token ")
    assert entry["value"].endswith(" here")
    assert (await peer.result("memory.search", query="token"))["items"][0]["key"] == "k"
    assert (await peer.result("memory.search", query=TOKEN))["items"] == []
    assert TOKEN.encode() not in stored(home)


async def test_redact_refuses_where_a_mask_does_not_fit(home: Path, daemon: Daemon, peer: Peer) -> None:
    assert await peer.refusal("memory.set", key="k", value=1, session_id=KEY_ID, on_secret="redact") == (
        -32011,
        "secret_found",
    )
    assert (await peer.result("event.list"))["items"] == []
    assert KEY_ID.encode() not in stored(home)


async def test_allow_keeps_the_text_as_it_is_but_not_in_the_log(daemon: Daemon, peer: Peer) -> None:
    await peer.result("memory.set", key="k", value=TOKEN, on_secret="allow")
    assert (await peer.result("memory.get", key="k"))["value"] == TOKEN
    assert TOKEN not in daemon.log()


@pytest.mark.parametrize(("policy", "kept"), [("allow", True), ("redact", False)])
async def test_the_setting_holds_where_a_call_says_nothing(home: Path, policy: str, kept: bool) -> None:
    async with running(home, secrets__on_secret=policy) as daemon:
        peer = await daemon.connect()
        assert (TOKEN in (await peer.result("memory.set", key="k", value=TOKEN))["value"]) == kept
        assert await peer.refusal("memory.set", key="k", value=TOKEN, on_secret="refuse") == (-32011, "secret_found")


async def test_the_setting_can_change_at_run_time(daemon: Daemon, peer: Peer) -> None:
    assert await peer.refusal("memory.set", key="k", value=TOKEN) == (-32011, "secret_found")
    daemon.reconfigure(secrets__on_secret='"allow"')
    await peer.result("daemon.reload")
    assert (await peer.result("memory.set", key="k", value=TOKEN))["value"] == TOKEN


async def test_reading_a_credential_is_no_fault(peer: Peer) -> None:
    assert await peer.refusal("memory.get", key=TOKEN) == (-32001, "not_found")
    assert (await peer.result("memory.search", query=TOKEN))["items"] == []


@pytest.mark.parametrize("field", ["client", "version", "user", "project", "session"])
async def test_a_credential_in_a_name_of_the_caller_is_refused(home: Path, peer: Peer, field: str) -> None:
    reply = await peer.ask("daemon.hello", **{"client": "tester", field: TOKEN})
    assert (reply["error"]["code"], reply["error"]["data"]["field"]) == (-32011, field)
    assert "on_secret" not in reply["error"]["data"]["hint"]
    await peer.result("memory.set", key="k", value=1)
    assert TOKEN not in str(await peer.result("event.list"))
    assert TOKEN.encode() not in stored(home)


async def test_a_credential_in_a_name_of_the_caller_is_masked_where_the_setting_says_so(home: Path) -> None:
    async with running(home, secrets__on_secret="redact") as daemon:
        welcome = await (await daemon.connect()).result("daemon.hello", client="tester", session=TOKEN)
        assert welcome["actor"]["session"] == "[redacted github_token]"


def test_every_call_whose_text_is_stored_says_so() -> None:
    keeping = {name for name, call in calls().items() if call.keeps_text}
    assert keeping == {name for name, call in calls().items() if issubclass(call, Write)} | {"daemon.hello"}
    assert all(SecretFound in (*calls()[name].errors, *calls()[name].common_errors) for name in keeping)


async def test_what_a_call_leaves_out_is_not_looked_at(peer: Peer) -> None:
    entry = await peer.result("memory.set", key="k", value="plain", on_secret="redact", expires_at=None)
    assert entry["value"] == "plain"


async def test_an_unknown_policy_is_refused(peer: Peer) -> None:
    assert await peer.refusal("memory.set", key="k", value=1, on_secret="ignore") == (-32602, "invalid_params")


async def test_a_refused_credential_does_not_use_up_its_idempotency_key(peer: Peer) -> None:
    assert await peer.refusal("memory.set", key="k", value=TOKEN, idempotency_key="i") == (-32011, "secret_found")
    assert (await peer.result("memory.set", key="k", value="plain", idempotency_key="i"))["value"] == "plain"
