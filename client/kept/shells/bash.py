"""bash: what it evaluates. Written for 4.4 and newer, and clean under shellcheck.

Aliases are expanded where a function is read, so they are off while these lines are. Nothing is left to the options of
the shell: every value has a default (`set -u`), every command that may fail is tested (`set -e`), every word is quoted
(`IFS`), no file is written (`noclobber`), and no process substitution is used (POSIX mode before 5.1 has none).
"""

from __future__ import annotations

_BEFORE = r"""_kept_options=${BASHOPTS-}
\builtin shopt -u expand_aliases
"""

_AFTER = r"""if [[ $_kept_options == *expand_aliases* ]]; then shopt -s expand_aliases; fi
\unset -v _kept_options
"""

# bash cuts words at : and =, which keys and options may hold, so the words are put together again by the spaces of
# the line. Candidates then lose what bash keeps in front of the cut. Only what a shell would read otherwise gets
# quoted.
COMPLETION = r"""_kept() {
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
  rest=$(command kept complete -- "${words[@]:1}" 2>/dev/null </dev/null) || rest=
  while [[ -n $rest ]]; do
    line=${rest%%$'\n'*}
    rest=${rest:${#line}}
    rest=${rest#$'\n'}
    line=${line%%$'\t'*}
    line=${line#"$kept_by_bash"}
    [[ $line == *[!A-Za-z0-9_.:=/@%+,-]* ]] && builtin printf -v line %q "$line"
    COMPREPLY+=("$line")
  done
  return 0
}
complete -o default -F _kept kept
"""

# An interactive shell with a terminal that can be written on; `bash -ic` has a c among its flags. Once in a terminal:
# its session (field 6 of proc_pid_stat(5)) and its device (7) tell it apart. A nested shell and `exec bash` have
# both from the first one, so that the variable that they inherit tells them; a pane of tmux, and a terminal that gets
# the device of a closed one, have a session of their own.
BANNER = r"""_kept_show() {
  local line='' place='?' form='^. [0-9]+ [0-9]+ ([0-9]+) ([0-9]+) '
  if [[ -r /proc/$$/stat ]] && IFS= read -r line <"/proc/$$/stat" && [[ ${line##*) } =~ $form ]]; then
    place=${BASH_REMATCH[1]}.${BASH_REMATCH[2]}
  fi
  if [[ ${KEPT_SHOWN-} == "$place" ]]; then return 0; fi
  { export KEPT_SHOWN="$place"; } 2>/dev/null || return 0
  if builtin type -P kept >/dev/null; then
    command kept shell-banner@options@ </dev/null 2>/dev/null || return 0
  fi
}
if [[ $- == *i* && $- != *c* && -t 0 && -t 1 && ${TERM:-dumb} != dumb ]]; then _kept_show; fi
unset -f _kept_show
"""

# No DEBUG trap, which a user or bash-preexec may have: PS0 is expanded when a command begins, and an arithmetic
# expansion in it sets the time without a process. What was typed comes from the history, so that what the history
# leaves out (HISTCONTROL, HISTIGNORE) is not logged; its numbers say whether there is something new: the one of the
# prompt begins late where the history was empty, the other is 1 in some versions of bash. The hook goes before the
# user's, since only the first of a string sees the status; it gives the status back, but under `set -e`, where that
# would end the shell. Where the user has made them read-only, nothing is logged.
# One process is at work at most; what is typed meanwhile waits for the next prompt. It is a child of a substitution
# and not of the shell, so that there is no message of a job, and `$!` stays what it was. The terminal's end doesn't
# end it. Who inherits it may be late to notice its end (state Z).
LOG = r"""_kept_none=()
_kept_began=
_kept_at=
_kept_number='\!'
_kept_waiting=
_kept_sender=
_kept_is_sending() {
  local line=''
  [[ -n $_kept_sender ]] && { IFS= read -r line <"/proc/$_kept_sender/stat"; } 2>/dev/null && [[ ${line##*) } != Z* ]]
}
_kept_note() {
  local status=$? began=${_kept_began:-} number=${HISTCMD-}:${_kept_number@P} now=${EPOCHREALTIME-} took='' text
  _kept_began=
  if [[ -n $_kept_at && $number != "$_kept_at" ]]; then
    text=$(HISTTIMEFORMAT='' builtin history 1 2>/dev/null) || text=
    if [[ $text =~ ^\ *[0-9]+[*\ ]\ (.*) ]]; then text=${BASH_REMATCH[1]}; else text=; fi
    if [[ -n $text && $text != [[:space:]]* && $text != kept && $text != 'kept '* &&
          ${#_kept_waiting} -lt 16000 ]]; then
      now=${now//[!0-9]/}
      if [[ -n $began && -n $now ]]; then took=$(( (now - began) / 1000 )); fi
      builtin printf -v text '%s\n%s\n%s\n%s\036' "$status" "$took" "${PWD//$'\n'/ }" "${text:0:4000}"
      _kept_waiting+=$text
    fi
  fi
  _kept_at=$number
  if [[ -n $_kept_waiting ]] && ! _kept_is_sending; then
    _kept_sender=$(
      builtin trap - DEBUG ERR EXIT
      builtin trap '' HUP INT
      { builtin printf %s "$_kept_waiting" | command kept shell-log; } </dev/null >/dev/null 2>&1 &
      builtin printf %s "$!"
    ) || _kept_sender=
    _kept_waiting=
  fi
  if [[ $- == *e* ]]; then return 0; fi
  return "$status"
}
if [[ $- == *i* && -t 0 && ${PROMPT_COMMAND[*]-} != *_kept_note* &&
      ${PROMPT_COMMAND+${PROMPT_COMMAND@a}}${PS0+${PS0@a}} != *r* ]]; then
  if [[ ${PROMPT_COMMAND+x} == x && ${#PROMPT_COMMAND[@]} -gt 1 ]]; then
    PROMPT_COMMAND=(_kept_note "${PROMPT_COMMAND[@]}")
  else
    # shellcheck disable=SC2128,SC2178 # a text, or an array of one
    PROMPT_COMMAND=_kept_note${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND}
  fi
  # shellcheck disable=SC2016 # it is expanded later; in POSIX mode a ! would become a number
  PS0=${PS0-}'${_kept_none[(_kept_began=${EPOCHREALTIME//[^0-9]/}) * 0]-}'
fi
"""


def export(state_file: str) -> str:
    """Names the file of the current state to every program of the shell."""
    escaped = state_file.replace("'", "'\\''")
    return f"export KEPT_STATE_FILE='{escaped}'\n"


def whole(parts: list[str]) -> str:
    """The parts as one text."""
    return "".join((_BEFORE, *parts, _AFTER))
