# shellcheck shell=sh
# kept at login, where no systemd runs: starts keptd in the background unless it runs. Read by a login shell, or run:
#   . "$HOME/.config/kept/login.sh"          in ~/.profile (without-systemd.sh puts it there)
# It prints nothing, waits for nothing, leaves no variable behind, and succeeds whatever happens, also under `set -eu`.
# `kept daemon start` holds a lock while it looks and starts, so that ten terminals at once start one daemon; what goes
# wrong stands in keptd's log, and `kept doctor` shows it.
(
    # A profile may add ~/.local/bin to PATH after this, or not at all.
    PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}:${HOME:-}/.local/bin"
    command -v kept || exit 0
    # The terminal may be closed before the daemon is ready, and no login waits for a descriptor that is left open.
    trap '' HUP
    cd / || exit 0
    kept daemon start &
) </dev/null >/dev/null 2>&1 || :
