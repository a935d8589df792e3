"""A shell starts whatever is wrong with kept, and whatever its user has set."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.small_disk import small_disk

from .in_terminal import EACH, PROMPT, SECONDS, Account, Terminal

SAYS = {"bash": "echo status:$?", "zsh": "echo status:$?", "fish": "echo status:$status"}


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


@pytest.mark.parametrize("shell", EACH)
def test_the_prompt_comes_while_the_daemon_hangs(account: Account, shell: str) -> None:
    account.knows("use SQLite")
    account.starts(shell, flags="--log-commands", after=SAYS[shell])
    pid = account.daemon()
    assert pid is not None
    with account.stopped():
        with Terminal(account, shell) as terminal:
            assert terminal.prompt() == "status:0\n"
            for number in range(3):
                assert f"done {number}\n" in terminal.runs(f"echo done {number}")
        assert is_stopped(pid)


@pytest.mark.parametrize("shell", EACH)
def test_a_tab_is_answered_with_nothing_while_the_daemon_hangs(account: Account, shell: str) -> None:
    account.kept("daemon", "start")
    account.starts(shell)
    with account.stopped(), Terminal(account, shell) as terminal:
        terminal.prompt()
        terminal.types("kept memory \t")
        terminal.types("\x15echo went on here\r")
        assert "went on here\n" in terminal.prompt()


def missing(account: Account) -> None:
    (account.bin / "kept").unlink()


def wrong_interpreter(account: Account) -> None:
    (account.bin / "kept").write_text("#!/nowhere/python\n")


def failing_import(account: Account) -> None:
    (account.bin / "kept").write_text(f"#!{sys.executable}\nimport kept_is_gone\n")


def socket_folder_is_a_file(account: Account) -> None:
    (account.state / "run").write_text("")


def socket_folder_is_open_to_others(account: Account) -> None:
    (account.state / "run").mkdir()
    (account.state / "run").chmod(0o777)


def home_is_gone(account: Account) -> None:
    shutil.rmtree(account.state)


def home_is_no_path(account: Account) -> None:
    account.environ["KEPT_HOME"] = "relative"


BROKEN: list[Callable[[Account], None]] = [
    missing,
    wrong_interpreter,
    failing_import,
    socket_folder_is_a_file,
    socket_folder_is_open_to_others,
    home_is_gone,
    home_is_no_path,
]


@pytest.mark.parametrize("shell", EACH)
@pytest.mark.parametrize("breaks", BROKEN, ids=lambda each: each.__name__)
def test_the_prompt_comes_without_a_word_where_kept_is_broken(
    account: Account, shell: str, breaks: Callable[[Account], None]
) -> None:
    account.starts(shell, flags="--log-commands --no-start", after=SAYS[shell])
    breaks(account)
    with Terminal(account, shell) as terminal:
        shown = terminal.prompt()
        assert "done\n" in terminal.runs("echo done")
        assert "kept" not in terminal.runs("echo done").replace(str(account.folder), "")
    if shell == "fish" and breaks is wrong_interpreter:
        # fish has its own words for a command that can't be run, on the terminal itself.
        assert shown.rstrip().splitlines()[-1].startswith("status:")
    else:
        assert [line for line in shown.splitlines() if not line.startswith("status:")] == []
        assert "status:0" in shown or breaks in (missing, wrong_interpreter, failing_import, home_is_no_path)


@pytest.mark.parametrize("shell", EACH)
def test_the_prompt_comes_on_a_full_disk(home: Path, shell: str) -> None:
    with small_disk(home, "48m") as disk, ExitStack() as stack:
        account = Account(home)
        stack.callback(account.end)
        account.starts(shell, flags="--log-commands", after=SAYS[shell])
        with Terminal(account, shell) as terminal:  # Whatever files the shell itself has are made.
            terminal.prompt()
            account.await_daemon()
        account.end()
        account.starts(shell, flags="--log-commands --no-start", after=SAYS[shell])
        disk.fill()
        with Terminal(account, shell) as terminal:
            assert terminal.prompt().splitlines()[-1] == "status:0"
            assert "kept" not in terminal.runs("echo done").replace(str(home), "")


@pytest.mark.skipif(not shutil.which("tmux"), reason="apt install tmux")
def test_a_pane_of_tmux_is_a_terminal_of_its_own(account: Account) -> None:
    account.knows("use SQLite")
    account.starts("bash")
    tmux = ["tmux", "-S", str(account.folder / "t"), "-f", "/dev/null"]
    with Terminal(account, "bash") as terminal:
        assert "kept: 1 open decision" in terminal.prompt()
        shown = f"{' '.join(tmux)} new-session -d bash; env | grep KEPT_SHOWN"
        assert "KEPT_SHOWN=" in terminal.runs(shown)
    try:
        end = time.monotonic() + SECONDS
        while PROMPT.strip() not in (pane := ran(account, *tmux, "capture-pane", "-p")):
            assert time.monotonic() < end, pane
        assert "kept: 1 open decision" in pane
    finally:
        ran(account, *tmux, "kill-server")


def ran(account: Account, *words: str) -> str:
    return subprocess.run(
        words, env=account.environ, capture_output=True, text=True, timeout=SECONDS, check=True
    ).stdout


def test_bash_that_reads_its_file_for_ssh_shows_what_the_command_says_alone(account: Account) -> None:
    """Debian's bash reads ~/.bashrc where it runs a command for ssh, with a terminal (`ssh -t`) and without."""
    account.knows("use SQLite")
    account.starts("bash", after="echo read it", flags="--log-commands")
    command = ("bash", "-c", "echo only this; echo END")
    with Terminal(account, "bash", *command, SSH_CLIENT="192.0.2.1 1 22", SHLVL="0") as terminal:
        assert terminal.until("END") == "read it\nonly this\n"


