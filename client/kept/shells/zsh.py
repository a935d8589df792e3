"""zsh: what it evaluates. Written for 5.0.3 and newer.

All of it is read, and every function of it runs, under zsh's own defaults (`emulate -c`), whatever the user has
set, and without aliases, which are expanded where a function is read.
"""

from __future__ import annotations

# Whoever has loaded no completion system by the first prompt gets that which zsh has built in: loading one reads a
# thousand files where its dump can't be written.
COMPLETION = r"""_kept() {
  local line
  local -a values shown
  for line in "${(@f)$(command kept complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)}"; do
    [[ -n $line ]] || continue
    values+=("${line%%$'\t'*}")
    shown+=("${line/$'\t'/  -- }")
  done
  (( ${#values} )) && compadd -l -d shown -a values
}
_kept_offer() {
  local -a words
  read -c -A words
  local CURRENT
  read -c -n CURRENT
  reply=("${(@)${(@f)$(command kept complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)}%%$'\t'*}")
}
_kept_register() {
  precmd_functions=(${precmd_functions:#_kept_register})
  if (( $+functions[compdef] )); then compdef _kept kept; else compctl -K _kept_offer kept; fi
}
if (( $+functions[compdef] )); then
  compdef _kept kept
elif [[ -o interactive ]]; then
  typeset -ga precmd_functions
  precmd_functions+=(_kept_register)
fi
"""

# At the first prompt: what is printed before it, themes that draw a prompt in advance complain of. `zsh -ic` has none.
# Once in a terminal: its session (field 6 of proc_pid_stat(5)) and its device (7) tell it apart, as in bash.
BANNER = r"""_kept_show() {
  precmd_functions=(${precmd_functions:#_kept_show})
  unfunction _kept_show
  [[ -t 0 && -t 1 && ${TERM:-dumb} != dumb ]] || return 0
  local line place='?'
  local -a fields
  if [[ -r /proc/$$/stat ]] && IFS= read -r line </proc/$$/stat; then
    fields=(${=line##*\) })
    place=$fields[4].$fields[5]
  fi
  [[ ${KEPT_SHOWN-} != "$place" && ${(t)KEPT_SHOWN-} != *readonly* ]] || return 0
  export KEPT_SHOWN=$place
  if whence -p kept >/dev/null; then
    command kept shell-banner@options@ </dev/null 2>/dev/null
  fi
  return 0
}
if [[ -o interactive ]]; then
  typeset -ga precmd_functions
  precmd_functions+=(_kept_show)
fi
"""

# One process is at work at most; what is typed meanwhile waits for the next prompt. It is a child of a substitution
# and not of the shell, so that there is no message of a job, and `$!` stays what it was. The terminal's end doesn't
# end it. Who inherits it may be late to notice its end (state Z).
LOG = r"""zmodload -F zsh/datetime p:EPOCHREALTIME 2>/dev/null
typeset -g _kept_line= _kept_began= _kept_waiting= _kept_sender=
_kept_preexec() {
  _kept_line=$1
  _kept_began=${EPOCHREALTIME-}
}
_kept_is_sending() {
  local line
  [[ -n $_kept_sender ]] && { IFS= read -r line </proc/$_kept_sender/stat } 2>/dev/null && [[ ${line##*\) } != Z* ]]
}
_kept_precmd() {
  local code=$? line=$_kept_line took=
  local -i span
  _kept_line=
  if [[ -n $line && $line != [[:space:]]* && $line != kept && $line != 'kept '* && $#_kept_waiting -lt 16000 ]]; then
    if [[ -n $_kept_began ]]; then
      span=$(( (EPOCHREALTIME - _kept_began) * 1000 ))
      took=$span
    fi
    _kept_waiting+="$code"$'\n'"$took"$'\n'"${PWD//$'\n'/ }"$'\n'"${line[1,4000]}"$'\x1e'
  fi
  if [[ -n $_kept_waiting ]] && ! _kept_is_sending; then
    _kept_sender=$(
      { trap '' HUP; print -rn -- "$_kept_waiting" | command kept shell-log } </dev/null >/dev/null 2>&1 &
      print -rn -- $!
    )
    _kept_waiting=
  fi
  return $code
}
if [[ -o interactive ]]; then
  typeset -ga preexec_functions precmd_functions
  preexec_functions=(${preexec_functions:#_kept_preexec} _kept_preexec)
  precmd_functions=(_kept_precmd ${precmd_functions:#_kept_precmd})
fi
"""


def export(state_file: str) -> str:
    """Names the file of the current state to every program of the shell."""
    return f"export KEPT_STATE_FILE={_quoted(state_file)}\n"


def whole(parts: list[str]) -> str:
    """The parts as one text, in one line: where csh's quotes are set, a line break within quotes is an error."""
    text = "".join(parts).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"\\builtin emulate zsh -o no_aliases -c $'{text}'\n"


def _quoted(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"
