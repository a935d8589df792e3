"""What is not for agents: what takes the place of everything, or takes the way back.

An agent is who said so: this guards against accidents, not against a hostile program of the same user.
"""

from __future__ import annotations

from kept.wire import Actor
from kept.wire.errors import Denied


def refuse_agents(caller: Actor, what: str) -> None:
    """Raises `Denied` where the caller said that it is an agent; `what` completes "an agent doesn't"."""
    if caller.is_agent:
        raise Denied(f"an agent doesn't {what}", hint="Ask a person to do it.")
