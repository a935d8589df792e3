#!/bin/sh
# kept at login on WSL2 with systemd: installs kept as a service of your user manager, and has your services start with
# the distribution instead of with the first login. Again changes nothing.
#   sh systemd/wsl2/with-systemd.sh
# It changes nothing outside your home folder but the mark that systemd-logind keeps for `kept daemon enable-linger`.
set -eu

# What sd_booted(3) looks at; the tests name another place.
booted=${KEPT_BOOTED:-/run/systemd/system}
PATH=$HOME/.local/bin:$PATH

refuse() {
    printf '%s\n' "$@" >&2
    exit 1
}

if [ ! -d "$booted" ]; then
    refuse 'systemd does not run here. Put these two lines into /etc/wsl.conf (sudo), save your work, run' \
        'wsl.exe --shutdown in Windows, open the distribution again, and run this once more:' \
        '  [boot]' \
        '  systemd=true' \
        'Without systemd: sh without-systemd.sh'
fi
if ! command -v kept >/dev/null; then
    refuse 'There is no kept in your PATH.' 'Install it first (pipx install kept, or uv tool install kept).'
fi
if ! systemctl --user show-environment >/dev/null 2>&1; then
    refuse 'Your user manager does not answer, as where /run/user belongs to another user (microsoft/WSL#10846).' \
        'kept doctor says more about that folder. Without systemd: sh without-systemd.sh'
fi
kept daemon install
kept daemon enable-linger ||
    echo 'Lingering could not be enabled, so keptd starts at your first login. To try again: sudo loginctl enable-linger' \
        "$(id -un)" >&2
echo 'keptd runs as a service. kept daemon status shows it.'
