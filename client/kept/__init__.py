"""kept: the state of a person who works with AI agents, kept by one local daemon.

    import kept
    from kept.wire.memory import GetMemory, SetMemory

    with kept.connect() as client:
        client.call(SetMemory(key="editor", value="neovim"))
        print(client.call(GetMemory(key="editor")).value)

Importing this package loads nothing else: the thin script does so on every command. `connect` and `connect_async` load
what they need when they are called.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .face import connect, connect_async

__all__ = ["connect", "connect_async"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'kept' has no attribute {name!r}")
    from . import face  # noqa: PLC0415 - only for programs that use the library

    return getattr(face, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
