"""The `kept` script: sends its arguments to the daemon and prints the answer.

Owns the way from a shell to the daemon's command line and back, and nothing of the command line itself: that is
`kept.cli`, which the daemon runs, and which runs here when no daemon answers or when a command needs the caller's files
or terminal.

Most of a short command's time is Python's start, so the common path imports nothing that the interpreter hasn't loaded
already, but `kept.thin`, `kept.paths`, `kept.trust`, `_socket` and `_json`.

Installed as an ordinary console script: that works wherever pip, uv and pipx put it. On CPython 3.11 to 3.13 a command
takes 1.2 to 1.4 times as long as `python -I -S -c pass`. The wrapper that a pip before 25.2 writes imports `re`, which
makes it 1.9. Left out: a start with -I -S (gains 0.05, and has to guess where the package is), a /bin/sh stub in front
(loses 0.1), and a script file in the wheel (as fast, but pip gives it a first line that fails in a folder with a space
in its name).
"""

from __future__ import annotations

import os
import sys
from io import BytesIO, TextIOWrapper

from kept.paths import BadPlace, find
from kept.thin import (
    CAN_ASK,
    COMMAND,
    GREETING,
    NO_DAEMON,
    REFUSED,
    USAGE,
    Handover,
    Refusal,
    decode,
    exchange,
    reach,
    request,
    stranger,
    write,
)
from kept.trust import Untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any, NoReturn

STDIN_BYTES = 16 * 1024 * 1024
"""The most that `-` reads; a message to the daemon is bounded by the same size."""

BRIEF_SECONDS = {"shell-banner": 0.1, "complete": 1.0, "shell-log": 600.0}
"""The commands that a shell runs by itself, and how long each may take from its request to the answer. A prompt waits
for the first, a person who has pressed Tab for the second, and nobody for the third (`kept.brief`)."""

NOT_RUN = (-32601, -32602, -32007)
"""Refusals of a daemon that did nothing: it knows no `cli.run`, knows it otherwise, or is busy (`kept.wire.errors`)."""

INTERRUPTED = 130
BROKEN = 70
"""EX_SOFTWARE of sysexits.h."""

BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended."""


def main() -> NoReturn:
    """Run the command line of this process, and end the process."""
    _fill_descriptors()
    try:
        try:
            code = _remote(sys.argv[1:])
        except Handover as handover:
            _local(sys.argv[1:], handover)
        except Refusal as refusal:
            write(2, f"kept: {refusal}\n")
            code = refusal.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = BROKEN_PIPE
    except Exception as fault:
        if os.environ.get("KEPT_DEBUG"):
            raise
        # Its text could hold what was typed.
        write(2, f"kept: a fault in kept itself ({type(fault).__name__}); KEPT_DEBUG=1 shows the details\n")
        code = BROKEN
    # All output is written and there is nothing to close: taking the interpreter apart would only take time.
    os._exit(code)


def _fill_descriptors() -> None:
    """Open /dev/null for each standard descriptor that the caller has closed.

    A socket would get its number else, and be read as the input, or get the output. Standard input is opened for
    writing, so that reading it fails: nothing was given, which is not the same as an empty text.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDWR), (2, os.O_RDWR)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken, and all below are in use.
            os.set_inheritable(os.open(os.devnull, mode), True)


def _local(argv: list[str], handover: Handover) -> NoReturn:
    """Run the command line here."""
    from kept.cli import main as run  # noqa: PLC0415 - loads what the common path does without

    # Python has None for a stream that was closed when it began.
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lasts to the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    if handover.stdin is not None:
        sys.stdin = TextIOWrapper(BytesIO(handover.stdin), encoding="utf-8")
    code = run(argv, handover.key)
    sys.stdout.flush()
    sys.exit(code)


def _remote(argv: list[str]) -> int:
    """Have the daemon run `argv`; print what it says and return its exit code."""
    try:
        "\0".join(argv).encode()
    except UnicodeEncodeError:
        raise Refusal("an argument is not UTF-8; kept stores text, not bytes", USAGE) from None
    if not CAN_ASK or _looks_from_outside(argv):
        raise Handover
    if argv[:1] == ["shell-init"]:
        return _shell_init(argv[1:])
    if argv and argv[0] in BRIEF_SECONDS:
        return _briefly(argv)
    connection = _connect()
    if os.environ.get("KEPT_AGENT"):
        _introduce(connection)
    stdin = _read_stdin() if "-" in argv else None
    key = os.urandom(16).hex()
    reply = exchange(connection, request(argv, stdin, key), stdin, key)
    error = reply.get("error")
    if isinstance(error, dict):
        if reply.get("id") is None or error.get("code") in NOT_RUN:
            connection.close()
            raise Handover(stdin)
        # It may have been carried out, in part or whole: run again here, it could be stored twice.
        return _tell(argv, error)
    result = reply.get("result")
    if not isinstance(result, dict):
        raise stranger()
    if result.get("local"):
        # What runs here has a connection of its own, and may take hours, as `kept watch` does.
        connection.close()
        raise Handover(stdin)
    write(1, result.get("out", ""))
    write(2, result.get("err", ""))
    return int(result.get("code", REFUSED))


