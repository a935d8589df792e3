"""Real shells in real pseudo-terminals, with a `kept` on their path and a home of their own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path
from typing import Self

import pytest

from kept.holder import holder
from tests.processes import await_end, has_variable

SECONDS = 30
"""A deadline for what ends in less than a second unless it is broken."""

SHELLS = ("bash", "zsh", "fish")
EACH = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"apt install {name}"))
    for name in SHELLS
]

PROMPT = "READY> "

_TTY = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"

_FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
_EVALUATE = {
    "bash": 'eval "$(kept shell-init bash {flags} 2>/dev/null)"',
    "zsh": 'eval "$(kept shell-init zsh {flags} 2>/dev/null)"',
    "fish": "command -q kept; and kept shell-init fish {flags} 2>/dev/null | source",
}
_PROMPTS = {
    "bash": f"PS1='{PROMPT}'",
    "zsh": f"PROMPT='{PROMPT}'; unsetopt prompt_sp; unset zle_bracketed_paste",
    "fish": f"function fish_prompt; echo -n '{PROMPT}'; end; function fish_greeting; end",
}
_WORDS = {"bash": ["bash", "-i"], "zsh": ["zsh", "-d", "-i"], "fish": ["fish", "-i"]}

_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?>=]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78A-Z])|[\x0e\x0f]")


class Account:
    """A person's home folder: start-up files, `kept` on the path, and kept's own home in `state`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "k"
        self.state.mkdir(mode=0o700)
        (self.state / "config.toml").write_text("[storage]\nballast_bytes = 0\n")
        self.bin = folder / "bin"
        self.bin.mkdir()
        # Where it is missing, fish reads every manual page of the machine in the background, for many seconds.
        (folder / ".data" / "fish" / "generated_completions").mkdir(parents=True)
        self.install()
        self.environ = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "KEPT_HOME": str(self.state),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "XDG_DATA_HOME": str(folder / ".data"),
        }

    def install(self) -> None:
        """Put a `kept` on the path that works."""
        script = self.bin / "kept"
        script.write_text(f"#!{sys.executable}\nfrom kept.__main__ import main\nmain()\n")
        script.chmod(0o755)

    def file(self, shell: str) -> Path:
        """The shell's start-up file."""
        return self.folder / _FILES[shell]

    def starts(self, shell: str, before: str = "", after: str = "", flags: str = "") -> None:
        """Write the shell's start-up file."""
        file = self.file(shell)
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = (_PROMPTS[shell], before, _EVALUATE[shell].format(flags=flags), after)
        file.write_text("\n".join(lines) + "\n")

    def kept(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            ["kept", *words], env=self.environ, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done
        return done.stdout

    def knows(self, decision: str) -> None:
        """Have a daemon with an open decision; the first command that it runs takes longer, so another goes before."""
        self.kept("decide", decision, "--why", "one file")
        self.kept("shell-banner")
        self.kept("status")

    def daemon(self) -> int | None:
        """The process id of the home's daemon; None where there was none."""
        found = holder(str(self.state))
        return found[0] if found is not None else None

    def await_daemon(self) -> int:
        """Wait until a daemon has begun to serve."""
        end = time.monotonic() + SECONDS
        while not (self.state / "run" / "keptd.sock").exists():
            assert time.monotonic() < end, "no daemon was started"
            select.select([], [], [], 0.02)
        self.kept("daemon", "ping")
        pid = self.daemon()
        assert pid is not None
        return pid

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The daemon hangs meanwhile."""
        pid = self.daemon()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def actions(self) -> list[dict[str, object]]:
        """What was logged, oldest first."""
        return list(reversed(json.loads(self.kept("log", "--json", "--limit", "100"))["items"]))

    def senders(self) -> list[int]:
        """The processes that log what was typed."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"shell-log" in words and str(self.bin / "kept").encode() in words:
                found.append(int(process.name))
        return found

    def await_senders(self) -> None:
        """Wait until each has ended."""
        for pid in self.senders():
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                ended, _, _ = select.select([descriptor], [], [], SECONDS)
                os.close(descriptor)
                assert ended, "a sender goes on"

    def end(self) -> None:
        """End all that runs in this account: its daemon, one that was begun a moment ago and has no lock yet, what
        would start another, and shells that outlived their terminal."""
        # What forks and ends while one looks is seen by neither name: it is looked for twice.
        while found := self._processes() or self._processes():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in found:
                await_end(pid)

    def _processes(self) -> list[int]:
        """Whatever has this home in its environment."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if has_variable(process, f"KEPT_HOME={self.state}".encode(), str(self.state)):
                    found.append(int(process.name))
        return found


class Terminal:
    """`with Terminal(account, "bash") as terminal`: a shell that someone sits at."""

    def __init__(self, account: Account, shell: str, *words: str, columns: int = 80, **environ: str) -> None:
        self.ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _TTY, *(words or _WORDS[shell])],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**account.environ, **environ},
            cwd=account.folder,
            start_new_session=True,
        )
        os.close(theirs)
        self.raw = b""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.ours)  # As when a window is closed: SIGHUP.
        try:
            self.popen.wait(2)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(SECONDS)

    @property
    def text(self) -> str:
        """All that was shown, without escape sequences."""
        return _SEQUENCE.sub("", self.raw.decode(errors="replace")).replace("\r", "")

    def until(self, what: str) -> str:
        """Wait until it is shown, after what was waited for before; what was shown on the way."""
        end = time.monotonic() + SECONDS
        while (found := self.text.find(what, self._read_to)) < 0:
            if select.select([self.ours], [], [], max(0.0, end - time.monotonic()))[0]:
                try:
                    self.raw += os.read(self.ours, 65_536)
                    continue
                except OSError:
                    pass
            pytest.fail(f"{what!r} was never shown:\n{self.text}")
        shown = self.text[self._read_to : found]
        self._read_to = found + len(what)
        return shown

    def prompt(self) -> str:
        """Wait for the prompt; what was shown before it."""
        return self.until(PROMPT)

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self.ours, text.encode())

    def runs(self, command: str) -> str:
        """Type a command at the prompt, and wait for the next one; what was shown."""
        self.types(command + "\r")
        return self.prompt()
