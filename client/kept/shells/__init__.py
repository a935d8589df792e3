"""The lines that a shell evaluates when it starts, and those of its completion: text, made of parts by shell.

Owns how the parts are put together. Knows no daemon: a shell gets its lines whether one runs, hangs or is missing, so
that all they need is the path of the state file. Imports nothing, because the thin script prints them.

Three rules hold for every part. It changes nothing that belongs to the user (options, traps, `$?`, hooks, aliases)
and stands whatever they are. It prints nothing but the banner. What it runs is `kept` itself, bounded (`kept.brief`).
"""

from __future__ import annotations

from kept.shells import bash, fish, zsh

SHELLS = ("bash", "zsh", "fish")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _Parts(Protocol):
        """What each module of a shell has."""

        COMPLETION: str
        BANNER: str
        LOG: str

        def export(self, state_file: str, /) -> str: ...

        def whole(self, parts: list[str], /) -> str: ...


_PARTS: dict[str, _Parts] = {"bash": bash, "zsh": zsh, "fish": fish}


def completion(shell: str) -> str:
    """The lines that set up completion in one of `SHELLS`."""
    return _PARTS[shell].whole([_PARTS[shell].COMPLETION])


def start_up(shell: str, state_file: str, *, banner: bool, log_commands: bool, may_start: bool) -> str:
    """The lines for the start-up file of one of `SHELLS`.

    `banner` shows the short context once in a terminal, and unless `may_start` is False has the daemon started where
    there is none; `log_commands` logs each interactive command.
    """
    parts = _PARTS[shell]
    lines = [parts.export(state_file), parts.COMPLETION]
    if banner:
        lines.append(parts.BANNER.replace("@options@", "" if may_start else " --no-start"))
    if log_commands:
        lines.append(parts.LOG)
    return parts.whole(lines)
