"""The `kept` script: sends its arguments to the daemon and prints the answer.

Owns the way from a shell to the daemon's command line and back, and nothing of the command line itself: that is
`kept.cli`, which the daemon runs, and which runs here when no daemon answers or when a command needs the caller's files
or terminal.

Most of a short command's time is Python's start, so the common path imports nothing that the interpreter hasn't loaded
already, but `_socket`, `_json` and `kept.paths`: `socket` and `json` on top of them would double that time (they load
enum, re and selectors). Both C modules are CPython's own; where one is missing, `kept.cli` does the work.

Installed as an ordinary console script: that works wherever pip, uv and pipx put it. On CPython 3.11 to 3.13 a command
takes 1.2 to 1.4 times as long as `python -I -S -c pass`. The wrapper that a pip before 25.2 writes imports `re`, which
makes it 1.9. Left out: a start with -I -S (gains 0.05, and has to guess where the package is), a /bin/sh stub in front
(loses 0.1), and a script file in the wheel (as fast, but pip gives it a first line that fails in a folder with a space
in its name).

Refuses to talk to a socket that another user could have put there: the arguments may be private.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO, TextIOWrapper

from kept.paths import BadPlace, find
from kept.trust import Untrusted, check_peer, check_socket

try:
    from _json import encode_basestring_ascii, make_scanner
    from _socket import AF_UNIX, SOCK_STREAM, socket

    CAN_ASK = True
except ImportError:
    CAN_ASK = False

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, NoReturn

    from kept.bar import Bar

STDIN_BYTES = 16 * 1024 * 1024
"""The most that `-` reads; a message to the daemon is bounded by the same size."""

REPLY_BYTES = 64 * 1024 * 1024
"""The longest reply that is taken."""

CHUNK_BYTES = 1024 * 1024

QUIET_SECONDS = 5
"""After so long without a byte the daemon is asked whether it lives: a command may take long, an answer to that not."""

QUIET_TOLD = 2
QUIET_MOST = 24
"""How often the daemon may be quiet, one time after the other, until that is told, and until it is given up."""

COMMAND, PING, GREETING = 1, 2, 3
"""The ids of the requests."""

BRIEF_SECONDS = {"shell-banner": 0.1, "complete": 1.0, "shell-log": 1.0}
"""The commands that a shell runs by itself, and how long each may take from its request to the answer. A prompt waits
for the first, a person who has pressed Tab for the second, and nobody for the third."""

NOT_RUN = (-32601, -32602, -32007)
"""Refusals of a daemon that did nothing: it knows no `cli.run`, knows it otherwise, or is busy (`kept.wire.errors`)."""

REFUSED = 1
USAGE = 2
NO_DAEMON = 69
INTERRUPTED = 130
BROKEN = 70
"""EX_SOFTWARE of sysexits.h."""

UNKNOWN = "the command may have been carried out, so look before you repeat it"
BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended."""


