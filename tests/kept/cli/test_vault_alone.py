"""`kept vault` in processes of its own, with a daemon: no secret in a command line, an output or a log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import kept
from kept.wire.errors import Denied
from kept.wire.vault import LockVault, RetrieveSecret, UnlockVault

from .terminal import Terminal

SECONDS = 30
PASSWORD = "pw-canary-Hq27"
SECRET = "canary-Zx81Qm47Lp"


def environment(home: Path) -> dict[str, str]:
    """Nothing of the tester's own but the path to the code."""
    return {
        "KEPT_HOME": str(home),
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }


def kept_(home: Path, *argv: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kept", *argv],
        env={**environment(home), **more},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with a daemon and an unlocked vault that has a secret in it."""
    folder = Path(tempfile.mkdtemp(prefix="kept-", dir="/tmp"))
    made = kept_(folder, "vault", "init", "-", stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    stored = kept_(folder, "vault", "store", "deploy.token", "-", stdin=SECRET)
    assert stored.returncode == 0, stored.stderr
    yield folder
    assert kept_(folder, "daemon", "stop").returncode == 0
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def unlocked(home: Path) -> None:
    with kept.connect(environ=environment(home), start=False) as client:
        client.call(UnlockVault(password=PASSWORD))


def test_a_secret_comes_back_as_it_was_given(home: Path) -> None:
    assert kept_(home, "vault", "retrieve", "deploy.token").stdout == SECRET
    assert kept_(home, "rpc", "vault.retrieve", '{"id": "deploy.token"}').stdout.count(SECRET) == 1
    assert SECRET not in kept_(home, "vault", "list").stdout


@pytest.mark.skipif(not shutil.which("ssh-add"), reason="needs ssh-add: apt-get install openssh-client")
def test_a_key_that_was_stored_from_its_file_is_one_that_ssh_takes(home: Path, tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=SECONDS)
    stored = kept_(home, "vault", "store", "ssh.key", "-", stdin=key.read_text())
    assert stored.returncode == 0, stored.stderr
    assert kept_(home, "vault", "retrieve", "ssh.key").stdout == key.read_text()
    added = kept_(home, "vault", "run", "--", "ssh-agent", "ssh-add", "vault:ssh.key")
    assert added.returncode == 0, added.stderr
    assert kept_(home, "vault", "delete", "ssh.key", "--yes").returncode == 0


def test_an_agent_lends_a_secret_to_a_command_and_reads_nothing_of_it(home: Path) -> None:
    assert kept_(home, "vault", "store", "ci.token", "-", "--agent-usable", stdin=SECRET).returncode == 0
    command = ("vault", "run", "--secret", "ci.token=T", "--", "sh", "-c", 'test "${#T}" = 17 && echo "$T"')
    lent = kept_(home, *command, KEPT_AGENT="claude")
    assert (lent.returncode, lent.stdout) == (0, "[vault:ci.token]\n"), lent.stderr
    read = kept_(home, "vault", "retrieve", "ci.token", KEPT_AGENT="claude")
    assert (read.returncode, read.stdout) == (1, "")
    assert SECRET not in read.stderr
    assert kept_(home, "vault", "delete", "ci.token", "--yes").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_secret_that_cant_be_written_where_it_is_wanted_is_told_in_a_line(home: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kept", "vault", "retrieve", "deploy.token"],
            env=environment(home),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"kept: the output can't be written: No space left on device\n")


def test_a_password_is_read_from_a_descriptor_or_from_a_program(home: Path, tmp_path: Path) -> None:
    asks = tmp_path / "asks"
    asks.write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    asks.chmod(0o700)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    script = 'exec "$0" -m kept vault unlock --password-fd 7 --json 7<"$1"'
    command = ["sh", "-c", script, sys.executable, str(tmp_path / "password")]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert json.loads(done.stdout)["state"] == "unlocked"
    forced = {"KEPT_ASKPASS": str(asks), "SSH_ASKPASS_REQUIRE": "force"}
    assert kept_(home, "vault", "unlock", **forced).stdout.startswith("The vault is unlocked")
    wrong = kept_(home, "vault", "unlock", "-", stdin="wrong-canary")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "wrong-canary" not in wrong.stderr


def test_no_secret_is_in_a_command_line_while_a_command_has_it(home: Path) -> None:
    words = [
        "vault",
        "run",
        "--secret",
        "deploy.token",
        "--",
        "sh",
        "-c",
        'echo $$; read x; echo "$DEPLOY_TOKEN"; exit 9',
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "kept", *words, "vault:deploy.token"],
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        child = int(command.stdout.readline())
        for pid in (command.pid, child):
            assert SECRET not in Path(f"/proc/{pid}/cmdline").read_text()
        assert b"/dev/fd/10" in Path(f"/proc/{child}/cmdline").read_bytes()
        with suppress(PermissionError):
            # Only root may look: the process guards its memory.
            assert SECRET not in Path(f"/proc/{command.pid}/environ").read_text()
        assert SECRET in Path(f"/proc/{child}/environ").read_text()
        command.stdin.write("\n")
        command.stdin.close()
        assert command.stdout.read() == "[vault:deploy.token]\n"
        assert command.wait(SECONDS) == 9


def test_a_locked_vault_lends_nothing(home: Path) -> None:
    kept_(home, "vault", "lock")
    for words in (["run", "--secret", "deploy.token", "--", "env"], ["retrieve", "deploy.token"]):
        done = kept_(home, "vault", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "kept vault unlock" in done.stderr


def test_at_a_terminal_a_locked_vault_is_unlocked_first(home: Path) -> None:
    kept_(home, "vault", "lock")
    with Terminal(["-m", "kept", "vault", "retrieve", "deploy.token"], environment(home)) as terminal:
        terminal.until("the question", lambda picture: "Password" in picture.text())
        terminal.type(PASSWORD.encode() + b"\r")
        assert terminal.tells("code") == 0
        assert terminal.picture.text().rstrip().endswith(f"\n{SECRET}")
        assert PASSWORD.encode() not in terminal.raw


def test_a_command_in_a_terminal_shows_no_secret(home: Path) -> None:
    words = [
        "-m",
        "kept",
        "vault",
        "run",
        "--secret",
        "deploy.token=T",
        "--",
        "sh",
        "-c",
        'test -t 1 && echo "it is $T"',
    ]
    with Terminal(words, environment(home)) as terminal:
        assert terminal.tells("code") == 0
        assert "it is [vault:deploy.token]" in terminal.picture.text()
        assert SECRET.encode() not in terminal.raw
        assert terminal.settings() == terminal.before


def test_names_complete_at_a_terminal_and_while_the_vault_is_open(home: Path) -> None:
    words = ["-m", "kept", "complete", "--", "vault", "retrieve", "dep"]
    with Terminal(words, environment(home)) as terminal:
        assert terminal.tells("code") == 0
        assert "deploy.token" in terminal.picture.text()
    alone = subprocess.run(
        [sys.executable, *words],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=SECONDS,
        check=False,
    )
    assert (alone.returncode, alone.stdout) == (0, b"")
    kept_(home, "vault", "lock")
    with Terminal(words, environment(home)) as terminal:
        assert terminal.tells("code") == 0
        assert terminal.picture.text().strip() == ""


def test_an_agent_reads_what_a_person_allows_it(home: Path) -> None:
    denied = kept_(home, "vault", "retrieve", "deploy.token", KEPT_AGENT="claude")
    assert (denied.returncode, denied.stdout) == (1, "")
    words = ["vault", "run", "--secret", "deploy.token", "--", "sh", "-c", "echo ${#DEPLOY_TOKEN}"]
    with subprocess.Popen(
        [sys.executable, "-m", "kept", *words],
        env={**environment(home), "KEPT_AGENT": "claude"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stderr is not None
        assert "waiting up to 120 s" in agent.stderr.readline()
        told = agent.stderr.readline().split()
        waiting = json.loads(kept_(home, "vault", "requests", "--json").stdout)["items"]
        (request,) = waiting
        assert told[-5:] == ["kept", "vault", "confirm", request["id"], "allow"]
        assert (request["client"], request["pid"], request["name"]) == ("claude", agent.pid, "deploy.token")
        refused = kept_(home, "vault", "confirm", str(request["id"]), "allow", KEPT_AGENT="claude")
        assert refused.returncode == 1
        assert kept_(home, "vault", "confirm", str(request["id"]), "allow").returncode == 0
        assert agent.communicate(timeout=SECONDS)[0] == f"{len(SECRET)}\n"
        assert agent.returncode == 0


def test_the_library_says_what_its_caller_is(home: Path) -> None:
    with kept.connect("claude", kind="agent", environ=environment(home), start=False) as client:
        with pytest.raises(Denied):
            client.call(RetrieveSecret(id="deploy.token"))
        client.call(LockVault())


def test_the_recovery_code_opens_the_vault_with_a_new_password(home: Path, tmp_path: Path) -> None:
    made = kept_(home, "vault", "export-key", "-", "--json", stdin=PASSWORD)
    code = json.loads(made.stdout)["code"]
    assert len(code.split()) == 24
    kept_(home, "vault", "lock")
    (tmp_path / "code").write_text(code)
    script = 'exec "$0" -m kept vault recover --code-fd 8 --new-password-fd 9 8<"$1" 9<"$2"'
    (tmp_path / "new").write_text(PASSWORD + "\n")
    command = ["sh", "-c", script, sys.executable, str(tmp_path / "code"), str(tmp_path / "new")]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.stdout.startswith("The vault is unlocked, with 1 entry."), done.stderr


def test_nothing_that_was_written_holds_a_secret(home: Path) -> None:
    for file in home.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for canary in (SECRET, PASSWORD, "wrong-canary"):
                assert canary.encode() not in content, file
