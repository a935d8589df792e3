"""Completion and start-up in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kept.shells import start_up

from .test_local import Played
from .typing_at import Recorder, type_in

NEEDS = {
    name: pytest.mark.skipif(not shutil.which(name), reason=f"apt install {name}") for name in ("bash", "zsh", "fish")
}

KEYS = ("project:web", "project:with space", "project:a=b", "it's", "$HOME`id`", "plain")
"""What a shell could take for something else."""


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """Runs a shell script in which `kept complete -- ... WORD` offers those of KEYS that begin with WORD, and notes
    its words."""
    stub = tmp_path / "kept"
    lines = "\n".join(f"{key}\tabout it" for key in KEYS)
    (tmp_path / "keys").write_text(lines + "\n")
    stub.write_text(
        f'#!/bin/sh\n[ "$1" = complete ] || exit 9\nshift 2\nprintf "%s|" "$@" > {tmp_path}/asked\n'
        f"for word; do :; done\nexport word\nawk 'index($0, ENVIRON[\"word\"]) == 1' {tmp_path}/keys\n"
    )
    stub.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
    }

    def run(name: str, script: str, before: str = "") -> tuple[list[str], str]:
        command = {"bash": ["bash", "--norc", "-c"], "zsh": ["zsh", "-f", "-c"], "fish": ["fish", "--no-config", "-c"]}[
            name
        ]
        init = type_in(f"completion {name}", Recorder()).out
        done = subprocess.run(
            [*command, f"{before}\n{init}\n{script}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
        return done.stdout.splitlines(), asked

    return run


def in_bash(line: str, *words: str) -> str:
    """Press Tab in bash at the end of `line`, which it has cut into `words`: also at : and =."""
    quoted = " ".join(f"'{word}'" for word in words)
    return (
        f"COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        '_kept; printf "%s\\n" "${COMPREPLY[@]}"'
    )


@NEEDS["bash"]
def test_bash_completes_words_that_it_cuts_and_words_that_need_quotes(shell: Any) -> None:
    offered, asked = shell("bash", in_bash("kept memory get project:", "kept", "memory", "get", "project", ":"))
    assert offered == ["web", "with\\ space", "a=b"]
    assert asked == "memory|get|project:|"
    offered, asked = shell(
        "bash", in_bash("kept memory get project:a=b", *["kept", "memory", "get", "project", ":", "a", "=", "b"])
    )
    assert asked == "memory|get|project:a=b|"
    assert offered == ["b"]
    offered, asked = shell("bash", in_bash("kept  memory get ", "kept", "memory", "get", ""))
    assert offered == ["project:web", "project:with\\ space", "project:a=b", "it\\'s", "\\$HOME\\`id\\`", "plain"]
    assert asked == "memory|get||"


@NEEDS["bash"]
def test_bash_has_the_completion_for_kept(shell: Any) -> None:
    assert shell("bash", "complete -p kept")[0] == ["complete -o default -F _kept kept"]


@NEEDS["zsh"]
def test_zsh_offers_each_word_with_what_it_is(shell: Any) -> None:
    script = (
        "compadd() { print -rl -- $values; print -rl -- $shown }\n"
        "words=(kept memory get 'project:'); CURRENT=4; _kept\n"
        "print $_comps[kept]"
    )
    offered, asked = shell("zsh", script, before="autoload -Uz compinit && compinit -i -D")
    assert offered == [
        *["project:web", "project:with space", "project:a=b"],
        *["project:web  -- about it", "project:with space  -- about it", "project:a=b  -- about it"],
        "_kept",
    ]
    assert asked == "memory|get|project:|"


@NEEDS["fish"]
def test_fish_offers_each_word_with_what_it_is(shell: Any) -> None:
    offered, asked = shell("fish", "complete -C 'kept memory get project:'")
    assert sorted(offered) == ["project:a=b\tabout it", "project:web\tabout it", "project:with space\tabout it"]
    assert asked == "memory|get|project:|"
    offered, asked = shell("fish", "complete -C 'kept memory get '")
    assert len(offered) == len(KEYS)
    assert asked == "memory|get||"


@pytest.mark.parametrize("name", [pytest.param(name, marks=mark) for name, mark in NEEDS.items()])
def test_shell_init_exports_the_state_file_whatever_its_path(shell: Any, name: str) -> None:
    home = "/home/it's $HOME `id` \\n 日本"
    lines = start_up(name, f"{home}/current/state.json", banner=True, log_commands=True, may_start=True)
    out, _ = shell(name, f"{lines}\nprintenv KEPT_STATE_FILE")
    assert out == [f"{home}/current/state.json"]


def test_shell_init_is_made_in_the_callers_process_and_asks_no_daemon() -> None:
    recorder = Recorder()
    assert type_in("shell-init zsh", recorder).local
    printed = type_in("shell-init zsh --no-banner --log-commands", recorder, here=Played())
    assert (printed.out, recorder.calls) == ("zsh banner=False log=True\n", [])