OPTIONS = [
    *[("bash", f"set {option}") for option in ("-e", "-u", "-o pipefail", "-o noclobber", "-o posix", "-f", "-E")],
    *[("bash", line) for line in ("set -uETo pipefail -o posix; shopt -s failglob inherit_errexit lastpipe",)],
    *[("bash", f"readonly {name}=true") for name in ("PROMPT_COMMAND", "PS0")],
    *[
        ("bash", line)
        for line in ("unset HOME; POSIXLY_CORRECT=1; GLOBIGNORE=*", "trap true EXIT ERR RETURN", "set +o history")
    ],
    *[
        ("bash", line)
        for line in ("export KEPT_SHOWN='by hand'", "printf() { builtin printf ALIAS; }; type() { false; }")
    ],
    *[("bash", line) for line in ("IFS=/:0123456789", "shopt -s extglob nullglob nocasematch", "CDPATH=/:/tmp")],
    (
        "bash",
        "for w in local return export printf type read trap echo command shopt unset; do alias $w='echo ALIAS'; done",
    ),
    ("bash", "trap 'true DEBUGGED' DEBUG; PROMPT_COMMAND='false'"),
    ("bash", "PROMPT_COMMAND=('true' 'true')"),
    *[("zsh", f"setopt {option}") for option in ("no_unset", "err_exit", "extended_glob", "ksh_arrays", "no_clobber")],
    *[("zsh", f"setopt {option}") for option in ("sh_word_split", "pipe_fail", "null_glob", "warn_create_global")],
    *[("zsh", f"emulate {name}; PROMPT='{PROMPT}'") for name in ("ksh", "sh", "csh")],
    ("zsh", "setopt sh_glob ksh_glob no_bare_glob_qual posix_aliases posix_identifiers glob_assign glob_subst"),
    ("zsh", "setopt csh_junkie_quotes csh_junkie_loops ignore_braces no_multios bsd_echo ksh_typeset posix_strings"),
    ("zsh", "setopt rc_quotes no_equals sun_keyboard_hack typeset_silent err_return posix_builtins c_precedences"),
    ("zsh", "setopt ksh_arrays no_unset sh_word_split rc_expand_param magic_equal_subst no_short_loops; unset HOME"),
    *[("zsh", line) for line in ("precmd_functions=mine; mine() { true }", "export KEPT_SHOWN='by hand'")],
    *[("zsh", line) for line in ("IFS=/:0123456789", "cdpath=(/ /tmp)")],
    ("zsh", "for w in local return export print read echo command typeset; do alias $w='echo ALIAS'; done"),
    ("zsh", "alias -g line=ALIAS"),
    ("fish", "fish_vi_key_bindings; function fish_mode_prompt; end"),
    *[("fish", f"set {scope} KEPT_SHOWN 'by hand'") for scope in ("-g", "-gx", "-Ux")],
    ("fish", "set -e HOME; set -g fish_trace"),
    ("fish", "function echo; builtin echo FUNCTION; end; functions -e echo"),
]


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        pytest.param(*each.values, line, marks=each.marks)
        for each in EACH
        for name, line in OPTIONS
        if each.values == (name,)
    ],
)
def test_whatever_the_user_has_set_the_lines_work_and_change_nothing(informed: Account, shell: str, line: str) -> None:
    informed.starts(shell, before=line, flags="--log-commands")
    with Terminal(informed, shell) as terminal:
        shown = terminal.prompt()
        assert shown.splitlines()[0] == "kept: 1 open decision"
        assert shown.splitlines()[-1] == "  more: kept context"
        assert "ALIAS" not in shown
        for number in range(2):
            told = terminal.runs(f"\\builtin echo done {number}")
            assert f"done {number}\n" in told
            assert "kept" not in told
            assert "bound" not in told
