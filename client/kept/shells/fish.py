"""fish: what it evaluates. Written for 3.1 and newer.

fish has no options that change how a script is read; functions of the user may have the names of commands, and are
stepped over by `builtin` and `command`.
"""

from __future__ import annotations

COMPLETION = r"""function __kept_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct | string unescape)
    command kept complete -- $before[2..] "$word" 2>/dev/null </dev/null
end
complete -c kept -f -a '(__kept_complete)'
"""

# At the first prompt; `fish -ic` has none. Once in a terminal: its session (field 6 of proc_pid_stat(5)) and its
# device (7) tell it apart, as in bash.
BANNER = r"""if status is-interactive
    function __kept_show --on-event fish_prompt
        functions -e __kept_show
        builtin test -t 0 -a -t 1; or return 0
        contains -- "$TERM" '' dumb; and return 0
        set -l place '?'
        set -l line
        if builtin test -r /proc/$fish_pid/stat; and builtin read line </proc/$fish_pid/stat
            set -l fields (string split ' ' -- (string replace -r '^.*\) ' '' -- $line))
            set place $fields[4].$fields[5]
        end
        builtin test "$KEPT_SHOWN" = "$place"; and return 0
        set -gx KEPT_SHOWN $place
        command -q kept; and command kept shell-banner@options@ </dev/null 2>/dev/null
        return 0
    end
end
"""

# A line that begins with a space is not kept by fish's history either. One process is at work at most; what is typed
# meanwhile waits for the next command. `$last_pid` changes: what fish puts behind is its own child.
LOG = r"""if status is-interactive
    set -g __kept_waiting
    set -g __kept_sender
    function __kept_log --on-event fish_postexec
        set -l code $status
        set -l took $CMD_DURATION
        if not string match -qr '^\s|^kept(\s|$)|^$' -- "$argv[1]"; and builtin test (count $__kept_waiting) -lt 16
            set -l folder (string replace -a \n ' ' -- "$PWD" | string collect)
            set -l line (string sub -l 4000 -- "$argv[1]" | string collect)
            set -a __kept_waiting $code\n$took\n$folder\n$line
        end
        builtin test -n "$__kept_waiting"; and command -q kept; or return $code
        builtin test -n "$__kept_sender" -a -d "/proc/$__kept_sender"; and return $code
        builtin printf '%s\036' $__kept_waiting | command kept shell-log >/dev/null 2>&1 &
        set -g __kept_sender $last_pid
        set -g __kept_waiting
        builtin disown $__kept_sender 2>/dev/null
        return $code
    end
end
"""


def export(state_file: str) -> str:
    """Names the file of the current state to every program of the shell."""
    escaped = state_file.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx KEPT_STATE_FILE '{escaped}'\n"


def whole(parts: list[str]) -> str:
    """The parts as one text."""
    return "".join(parts)
