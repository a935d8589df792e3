"""What a connection says first where it is an agent's, and the refusal of a name that can't be one: it names the
variable, since nobody has typed a parameter `client`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from .agent import VARIABLE, named
from .wire.daemon import Hello
from .wire.errors import SecretFound


class BadAgent(Exception):
    """The variable holds no agent's name. The text doesn't repeat it; `step` says what to do."""

    step = f"Set it to a short name, as in {VARIABLE}=claude, or unset it where no agent runs this."


def hello_of(environ: Mapping[str, str]) -> Hello | None:
    """What an agent's connections say; None where a person runs this. Raises `BadAgent`."""
    name = named(environ)
    if name is None:
        return None
    try:
        name.encode()
        return msgspec.convert({"client": name, "kind": "agent"}, Hello)
    except (UnicodeEncodeError, msgspec.ValidationError):
        raise BadAgent(
            f"{VARIABLE} is no agent's name: that has 1 to 200 characters, and no control characters"
        ) from None


@contextmanager
def introducing(environ: Mapping[str, str]) -> Iterator[None]:
    """Around what opens a connection: raises `BadAgent` where the daemon refuses the name."""
    try:
        yield
    except SecretFound as refusal:
        if named(environ) is None or refusal.data.get("field") != "client":
            raise
        kind = refusal.data.get("kind", "secret")
        raise BadAgent(f"{VARIABLE} holds what looks like a credential ({kind}), and no agent's name") from None
