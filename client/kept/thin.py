"""The thin script's way to the daemon: its socket, the request, the wait for the answer, and the answer.

`socket` and `json` would double the time of a short command (they load enum, re and selectors), so their C modules,
which are CPython's own, are used as they are; where one is missing, `CAN_ASK` is False and `kept.cli` does the work.

Refuses to talk to a socket that another user could have put there: the arguments may be private.
"""

from __future__ import annotations

import os

from kept.paths import find
from kept.trust import check_peer, check_socket

try:
    from _json import encode_basestring_ascii, make_scanner
    from _socket import AF_UNIX, SOCK_STREAM, socket

    CAN_ASK = True
except ImportError:
    CAN_ASK = False

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from kept.bar import Bar

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

REFUSED = 1
USAGE = 2
NO_DAEMON = 69

UNKNOWN = "the command may have been carried out, so look before you repeat it"


class Refusal(Exception):
    """The command ends here: a text for standard error, and an exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Handover(Exception):
    """`kept.cli` has to run here; what was read of standard input is in `stdin`.

    Nothing was done yet, unless there is a `key`: then the request with that key was sent, and never answered.
    """

    def __init__(self, stdin: bytes | None = None, key: str | None = None) -> None:
        super().__init__()
        self.stdin = stdin
        self.key = key


class _Ended(Exception):
    """The connection, before there was an answer."""


def reach() -> socket:
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


def request(argv: list[str], stdin: bytes | None, key: str | None = None) -> bytes:
    """The line that has the daemon run `argv`, with what this terminal is like; `stdin` is what `-` reads. `key`, of
    hexadecimal digits, has it know what it has done already when it is asked again."""
    quote = encode_basestring_ascii
    params = [f'"argv":[{",".join(map(quote, argv))}]']
    if key is not None:
        params.append(f'"key":"{key}"')
    if os.isatty(1):
        params.append(f'"columns":{columns()}')
        if not os.environ.get("NO_COLOR"):
            params.append('"colour":true')
    if stdin is not None:
        params.append(f'"stdin":{quote(stdin.decode())}')
    if os.isatty(2) and os.environ.get("TERM", "") not in ("", "dumb") and "--json" not in argv:
        from kept.version import VERSION  # noqa: PLC0415 - for people only

        params.append(f'"progress":true,"version":"{VERSION}"')
    return f'{{"jsonrpc":"2.0","id":{COMMAND},"method":"cli.run","params":{{{",".join(params)}}}}}\n'.encode()


def columns(descriptor: int = 1) -> int:
    """How wide a terminal is; 80 where it doesn't say."""
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

            self._bar = Bar(lambda drawn: write(2, drawn), lambda: columns(2))
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
            write(2, "kept: the daemon does not answer; waiting on (Ctrl-C ends this; kept doctor says why)\n")
        if self.times >= QUIET_MOST:
            raise Refusal(f"the daemon has not answered for {QUIET_SECONDS * QUIET_MOST} seconds; {UNKNOWN}", NO_DAEMON)


def exchange(connection: socket, request: bytes, stdin: bytes | None = None, key: str | None = None) -> dict[str, Any]:
    """Send the request and return the reply.

    A request that could not be sent whole was not carried out, so `kept.cli` may run it. One that was sent and never
    answered may have been: `kept.cli` repeats of it what can be repeated, with the keys that are made from its `key`.
    """
    wait = _Wait()
    if not _send(connection, request, wait):
        raise Handover(stdin)
    try:
        while True:
            for line in _receive(connection, wait).split(b"\n")[:-1]:
                message = decode(line)
                if "method" in message:
                    # Of other notifications, such as that the daemon is about to end, none is an answer.
                    if message["method"] == "$/progress":
                        wait.draw(message.get("params"))
                elif message.get("id") != PING:
                    return message
    except _Ended:
        why = _why()
        if why:
            raise Refusal(f"the connection ended before the answer; {why}{UNKNOWN}", NO_DAEMON) from None
        connection.close()
        raise Handover(stdin, key) from None
    finally:
        # Ctrl-C too comes this way: what it closes, the connection, has the daemon give up what it can.
        wait.clear()


def _send(connection: socket, request: bytes, wait: _Wait) -> bool:
    """Whether it could be sent whole."""
    rest = memoryview(request)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
            wait.times = 0
        except TimeoutError:
            wait.again()
        except OSError:
            return False
    return True


def _receive(connection: socket, wait: _Wait) -> bytes:
    """One or more whole lines. While none comes, the daemon is asked now and then whether it lives. Raises `_Ended`."""
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
        if not part:
            raise _Ended
        if size > REPLY_BYTES:
            raise Refusal(f"its answer is too long; {UNKNOWN}", NO_DAEMON)
        parts.append(part)
    return b"".join(parts)


def _why() -> str:
    """Why the service manager, if it has the socket, could not start the daemon; nothing where nothing is known."""
    from kept.service import refusal  # noqa: PLC0415 - loads what the common path does without

    said = refusal(os.environ)
    return f"keptd did not start: {said}\nkept daemon logs shows what it said; " if said else ""


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


def decode(line: bytes) -> dict[str, Any]:
    """A JSON object. Raises `Refusal` for anything else, as that is none of kept's daemon."""
    try:
        # The stub asks for another scanner, but the function reads only these attributes.
        reply, _ = make_scanner(_JsonContext())(line.decode(), 0)  # type: ignore[arg-type]
    except (ValueError, StopIteration, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise stranger()
    return reply


def stranger() -> Refusal:
    """What to say of an answer that kept's daemon doesn't give."""
    return Refusal("what listens on the socket is not kept's daemon", NO_DAEMON)


def write(descriptor: int, text: str) -> None:
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
