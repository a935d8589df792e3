"""What a shell is told: completion, and the start-up lines. The scripts are small, because the daemon does the work."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..wire.daemon import Status
from .parse import Command
from .surface import FINE, Caller, Surface

Shell = Annotated[Literal["bash", "zsh", "fish"], Meta(description="Which shell.")]

# bash cuts words at : and =, which keys and options may hold, so the words are put together again by the spaces of
# the line. Candidates then lose what bash keeps in front of the cut. Only what a shell would read otherwise gets
# quoted.
_BASH = r"""_kept() {
  local rest=${COMP_LINE:0:COMP_POINT} part bare line index words=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    part=${COMP_WORDS[index]}
    [[ $index -eq $COMP_CWORD ]] && part=${rest#"${rest%%[![:space:]]*}"}
    bare=${rest#"${rest%%[![:space:]]*}"}
    if [[ ${#words[@]} -gt 0 && $bare == "$rest" && -n $part ]]; then
      words[${#words[@]}-1]+=$part
    else
      words+=("$part")
    fi
    rest=${bare#"$part"}
  done
  local word=${words[${#words[@]}-1]}
  word=${word#[\"\']}
  words[${#words[@]}-1]=$word
  local kept_by_bash=${word%"${word##*[:=]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    line=${line%%$'\t'*}
    line=${line#"$kept_by_bash"}
    [[ $line == *[!A-Za-z0-9_.:=/@%+,-]* ]] && printf -v line %q "$line"
    COMPREPLY+=("$line")
  done < <(kept complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _kept kept
"""

_ZSH = r"""_kept() {
  local line
  local -a values shown
  for line in "${(@f)$(kept complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] || continue
    values+=("${line%%$'\t'*}")
    shown+=("${line/$'\t'/  -- }")
  done
  (( ${#values} )) && compadd -l -d shown -a values
}
if (( ! $+functions[compdef] )); then
  autoload -Uz compinit && compinit -i
fi
compdef _kept kept
"""

_FISH = r"""function __kept_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct | string unescape)
    kept complete -- $before[2..] "$word" 2>/dev/null
end
complete -c kept -f -a '(__kept_complete)'
"""

_COMPLETION = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


class Completion(Struct, frozen=True, kw_only=True):
    """Print the completion script of a shell."""

    shell: Shell


class ShellInit(Struct, frozen=True, kw_only=True):
    """Print the lines that a shell's start-up file evaluates.

    They export KEPT_STATE_FILE, which names the mirror of the current state, and set up completion.
    """

    shell: Shell


class Complete(Struct, frozen=True, kw_only=True):
    """For shells: the candidates for the last of the words after `kept`, one per line, each with a tab and what it
    is."""

    words: Annotated[tuple[str, ...], Meta(description="The words up to the cursor; the last may be empty.")] = ()


class Help(Struct, frozen=True, kw_only=True):
    """Help for everything, for a domain, or for a command."""

    words: Annotated[tuple[str, ...], Meta(description="A domain or a command.")] = ()


def complete(wanted: Complete, call: Caller, surface: Surface) -> int:
    """Print the candidates. A shell that waits for a Tab gets candidates or none, never an error."""
    from .complete import candidates  # noqa: PLC0415 - it needs every command, this one among them

    *before, word = wanted.words or ("",)
    for candidate, about in candidates(before, word, call):
        surface.line(f"{candidate}\t{about}".rstrip("\t"))
    return FINE


def show_help(wanted: Help, _: Caller, surface: Surface) -> int:
    """Print help."""
    from .help import about  # noqa: PLC0415 - as above

    surface.out(about(wanted.words, surface.columns))
    return FINE


def completion(wanted: Completion, _: Caller, surface: Surface) -> int:
    """Print a completion script."""
    surface.out(_COMPLETION[wanted.shell])
    return FINE


def shell_init(wanted: ShellInit, call: Caller, surface: Surface) -> int:
    """Print the start-up lines."""
    path = f"{call(Status()).home}/current/state.json"
    if wanted.shell == "fish":
        escaped = path.replace("\\", "\\\\").replace("'", "\\'")
        surface.line(f"set -gx KEPT_STATE_FILE '{escaped}'")
    else:
        escaped = path.replace("'", "'\\''")
        surface.line(f"export KEPT_STATE_FILE='{escaped}'")
    surface.out(_COMPLETION[wanted.shell])
    return FINE


SHELL = (
    Command(
        ("shell-init",),
        ShellInit,
        shell_init,
        by_position=("shell",),
        examples=('eval "$(kept shell-init bash)"', "kept shell-init fish | source"),
    ),
    Command(
        ("completion",),
        Completion,
        completion,
        by_position=("shell",),
        examples=('eval "$(kept completion bash)"',),
        starts=False,
    ),
    Command(("help",), Help, show_help, by_position=("words",), examples=("kept help memory set",), starts=False),
    Command(("complete",), Complete, complete, by_position=("words",), starts=False, hidden=True),
)
