"""What a shell is told: completion, the start-up lines, the banner; and what it tells: the commands that were typed."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..shells import completion as completion_of
from ..typed import read
from ..wire.errors import SecretFound
from ..wire.journal import LogAction
from .banner import lines_of
from .parse import Command
from .surface import FINE, Caller, Surface, the_caller

Shell = Annotated[Literal["bash", "zsh", "fish"], Meta(description="Which shell.")]

SendingKey = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class Completion(Struct, frozen=True, kw_only=True):
    """Print the completion script of a shell."""

    shell: Shell


class ShellInit(Struct, frozen=True, kw_only=True):
    """Print the lines that a shell's start-up file evaluates. They need no daemon.

    They export KEPT_STATE_FILE, which names the mirror of the current state, and set up completion. In a new terminal
    they show a few lines of what is open, once, and have the daemon started in the background where it doesn't run
    (not with --no-start). Scripts, `ssh HOST COMMAND` and the like see none of that.

    With --log-commands, each command that is typed is logged as an action, with its exit status, how long it took and
    its folder. Secrets are masked before it leaves the shell's side: what stands where programs take one, and what
    looks like one; no mask knows every program. What begins with a space, and what bash's history leaves out, is not
    logged. While the daemon doesn't answer, about 16,000 characters wait up to ten minutes; more is lost, and what is
    typed behind them when the shell ends.
    """

    shell: Shell
    banner: Annotated[bool, Meta(description="Show what is open in a new terminal.")] = True
    log_commands: Annotated[bool, Meta(description="Log each command that is typed.")] = False


class ShellBanner(Struct, frozen=True, kw_only=True):
    """For shells: the short context, or nothing."""


class ShellLog(Struct, frozen=True, kw_only=True):
    """For shells: log the commands that standard input tells, each with its exit status, its milliseconds or nothing,
    and its folder, a line each, and an ASCII record separator behind it. What no daemon answers to is kept and sent
    later, up to ten minutes."""

    key: Annotated[SendingKey | None, Meta(description="The same where the same commands are sent again.")] = None


class Complete(Struct, frozen=True, kw_only=True):
    """For shells: the candidates for the last of the words after `kept`, one per line, each with a tab and what it
    is."""

    words: Annotated[tuple[str, ...], Meta(description="The words up to the cursor; the last may be empty.")] = ()


class Help(Struct, frozen=True, kw_only=True):
    """Help for everything, for a domain, or for a command."""

    words: Annotated[tuple[str, ...], Meta(description="A domain or a command.")] = ()


def complete(wanted: Complete, call: Caller, surface: Surface) -> int:
    """Print the candidates. A shell that waits for a Tab gets candidates or none, never an error."""
    from .complete import candidates  # noqa: PLC0415 - it needs every command, this one among them

    *before, word = wanted.words or ("",)
    for candidate, about in candidates(before, word, call):
        surface.line(f"{candidate}\t{about}".rstrip("\t"))
    return FINE


def show_help(wanted: Help, _: Caller, surface: Surface) -> int:
    """Print help."""
    from .help import about  # noqa: PLC0415 - as above

    surface.out(about(wanted.words, surface.columns))
    return FINE


def completion(wanted: Completion, _: Caller, surface: Surface) -> int:
    """Print a completion script."""
    surface.out(completion_of(wanted.shell))
    return FINE


def shell_init(wanted: ShellInit, _: Caller, surface: Surface) -> int:
    """Print the start-up lines."""
    surface.out(the_caller(surface).shell_lines(wanted.shell, wanted.banner, wanted.log_commands))
    return FINE


def shell_banner(_: ShellBanner, call: Caller, surface: Surface) -> int:
    """Print the banner."""
    for line in lines_of(call, surface):
        surface.line(line)
    return FINE


def shell_log(wanted: ShellLog, call: Caller, surface: Surface) -> int:
    """Log what was typed, masked."""
    for number, typed in enumerate(read(surface.stdin())):
        key = wanted.key and f"{wanted.key}-{number}"
        action = LogAction(action=typed.command, details=typed.details, on_secret="redact", idempotency_key=key)  # noqa: S106 - a choice
        with suppress(SecretFound):
            call(action)
    return FINE


SHELL = (
    Command(
        ("shell-init",),
        ShellInit,
        shell_init,
        by_position=("shell",),
        examples=(
            'eval "$(kept shell-init bash 2>/dev/null)"',
            'eval "$(kept shell-init zsh --log-commands 2>/dev/null)"',
            "command -q kept; and kept shell-init fish 2>/dev/null | source",
        ),
    ),
    Command(("shell-banner",), ShellBanner, shell_banner, starts=False, hidden=True),
    Command(("shell-log",), ShellLog, shell_log, starts=False, hidden=True),
    Command(
        ("completion",),
        Completion,
        completion,
        by_position=("shell",),
        examples=('eval "$(kept completion bash)"',),
        starts=False,
    ),
    Command(("help",), Help, show_help, by_position=("words",), examples=("kept help memory set",), starts=False),
    Command(("complete",), Complete, complete, by_position=("words",), starts=False, hidden=True),
)
