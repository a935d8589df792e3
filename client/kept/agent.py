"""What a process says of itself that runs for an agent: KEPT_AGENT is the agent's name, and all that runs below it
inherits that.

Every connection of the `kept` script then begins with `daemon.hello {kind: "agent"}`, so that the daemon gives it those
secrets alone that an agent may read. It guards against an agent's mistakes and not against its will: whoever can change
the environment can leave the variable out.

Part of the thin script: imports what a bare interpreter has.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "KEPT_AGENT"


def named(environ: Mapping[str, str]) -> str | None:
    """The agent's name; None where this runs for a person."""
    return environ.get(VARIABLE) or None


def greeting(name: str, number: int) -> bytes:
    """The request that says it, with this id. What can't be a name is left to the daemon to refuse."""
    from _json import encode_basestring_ascii as quote  # noqa: PLC0415 - the caller has loaded it, or doesn't come here

    params = f'{{"client":{quote(name)},"kind":"agent"}}'
    return f'{{"jsonrpc":"2.0","id":{number},"method":"daemon.hello","params":{params}}}\n'.encode()
