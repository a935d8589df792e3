"""A command that is lent secrets: its output, its signals and its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from .lent import SECONDS, SECRET, begun, environ, lent, words


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def until(stream: IO[bytes] | None, what: bytes) -> bytes:
    """Read, byte by byte, until this has come."""
    assert stream is not None
    found = b""
    while not found.endswith(what):
        byte = stream.read(1)
        assert byte, f"it ended with {found!r}"
        found += byte
    return found


def test_a_secret_in_the_environment_does_not_get_into_the_output() -> None:
    done = lent(*shell('echo "it is $TOKEN."; echo "$TOKEN" >&2; printf "%s" "$TOKEN" | od -An -tx1 | tr -d " \\n"'))
    assert done.stdout == b"it is [vault:n].\n[vault:n]"
    assert (done.stderr, done.returncode) == (b"[vault:n]\n", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("end", "code"), [("exit 0", 1), ("exit 3", 3)])
def test_an_output_that_goes_nowhere_is_told_where_the_command_cant_notice(end: str, code: int) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, *words(*shell(f"echo said; {end}"))],
            env=environ(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        code,
        b"what the command printed can't be passed on: No space left on device\n",
    )


@pytest.mark.parametrize("of", ["sh", "bash"])
def test_a_secret_is_not_in_a_shells_trace(of: str) -> None:
    if not shutil.which(of):
        pytest.skip(f"needs {of}")
    odd = """it's-a "q" & <b> $x\\y z!"""
    more = 'declare -p TOKEN; printf "%q\\n" "$TOKEN"; ' if of == "bash" else ""
    done = lent(of, "-xc", f': "$TOKEN"; {more}export -p; set', added={"TOKEN": odd}, hidden={"n": odd})
    assert done.stderr.startswith(b"+ : ")
    assert done.returncode == 0
    assert b"s-a" not in done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(b"[vault:n]") >= 3


def test_everything_else_gets_through_byte_by_byte() -> None:
    blob = bytes(range(256)) * 3000
    done = lent("cat", stdin=blob)
    assert (done.stdout, done.stderr, done.returncode) == (blob, b"", 0)


def test_a_secret_in_a_file_is_read_as_often_as_the_command_likes_and_cannot_be_changed() -> None:
    done = lent(
        *shell("wc -c </dev/fd/3; wc -c </dev/fd/3; cat <&3 | wc -c; echo x >>/dev/fd/3 || echo sealed"),
        added={},
        files={3: SECRET},
    )
    length = str(len(SECRET)).encode()
    assert done.stdout.split() == [length, length, length, b"sealed"]


@pytest.mark.skipif(not shutil.which("ssh-add"), reason="needs ssh-add: apt-get install openssh-client")
def test_a_program_that_takes_no_secret_from_a_file_for_everybody_takes_a_lent_one(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=SECONDS)
    done = lent("ssh-agent", "ssh-add", "/dev/fd/3", added={}, files={3: key.read_text()})
    assert (done.returncode, b"Identity added" in done.stderr) == (0, True)


def test_a_secret_can_be_the_standard_input() -> None:
    assert (
        lent("cat", added={}, files={0: "what is not hidden"}, stdin=b"something else").stdout == b"what is not hidden"
    )


def test_without_scrubbing_the_command_has_the_callers_own_output() -> None:
    assert lent(*shell('echo "$TOKEN"'), hidden={}).stdout == SECRET.encode() + b"\n"


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("", 0)])
def test_the_commands_end_is_told_as_a_shell_tells_it(script: str, code: int) -> None:
    assert lent(*shell(script)).returncode == code


def test_a_command_that_is_not_there_or_cannot_run_has_the_code_of_a_shell(tmp_path: Path) -> None:
    missing = lent("no-such-command-anywhere")
    assert (missing.returncode, missing.stderr) == (127, b"there is no command no-such-command-anywhere\n")
    (tmp_path / "file").write_text("")
    assert lent(str(tmp_path / "file")).returncode == 126
    assert lent(str(tmp_path / "nothing")).returncode == 127


def test_a_limit_that_leaves_no_room_for_descriptors_is_told_with_the_way_out() -> None:
    script = f'ulimit -n 64; exec "{sys.executable}" "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words("echo", "x")],
        env=environ(),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (126, b"")
    assert done.stderr == b"too few descriptors may be open here; ulimit -n 1024 allows enough\n"


def test_output_and_errors_that_go_to_one_place_keep_their_order() -> None:
    script = 'for i in 1 2 3 4 5 6 7 8 9; do echo "out $i"; echo "err $i $TOKEN" >&2; done'
    done = subprocess.run(
        [sys.executable, *words(*shell(script))],
        env=environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    wanted = [line for i in range(1, 10) for line in (f"out {i}", f"err {i} [vault:n]")]
    assert done.stdout.decode().splitlines() == wanted


def test_output_comes_at_once_and_a_question_as_a_whole() -> None:
    script = f'printf "a line\\n"; read x; printf %s "{SECRET[:3]}"; read x; printf "%s." "{SECRET[3:]}"'
    with begun(*shell(script)) as command:
        assert command.stdin is not None
        until(command.stdout, b"a line\n")
        command.stdin.write(b"\n")
        until(command.stdout, SECRET[:3].encode())
        command.stdin.write(b"\n")
        until(command.stdout, b"[vault:n].")
        assert command.wait(SECONDS) == 0


HANDLER = """
import os, signal
def told(number, frame):
    os.write(1, b"got %d\\n" % number)
    os._exit(5)
for number in (1, 2, 3, 10, 12, 15):
    signal.signal(number, told)
os.write(1, b"ready\\n")
signal.pause()
"""


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM"])
def test_a_signal_is_passed_on_and_the_command_decides_what_becomes_of_it(name: str) -> None:
    with begun(sys.executable, "-c", HANDLER) as command:
        until(command.stdout, b"ready\n")
        command.send_signal(signal.Signals[name])
        until(command.stdout, b"got %d\n" % signal.Signals[name])
        assert command.wait(SECONDS) == 5


def test_a_command_gets_its_signals_as_they_are_usually() -> None:
    done = lent(*shell("grep -E 'SigBlk|SigIgn' /proc/self/status"))
    assert [int(line.split()[1], 16) & 0x7FFF_FFFF for line in done.stdout.splitlines()] == [0, 0]


def test_a_command_whose_output_nobody_reads_ends_as_in_a_pipeline() -> None:
    with begun(*shell("while :; do echo line; done")) as command:
        until(command.stdout, b"line\n")
        assert command.stdout is not None
        command.stdout.close()
        assert command.wait(SECONDS) == 141


def test_what_a_command_leaves_behind_is_not_waited_for() -> None:
    done = lent(*shell("sleep 1000 & echo $!"))
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.returncode == 0


def test_no_secret_is_in_a_command_line() -> None:
    with begun(*shell("echo $$; read x"), files={10: SECRET}) as command:
        assert command.stdin is not None
        child = int(until(command.stdout, b"\n"))
        for pid in (command.pid, child):
            assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        command.stdin.write(b"\n")
        assert command.wait(SECONDS) == 0


def test_a_large_output_is_freed_of_every_secret() -> None:
    script = "import os, sys\nfor i in range(20000): sys.stdout.write(f'{i} {os.environ[\"TOKEN\"]} ')"
    done = lent(sys.executable, "-c", script)
    assert done.stdout == "".join(f"{i} [vault:n] " for i in range(20_000)).encode()