class Refusal(Exception):
    """The command ends here: a text for standard error, and an exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Handover(Exception):
    """`kept.cli` has to run here, as nothing was done yet; what was read of standard input is in `stdin`."""

    def __init__(self, stdin: bytes | None = None) -> None:
        super().__init__()
        self.stdin = stdin


def main() -> NoReturn:
    """Run the command line of this process, and end the process."""
    _fill_descriptors()
    try:
        try:
            code = _remote(sys.argv[1:])
        except Handover as handover:
            _local(sys.argv[1:], handover.stdin)
        except Refusal as refusal:
            _write(2, f"kept: {refusal}\n")
            code = refusal.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = BROKEN_PIPE
    except Exception as fault:
        if os.environ.get("KEPT_DEBUG"):
            raise
        # Its text could hold what was typed.
        _write(2, f"kept: a fault in kept itself ({type(fault).__name__}); KEPT_DEBUG=1 shows the details\n")
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


def _local(argv: list[str], stdin: bytes | None) -> NoReturn:
    """Run the command line here; `stdin` is what has been read of standard input."""
    from kept.cli import main as run  # noqa: PLC0415 - loads what the common path does without

    # Python has None for a stream that was closed when it began.
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lasts to the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    if stdin is not None:
        sys.stdin = TextIOWrapper(BytesIO(stdin), encoding="utf-8")
    code = run(argv)
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
    reply = _exchange(connection, _request(argv, stdin), stdin)
    error = reply.get("error")
    if isinstance(error, dict):
        if reply.get("id") is None or error.get("code") in NOT_RUN:
            connection.close()
            raise Handover(stdin)
        # It may have been carried out, in part or whole: run again here, it could be stored twice.
        return _tell(argv, error)
    result = reply.get("result")
    if not isinstance(result, dict):
        raise _stranger()
    if result.get("local"):
        # What runs here has a connection of its own, and may take hours, as `kept watch` does.
        connection.close()
        raise Handover(stdin)
    _write(1, result.get("out", ""))
    _write(2, result.get("err", ""))
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
    if name and "error" in _exchange(connection, greeting(name, GREETING), None):
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
    _write(1, start_up(words[0], state_file, banner=banner, log_commands=log, may_start=may_start))
    return 0


def _briefly(argv: list[str]) -> int:
    """Have the daemon run a command that a shell runs by itself. Whatever is wrong, it is over soon, and silent."""
    from kept.brief import answer, is_welcome, start_behind, typed  # noqa: PLC0415 - for shells alone

    try:
        connection = _reach()
    except (FileNotFoundError, ConnectionRefusedError):
        if argv[0] == "complete":
            raise Handover from None
        if argv[0] == "shell-banner" and "--no-start" not in argv:
            start_behind()
        return 0
    except (OSError, BadPlace, Untrusted):
        return 0
    stdin = typed() if argv[0] == "shell-log" else None
    if (argv[0] == "shell-log" and stdin is None) or not is_welcome(argv, connection, os.environ):
        return 0
    reply = answer(connection, _request(argv, stdin), BRIEF_SECONDS[argv[0]])
    try:
        messages = [_decode(line) for line in (reply or b"").split(b"\n")[:-1]]
    except Refusal:
        return 0
    for result in [message.get("result") for message in messages if message.get("id") == COMMAND]:
        if isinstance(result, dict) and result.get("code") == 0:
            _write(1, result.get("out", ""))
    return 0


def _tell(argv: list[str], error: dict[str, Any]) -> int:
    """Show an error of the daemon as the command line shows it, and give the exit code."""
    from kept.cli import refused  # noqa: PLC0415 - loads what the common path does without

    return refused(argv, error)


def _connect() -> socket:
    """A connection to the owner's daemon.

    Raises `Handover` where none answers, and `Refusal` where what answers can't be trusted.
    """
    try:
        return _reach()
    except BadPlace as fault:
        raise Refusal(str(fault), USAGE) from None
    except Untrusted as fault:
        raise Refusal(str(fault), NO_DAEMON) from None
    except OSError:
        raise Handover from None


def _reach() -> socket:
    """A connection to the owner's daemon, where it is or where it says that it is. Raises OSError, `BadPlace` and
    `Untrusted`."""
    paths = find(os.environ)
    try:
        return _connect_to(paths.socket)
    except (FileNotFoundError, ConnectionRefusedError):
        from kept.holder import elsewhere  # noqa: PLC0415 - seldom needed

        other = elsewhere(paths, os.environ)
        if other is None:
            raise
        return _connect_to(other)


def _connect_to(path: str) -> socket:
    check_socket(path)
    connection = socket(AF_UNIX, SOCK_STREAM)
    connection.settimeout(QUIET_SECONDS)
    connection.connect(path)
    check_peer(connection)
    return connection


def _read_stdin() -> bytes:
    """Standard input up to its end. Raises `Refusal` for more than `STDIN_BYTES`, and for bytes that are no UTF-8."""
    parts = []
    size = 0
    try:
        while part := os.read(0, CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > STDIN_BYTES:
                raise Refusal(f"standard input is longer than {STDIN_BYTES} bytes", USAGE)
    except OSError as fault:
        raise Refusal(f"standard input can't be read: {fault.strerror}", USAGE) from None
    whole = b"".join(parts)
    try:
        whole.decode()
    except UnicodeDecodeError as fault:
        raise Refusal(f"standard input is not UTF-8 (at byte {fault.start})", USAGE) from None
    return whole


def _request(argv: list[str], stdin: bytes | None) -> bytes:
    quote = encode_basestring_ascii
    params = [f'"argv":[{",".join(map(quote, argv))}]']
    if os.isatty(1):
        params.append(f'"columns":{_columns()}')
        if not os.environ.get("NO_COLOR"):
            params.append('"colour":true')
    if stdin is not None:
        params.append(f'"stdin":{quote(stdin.decode())}')
    if os.isatty(2) and os.environ.get("TERM", "") not in ("", "dumb") and "--json" not in argv:
        from kept.version import VERSION  # noqa: PLC0415 - for people only

        params.append(f'"progress":true,"version":"{VERSION}"')
    return f'{{"jsonrpc":"2.0","id":{COMMAND},"method":"cli.run","params":{{{",".join(params)}}}}}\n'.encode()


def _columns(descriptor: int = 1) -> int:
    try:
        found = os.get_terminal_size(descriptor).columns
    except OSError:
        return 80
    return min(found, 10_000) or 80


class _Wait:
    """The wait for an answer: how often, one time after the other, the daemon has let `QUIET_SECONDS` pass, and the
    line that shows how far it is."""

    def __init__(self) -> None:
        self.times = 0
        self.told = False
        self._bar: Bar | None = None

    def draw(self, progress: Any) -> None:
        """Show what a `$/progress` says. One of another form than is known is passed over."""
        if not isinstance(progress, dict):
            return
        done, total, text = progress.get("done", 0), progress.get("total", 0), progress.get("text", "")
        if not (isinstance(done, int) and isinstance(total, int) and isinstance(text, str)):
            return
        if self._bar is None:
            from kept.bar import Bar  # noqa: PLC0415 - most commands are over before there is anything to tell

            self._bar = Bar(lambda drawn: _write(2, drawn), lambda: _columns(2))
        self._bar.show(done, total, text)

    def clear(self) -> None:
        """Leave the line empty."""
        if self._bar is not None:
            self._bar.clear()

    def again(self) -> None:
        """Once more. Says so on standard error when it is long, once, and raises `Refusal` when it is too long."""
        self.times += 1
        if self.times >= QUIET_TOLD and not self.told:
            self.told = True
            self.clear()
            _write(2, "kept: the daemon does not answer; waiting on (Ctrl-C ends this; kept doctor says why)\n")
        if self.times >= QUIET_MOST:
            raise Refusal(f"the daemon has not answered for {QUIET_SECONDS * QUIET_MOST} seconds; {UNKNOWN}", NO_DAEMON)


def _exchange(connection: socket, request: bytes, stdin: bytes | None) -> dict[str, Any]:
    """Send the request and return the reply.

    A request that could not be sent whole was not carried out, so `kept.cli` may run it. One that was sent and never
    answered may have been, so it is not repeated: that could store something twice.
    """
    wait = _Wait()
    rest = memoryview(request)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
            wait.times = 0
        except TimeoutError:
            wait.again()
        except OSError:
            raise Handover(stdin) from None
    try:
        while True:
            for line in _receive(connection, wait).split(b"\n")[:-1]:
                message = _decode(line)
                if message.get("method") == "$/progress":
                    wait.draw(message.get("params"))
                elif message.get("id") != PING:
                    return message
    finally:
        # Ctrl-C too comes this way: what it closes, the connection, has the daemon give up what it can.
        wait.clear()


def _receive(connection: socket, wait: _Wait) -> bytes:
    """One or more whole lines. While none comes, the daemon is asked now and then whether it lives."""
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        try:
            part = connection.recv(CHUNK_BYTES)
        except TimeoutError:
            wait.again()
            _ping(connection)
            continue
        except OSError:
            part = b""
        wait.times = 0
        size += len(part)
        if not part or size > REPLY_BYTES:
            what = "its answer is too long" if part else "the connection ended before the answer"
            raise Refusal(f"{what}; {UNKNOWN}", NO_DAEMON)
        parts.append(part)
    return b"".join(parts)


def _ping(connection: socket) -> None:
    try:
        connection.send(b'{"jsonrpc":"2.0","id":%d,"method":"daemon.ping"}\n' % PING)
    except OSError:
        return  # What has become of the connection shows when it is read from.


class _JsonContext:
    """What the C scanner asks of a decoder (`json.decoder.JSONDecoder` has the same attributes)."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: ClassVar[dict[str, str]] = {}


def _decode(line: bytes) -> dict[str, Any]:
    try:
        # The stub asks for another scanner, but the function reads only these attributes.
        reply, _ = make_scanner(_JsonContext())(line.decode(), 0)  # type: ignore[arg-type]
    except (ValueError, StopIteration, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise _stranger()
    return reply


def _stranger() -> Refusal:
    return Refusal("what listens on the socket is not kept's daemon", NO_DAEMON)


def _write(descriptor: int, text: str) -> None:
    """All of `text` as UTF-8, whatever the terminal's declared encoding: the bytes reach a file or a pipe unharmed."""
    rest = memoryview(text.encode("utf-8", "replace"))
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # A program that shares the terminal has made it non-blocking.
            import select  # noqa: PLC0415 - almost never

            select.select([], [descriptor], [])
        except BrokenPipeError:
            raise
        except OSError as fault:
            if descriptor == 1:
                raise Refusal(f"the output can't be written: {fault.strerror}", REFUSED) from None
            return


if __name__ == "__main__":
    main()
