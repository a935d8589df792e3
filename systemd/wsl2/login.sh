# shellcheck shell=sh
# kept at login, where no systemd runs: starts keptd in the background unless it runs. Read by a login shell, or run:
#   . "$HOME/.config/kept/login.sh"          in ~/.profile (without-systemd.sh puts it there)
# It waits for nothing, leaves no variable behind, and succeeds whatever happens, also under `set -eu`. It prints nothing,
# but that there is no kept: to a person at a terminal, and once until there is one again.
# `kept daemon start` holds a lock while it looks and starts, so that ten terminals at once start one daemon; what goes
# wrong stands in keptd's log, and `kept doctor` shows it.
(
    # A profile may add ~/.local/bin to PATH after this, or not at all.
    PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}:${HOME:-}/.local/bin"
    command -v kept || exit 1
    told="${XDG_CONFIG_HOME:-${HOME:-}/.config}/kept/login.told"
    [ ! -e "$told" ] || rm -f "$told"
    # The terminal may be closed before the daemon is ready, and no login waits for a descriptor that is left open.
    trap '' HUP
    cd / || exit 0
    kept daemon start &
) </dev/null >/dev/null 2>&1 || case $- in
# Not to a shell that runs for scp, rsync or a desktop's login: what it says may be taken for an answer.
*i*)
    (
        told="${XDG_CONFIG_HOME:-${HOME:-}/.config}/kept/login.told"
        if [ -t 2 ] && [ ! -e "$told" ]; then
            echo "kept: keptd was not started at login: there is no kept in your PATH, nor in ~/.local/bin."
            echo "Put its folder into PATH before the line '# kept at login' of your profile, or remove that line."
            # Last, since a folder that can't be written to ends some shells here; then it is said again.
            { : >"$told"; } 2>/dev/null
        fi
    ) >&2 </dev/null || :
    ;;
esac
