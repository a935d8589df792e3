"""Every command there is, by its words; and which one a command line means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

from .everyday import EVERYDAY
from .local import LOCAL
from .methods import RPC, commands
from .parse import Command, did_you_mean
from .service import SERVICE
from .session_moves import SESSION_MOVES
from .session_search import SESSION_SEARCH
from .session_tail import SESSION_TAIL
from .session_tree import SESSION_TREE
from .sessions import SESSIONS
from .shell import SHELL
from .surface import UsageError
from .talk import TALK
from .top import TOP
from .vault import VAULT
from .vault_import import VAULT_IMPORT

_POINTERS = {
    "get": "kept recall KEY shows what is kept under a key.",
    "list": "kept memory list lists what is kept; kept decision list and kept log what was decided and done.",
    "ls": "kept memory list lists what is kept; kept decision list and kept log what was decided and done.",
    "search": "kept recall WORDS searches memories and decisions.",
    "find": "kept recall WORDS searches memories and decisions.",
    "forget": "kept memory delete KEY forgets what is kept under a key.",
    "set": "kept remember KEY VALUE keeps a value under a key.",
    "check": "kept doctor looks at everything, and says what to do.",
    "health": "kept doctor looks at everything, and says what to do.",
    "stop": "kept daemon stop ends the daemon.",
    "chat": "kept session new begins a conversation; kept session ls lists them.",
    "send": "kept session send ID TEXT says something in a conversation; kept session ls lists them.",
    "tail": "kept session tail ID -f follows a conversation; kept watch follows every change.",
    "show": "kept session show ID shows a conversation; kept recall KEY what is kept under a key.",
    "start": "kept daemon start starts the daemon.",
    "restart": "kept daemon restart starts the daemon anew.",
    "install": "kept daemon install makes kept a service that is always there.",
    "uninstall": "kept daemon uninstall removes the service; what is kept stays.",
    "logs": "kept daemon logs shows what the daemon has said.",
}
"""What people type who come from other programs, and what they mean."""


@cache
def everything() -> Mapping[tuple[str, ...], Command]:
    """All commands by their words: the everyday ones in the order of help, then a command per method, sorted.

    A command written by hand stands in for the method of the same words.
    """
    found: dict[tuple[str, ...], Command] = {}
    for command in (
        *EVERYDAY,
        *LOCAL,
        *SERVICE,
        TOP,
        *TALK,
        SESSION_TAIL,
        *SESSIONS,
        SESSION_SEARCH,
        SESSION_TREE,
        *SESSION_MOVES,
        *VAULT,
        VAULT_IMPORT,
        RPC,
        *SHELL,
        *commands(),
    ):
        found.setdefault(command.words, command)
    return MappingProxyType(found)


@cache
def domains() -> Mapping[str, tuple[Command, ...]]:
    """The commands of two words, by the first, both sorted."""
    found: dict[str, list[Command]] = {}
    for command in everything().values():
        if len(command.words) == 2:
            found.setdefault(command.words[0], []).append(command)
    return MappingProxyType({name: tuple(sorted(found[name], key=lambda each: each.words)) for name in sorted(found)})


def _is_verb(command: Command, rest: Sequence[str]) -> bool:
    """Whether the word after a command that takes none is meant for a verb of the domain of the same name."""
    is_domain = command.name in domains() and not command.by_position
    return is_domain and bool(rest) and not rest[0].startswith("-")


def find(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that `words` begin with, and the words after its name. Raises `UsageError`."""
    names = [word.replace("_", "-") for word in words[:2]]
    for length in (2, 1):
        command = everything().get(tuple(names[:length]))
        if command is not None and len(words) >= length and not (length == 1 and _is_verb(command, words[1:])):
            return command, words[length:]
    first, *more = names or [""]
    if first not in domains():
        known = {command.words[0] for command in everything().values() if not command.hidden}
        hint = _POINTERS.get(first) or did_you_mean(first, known) or "kept --help lists the commands."
        raise UsageError("no such command", hint)
    verbs = [command.words[1] for command in domains()[first]]
    hint = did_you_mean(more[0], verbs, f"kept {first} ") if more else ""
    raise UsageError(
        f"kept {first} needs one of: {', '.join(verbs)}", hint or f"kept {first} --help tells what they do."
    )
