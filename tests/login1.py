"""A message bus of its own (dbus-daemon), and a logind on it that only does as if the machine slept."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keptd import system_bus
from keptd.system_bus import DESTINATION, INTERFACE, MEMBER, PATH, REPLY_SERIAL, SENDER, SIGNATURE, UNIX_FDS, call, take

from .harness import PATIENCE

DBUS_DAEMON = shutil.which("dbus-daemon")
WHY = "" if DBUS_DAEMON else "there is no dbus-daemon (Debian: apt install dbus-daemon)"

NAME, PLACE, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/>
<allow receive_sender="*"/></policy></busconfig>
"""


@contextmanager
def bus(folder: Path) -> Iterator[str]:
    """A bus for the time of a test; its address."""
    assert DBUS_DAEMON is not None
    configuration = folder / "bus.conf"
    configuration.write_text(CONFIGURATION.format(socket=folder / "bus"))
    command = [DBUS_DAEMON, f"--config-file={configuration}", "--nofork", "--print-address=1", "--nopidfile"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as daemon:
        assert daemon.stdout is not None
        try:
            yield daemon.stdout.readline().strip()
        finally:
            daemon.terminate()


def message(kind: int, serial: int, fields: dict[int, tuple[str, str | int]], body: bytes = b"") -> bytes:
    """Any message, little-endian."""
    header = system_bus._Writer()
    for code, (form, value) in fields.items():
        header.align(8)
        header.data += bytes((code,))
        header.signature(form)
        if form == "u":
            header.align(4)
            header.data += struct.pack("<I", value)
        elif form == "g":
            header.signature(str(value))
        else:
            header.text(str(value))
    whole = system_bus._Writer()
    whole.data += struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), serial, len(header.data)) + header.data
    whole.align(8)
    return bytes(whole.data) + body


def prepare_for_sleep(serial: int, *, begins: bool, sender: str | None = None) -> bytes:
    """The signal; the bus puts the sender in, or who plays the bus."""
    fields: dict[int, tuple[str, str | int]] = {
        PATH: ("o", PLACE),
        INTERFACE: ("s", MANAGER),
        MEMBER: ("s", "PrepareForSleep"),
        SIGNATURE: ("g", "b"),
    }
    if sender is not None:
        fields[SENDER] = ("s", sender)
    return message(system_bus.SIGNAL, serial, fields, struct.pack("<I", begins))


class Logind:
    """Has the name of logind, gives inhibitors out, and says when the machine sleeps."""

    def __init__(self, address: str) -> None:
        self.inhibitors: queue.Queue[int] = queue.Queue()
        """The other ends of what was given out: they end when it was let go."""
        self._serial = 0
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(PATIENCE)
        self._connection.connect(system_bus.address(address))
        uid = str(os.geteuid()).encode().hex().encode()
        for line in (b"\0AUTH EXTERNAL " + uid, b"NEGOTIATE_UNIX_FD"):
            self._connection.sendall(line + b"\r\n")
            assert self._connection.recv(1024).endswith(b"\r\n")
        self._connection.sendall(b"BEGIN\r\n")
        own = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        self._connection.sendall(call(self._next(), *own, "Hello"))
        # Its second argument, the flags, is a number.
        request = message(
            system_bus.CALL,
            self._next(),
            {
                PATH: ("o", own[1]),
                INTERFACE: ("s", own[2]),
                MEMBER: ("s", "RequestName"),
                DESTINATION: ("s", own[0]),
                SIGNATURE: ("g", "su"),
            },
            struct.pack("<I", len(NAME)) + NAME.encode() + b"\0" + bytes(-(len(NAME) + 5) % 4) + struct.pack("<I", 4),
        )
        self._connection.sendall(request)
        self._buffer = bytearray()
        while True:
            answer = self._receive()
            if answer.fields.get(REPLY_SERIAL) == self._serial:
                break
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def say(self, *, sleeps: bool) -> None:
        """Tell everybody that the machine is about to sleep, or has woken up."""
        self._connection.sendall(prepare_for_sleep(self._next(), begins=sleeps))

    def close(self) -> None:
        """Leave the bus."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _receive(self) -> system_bus.Message:
        while (received := take(self._buffer)) is None:
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionResetError
            self._buffer += data
        assert isinstance(received, system_bus.Message)
        return received

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                asked = self._receive()
                if asked.fields.get(MEMBER) == "Inhibit":
                    self._give(asked)

    def _give(self, asked: system_bus.Message) -> None:
        read, write = os.pipe()
        fields: dict[int, tuple[str, str | int]] = {
            REPLY_SERIAL: ("u", asked.serial),
            DESTINATION: ("s", str(asked.fields[SENDER])),
            SIGNATURE: ("g", "h"),
            UNIX_FDS: ("u", 1),
        }
        reply = message(system_bus.RETURN, self._next(), fields, struct.pack("<I", 0))
        socket.send_fds(self._connection, [reply], [write])
        os.close(write)
        self.inhibitors.put(read)
