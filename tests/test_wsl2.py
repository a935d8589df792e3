"""The scripts for a start at login on WSL2, run by real shells on this system: there is no Windows here."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kept.holder import holder
from kept.paths import find

from .harness import PATIENCE
from .processes import await_end, has_variable
from .sources import PACKAGES, ROOT

FOLDER = ROOT / "systemd" / "wsl2"
SHELLS = [shell for shell in ("dash", "bash", "zsh", "busybox") if shutil.which(shell)]


class Login:
    """A person's home folder, and what a login is."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin = home / ".local" / "bin"
        self.bin.mkdir(parents=True)
        self.environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/bash"}
        self.paths = find(self.environ)

    def has(self, name: str, text: str, folder: Path | None = None) -> None:
        """A program of that name."""
        file = (folder or self.bin) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def has_kept(self) -> None:
        """The real one, of this tree."""
        tree = os.pathsep.join(map(str, PACKAGES.values()))
        python = f"PYTHONPATH='{tree}' exec '{sys.executable}' -P -m"
        self.has("kept", f'#!/bin/sh\n{python} kept "$@"\n')

    def run(self, *command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """To its end; what it started in the background holds up nothing, or this fails."""
        return subprocess.run(
            list(map(str, command)),
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def log_in(self, shell: str, profile: str) -> subprocess.CompletedProcess[str]:
        """Read a profile as a login shell does."""
        (self.home / ".profile").write_text(profile)
        words = [shell, "sh"] if shell == "busybox" else [shell]
        return self.run(*words, "-c", f'. "{self.home}/.profile"; echo "status $?"; set | grep -i "^kept" || :')

    def running(self) -> list[tuple[int, str]]:
        """The processes with this home folder, and their command lines."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                if not process.name.isdigit():
                    continue
                if has_variable(process, f"HOME={self.home}".encode(), self.paths.data_dir):
                    found.append((int(process.name), (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
            except OSError:
                continue  # It has ended meanwhile.
        return found

    def daemons(self) -> list[int]:
        return [pid for pid, line in self.running() if "-m keptd" in line]

    def until_settled(self) -> None:
        """Wait until nobody starts anything any more: each that starts something ends, and may leave another one."""
        while starting := [pid for pid, line in self.running() if "-m keptd" not in line]:
            await_end(starting[0])


@pytest.fixture
def login(home: Path) -> Iterator[Login]:
    made = Login(home)
    yield made
    found = holder(made.paths.data_dir)
    if found is not None and found[0] in made.daemons():
        os.kill(found[0], signal.SIGTERM)
        for pid in made.daemons():
            await_end(pid)


PROFILE = f"set -eu\n. '{FOLDER}/login.sh'\nset +eu\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_starts_the_daemon_and_shows_nothing(login: Login, shell: str) -> None:
    login.has_kept()
    done = login.log_in(shell, PROFILE)
    assert (done.stdout, done.stderr) == ("status 0\n", "")
    login.until_settled()
    [pid] = login.daemons()
    assert holder(login.paths.data_dir) == (pid, login.paths.socket)
    # In a session of its own, so that it outlives the terminal.
    assert os.getsid(pid) == pid


def test_ten_terminals_at_once_start_one_daemon(login: Login) -> None:
    login.has_kept()
    (login.home / ".profile").write_text(PROFILE)
    command = ["bash", "--login", "-c", "echo in"]
    shells = [
        subprocess.Popen(command, env=login.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    assert [shell.communicate(timeout=PATIENCE)[0] for shell in shells] == ["in\n"] * 10
    login.until_settled()
    assert len(login.daemons()) == 1
    log = Path(login.paths.log).read_text()
    assert log.count('"event":"ready"') == 1
    assert "another keptd" not in log
    before = login.daemons()
    assert login.log_in("bash", PROFILE).stdout == "status 0\n"
    login.until_settled()
    assert login.daemons() == before


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "kept",
    [None, "#!/bin/sh\necho broken >&2\nexit 70\n", "#!/nonexistent/python\n", "not a program of any kind \x7f\n"],
    ids=["missing", "failing", "without its python", "damaged"],
)
def test_a_kept_that_does_not_work_breaks_no_login(login: Login, shell: str, kept: str | None) -> None:
    if kept is not None:
        login.has("kept", kept)
    done = login.log_in(shell, PROFILE)
    assert (done.stdout, done.stderr) == ("status 0\n", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_does_not_wait_for_a_start_that_hangs(login: Login, shell: str) -> None:
    os.mkfifo(login.home / "never")
    login.has("kept", f"#!/bin/sh\nread -r _ <'{login.home}/never'\n")
    done = login.log_in(shell, PROFILE)
    assert (done.stdout, done.stderr) == ("status 0\n", "")
    # It hangs still, until now; on a busy machine it may have come that far only after the login.
    end = time.monotonic() + PATIENCE
    while not any("kept daemon start" in line for _, line in login.running()):
        assert time.monotonic() < end, "nothing was started"
    with open(login.home / "never", "w") as pipe:
        pipe.write("\n")
    login.until_settled()


def test_a_login_without_a_home_folder_or_a_path_is_none_the_worse(login: Login) -> None:
    done = login.run("/bin/sh", "-c", f"unset HOME PATH; set -eu; . '{FOLDER}/login.sh'; echo in")
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\n", "")


def at_a_terminal(login: Login, shell: str, *options: str) -> str:
    """What a login says on the standard error of an interactive shell, which is a terminal."""
    ours, theirs = pty.openpty()
    words = [shell, "sh"] if shell == "busybox" else [shell]
    done = subprocess.run(
        [*words, *options, "-c", f". '{FOLDER}/login.sh'; . '{FOLDER}/login.sh'; echo in"],
        env=login.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"in\n")
    # Behind what the shell has said, so that reading it comes to an end.
    os.write(theirs, b"end")
    said = b""
    while not said.endswith(b"end"):
        said += os.read(ours, 65_536)
    os.close(ours)
    os.close(theirs)
    return said.decode()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_person_at_a_terminal_is_told_once_that_kept_is_not_in_the_path(login: Login, shell: str) -> None:
    (login.home / ".config" / "kept").mkdir(parents=True)
    assert at_a_terminal(login, shell, "-i").count("kept: keptd was not started at login") == 1
    assert "kept:" not in at_a_terminal(login, shell, "-i")
    # It is there, and then gone again.
    login.has("kept", "#!/bin/sh\n")
    assert "kept:" not in at_a_terminal(login, shell, "-i")
    login.until_settled()
    (login.bin / "kept").unlink()
    assert at_a_terminal(login, shell, "-i").count("kept: keptd was not started at login") == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_no_person_types_into_says_nothing_of_a_missing_kept(login: Login, shell: str) -> None:
    assert at_a_terminal(login, shell) == "end"
    words = [shell, "sh"] if shell == "busybox" else [shell]
    piped = login.run(*words, "-i", "-c", f". '{FOLDER}/login.sh'; echo in")
    assert (piped.stdout, "kept:" in piped.stderr) == ("in\n", False)


SET_UP = FOLDER / "without-systemd.sh"


@pytest.mark.parametrize("added", ["", "umask 022\n"])
def test_a_profile_that_was_made_for_the_line_goes_with_it_unless_something_else_is_in_it(
    login: Login, added: str
) -> None:
    assert login.run("sh", SET_UP).returncode == 0
    profile = login.home / ".profile"
    profile.write_text(profile.read_text() + added)
    assert login.run("sh", SET_UP, "--remove").returncode == 0
    assert profile.exists() == bool(added)
    assert not added or profile.read_text() == added
    assert not (login.home / ".config" / "kept").exists()


@pytest.mark.parametrize("link", [False, True])
def test_an_empty_profile_of_somebody_elses_stays(login: Login, *, link: bool) -> None:
    profile = login.home / ".profile"
    if link:
        profile.symlink_to(login.home / "dotfiles")
    else:
        profile.touch()
    assert login.run("sh", SET_UP).returncode == 0
    assert login.run("sh", SET_UP, "--remove").returncode == 0
    assert (profile.is_symlink(), profile.read_text()) == (link, "")


def test_the_line_is_added_once_and_removed_without_a_trace(login: Login) -> None:
    before = "umask 022\n# the last line has no end"
    (login.home / ".profile").write_text(before)
    (login.home / ".profile").chmod(0o640)
    assert login.run("sh", SET_UP).returncode == 0
    once = (login.home / ".profile").read_text()
    assert once.count("kept at login") == 1
    assert login.run("sh", SET_UP).returncode == 0
    assert (login.home / ".profile").read_text() == once
    assert (login.home / ".config/kept/login.sh").read_text() == (FOLDER / "login.sh").read_text()
    assert login.run("sh", SET_UP, "--remove").returncode == 0
    assert (login.home / ".profile").read_text() == before + "\n"
    assert (login.home / ".profile").stat().st_mode & 0o777 == 0o640
    assert not (login.home / ".config/kept/login.sh").exists()


@pytest.mark.parametrize(
    ("there", "shell", "expected"),
    [
        ((), "/bin/bash", {".profile"}),
        ((".bash_profile",), "/bin/bash", {".bash_profile", ".profile"}),
        ((".bash_login", ".profile"), "/bin/bash", {".bash_login", ".profile"}),
        ((), "/usr/bin/zsh", {".profile", ".zprofile"}),
    ],
)
def test_each_login_shells_own_file_gets_the_line(
    login: Login, there: tuple[str, ...], shell: str, expected: set[str]
) -> None:
    for name in there:
        (login.home / name).write_text("true\n")
    assert login.run("sh", SET_UP, SHELL=shell).returncode == 0
    found = {file.name for file in login.home.glob(".*") if file.is_file() and "kept at login" in file.read_text()}
    assert found == expected
    assert login.run("sh", SET_UP, "--remove", SHELL=shell).returncode == 0
    assert not [file for file in login.home.glob(".*") if file.is_file() and "kept" in file.read_text()]


def test_a_login_after_the_set_up_starts_the_daemon_wherever_the_settings_are(login: Login) -> None:
    login.has_kept()
    config = str(login.home / "it's my $config")
    assert login.run("sh", SET_UP, XDG_CONFIG_HOME=config).returncode == 0
    done = login.run("bash", "--login", "-c", "echo in")
    assert (done.stdout, done.stderr) == ("in\n", "")
    login.until_settled()
    assert len(login.daemons()) == 1


def test_a_profile_whose_script_is_gone_is_none_the_worse(login: Login) -> None:
    assert login.run("sh", SET_UP).returncode == 0
    (login.home / ".config/kept/login.sh").unlink()
    done = login.run("bash", "--login", "-ec", "echo in")
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\n", "")


def with_systemd(login: Login, *, booted: bool = True) -> subprocess.CompletedProcess[str]:
    """Run it with stand-ins that write down what they are asked for."""
    folder = login.home / "stand-ins"
    login.has("systemctl", f'#!/bin/sh\n[ ! -e "{login.home}/no $2" ]\n', folder)
    place = login.home if booted else login.home / "none"
    return login.run("sh", FOLDER / "with-systemd.sh", PATH=f"{folder}:/usr/bin:/bin", KEPT_BOOTED=str(place))


def has_stand_in(login: Login) -> None:
    login.has("kept", f'#!/bin/sh\necho kept "$@" >>"{login.home}/asked"\n[ ! -e "{login.home}/no $2" ]\n')


def test_with_systemd_kept_installs_itself_and_lingers(login: Login) -> None:
    has_stand_in(login)
    done = with_systemd(login)
    assert (done.returncode, done.stderr) == (0, "")
    assert (login.home / "asked").read_text().splitlines() == ["kept daemon install", "kept daemon enable-linger"]


@pytest.mark.parametrize(("what", "said"), [("systemd", "[boot]"), ("kept", "Install it"), ("manager", "#10846")])
def test_what_is_missing_for_systemd_is_said_before_anything_is_changed(login: Login, what: str, said: str) -> None:
    if what != "kept":
        has_stand_in(login)
    if what == "manager":
        (login.home / "no show-environment").touch()
    done = with_systemd(login, booted=what != "systemd")
    assert done.returncode == 1
    assert said in done.stderr
    assert not (login.home / "asked").exists()


def test_where_the_service_can_not_be_installed_nothing_more_is_done(login: Login) -> None:
    has_stand_in(login)
    (login.home / "no install").touch()
    assert with_systemd(login).returncode != 0
    assert (login.home / "asked").read_text().splitlines() == ["kept daemon install"]


def test_without_lingering_the_service_is_installed_all_the_same(login: Login) -> None:
    has_stand_in(login)
    (login.home / "no enable-linger").touch()
    done = with_systemd(login)
    assert done.returncode == 0
    assert "sudo loginctl enable-linger" in done.stderr