def _looks_from_outside(argv: list[str]) -> bool:
    """Whether this is `kept doctor` or `kept daemon ...`: a daemon that hangs can't say so itself, nor end itself. Or
    `kept vault ...`: what somebody types there by mistake, and what it shows, goes through no hands but its own."""
    words = iter(argv)
    for word in words:
        if word in {"--socket", "--colour"}:
            next(words, None)
        elif not word.startswith("--"):
            return word in {"doctor", "daemon", "vault"} or (word == "rpc" and any("vault" in other for other in words))
    return False


def _introduce(connection: socket) -> None:
    """Say that this runs for an agent. Where the daemon doesn't take that, `kept.cli` tells why."""
    from kept.agent import greeting, named  # noqa: PLC0415 - not for people

    name = named(os.environ)
    if name and "error" in exchange(connection, greeting(name, GREETING)):
        connection.close()
        raise Handover


def _shell_init(words: list[str]) -> int:
    """Print a shell's lines, which needs no daemon. What isn't as it is usually typed is left to `kept.cli`."""
    from kept.shells import SHELLS, start_up  # noqa: PLC0415 - for this command alone

    flags = set(words[1:])
    if not words or words[0] not in SHELLS or not flags <= {"--no-banner", "--log-commands", "--no-start"}:
        raise Handover
    try:
        state_file = find(os.environ).state_file
    except BadPlace as fault:
        raise Refusal(str(fault), USAGE) from None
    banner, log, may_start = "--no-banner" not in flags, "--log-commands" in flags, "--no-start" not in flags
    write(1, start_up(words[0], state_file, banner=banner, log_commands=log, may_start=may_start))
    return 0


def _briefly(argv: list[str]) -> int:
    """Have the daemon run a command that a shell runs by itself. Whatever is wrong, it is over soon, and silent."""
    from kept.brief import answer, is_welcome, start_behind  # noqa: PLC0415 - for shells alone

    if argv[0] == "shell-log":
        return _send_typed(argv)
    try:
        connection = reach()
    except (FileNotFoundError, ConnectionRefusedError):
        if argv[0] == "complete":
            raise Handover from None
        if argv[0] == "shell-banner" and "--no-start" not in argv:
            start_behind()
        return 0
    except (OSError, BadPlace, Untrusted):
        return 0
    if not is_welcome(argv, connection, os.environ):
        return 0
    result = _result(answer(connection, request(argv, None), BRIEF_SECONDS[argv[0]]))
    if result.get("code") == 0:
        write(1, result.get("out", ""))
    return 0


def _send_typed(argv: list[str]) -> int:
    """Have the daemon log what was typed, once however often it is sent: this process keeps it and tries again."""
    from kept.brief import answer, deliver, is_welcome, typed  # noqa: PLC0415 - for shells alone

    stdin = typed()
    if not stdin:
        return 0
    sent = request([*argv, "--key", os.urandom(16).hex()], stdin)

    def attempt(left: float) -> bool:
        try:
            connection = reach()
        except (OSError, Untrusted):
            return False
        except BadPlace:
            return True  # Another try would look there again.
        try:
            if not is_welcome(argv, connection, os.environ):
                return False
            return _result(answer(connection, sent, left)).get("code") in (0, USAGE)
        finally:
            connection.close()

    deliver(attempt)
    return 0


def _result(reply: bytes | None) -> dict[str, Any]:
    """What the command gave; empty where there is no such answer."""
    try:
        messages = [decode(line) for line in (reply or b"").split(b"\n")[:-1]]
    except Refusal:
        return {}
    results = [message.get("result") for message in messages if message.get("id") == COMMAND]
    return next((result for result in results if isinstance(result, dict)), {})


def _tell(argv: list[str], error: dict[str, Any]) -> int:
    """Show an error of the daemon as the command line shows it, and give the exit code."""
    from kept.cli import refused  # noqa: PLC0415 - loads what the common path does without

    return refused(argv, error)


def _connect() -> socket:
    """A connection to the owner's daemon.

    Raises `Handover` where none answers, and `Refusal` where what answers can't be trusted.
    """
    try:
        return reach()
    except BadPlace as fault:
        raise Refusal(str(fault), USAGE) from None
    except Untrusted as fault:
        raise Refusal(str(fault), NO_DAEMON) from None
    except OSError:
        raise Handover from None


def _read_stdin() -> bytes:
    from kept.given import Unusable, whole  # noqa: PLC0415 - for `-` alone

    try:
        return whole(STDIN_BYTES)
    except Unusable as fault:
        raise Refusal(str(fault), USAGE) from None


if __name__ == "__main__":
    main()
