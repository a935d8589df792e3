#!/bin/sh
# kept at login on WSL2 with systemd: puts the units into place, enables them, and has your services start with the
# distribution instead of with the first login. Again changes nothing.
#   sh systemd/wsl2/with-systemd.sh
# It changes nothing outside your home folder but the mark that systemd-logind keeps for `loginctl enable-linger`.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# What sd_booted(3) looks at; the tests name another place.
booted=${KEPT_BOOTED:-/run/systemd/system}
units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user

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
if [ ! -x "$HOME/.local/bin/keptd" ]; then
    refuse "There is no $HOME/.local/bin/keptd, which the unit starts." \
        'Install kept first (pipx install kept, or uv tool install kept).'
fi
if ! systemctl --user show-environment >/dev/null 2>&1; then
    refuse 'Your user manager does not answer, as where /run/user belongs to another user (microsoft/WSL#10846).' \
        'kept doctor says more about that folder. Without systemd: sh without-systemd.sh'
fi
mkdir -p "$units"
for unit in keptd.service keptd.socket; do
    cp "$here/../$unit" "$units/$unit.new"
    mv "$units/$unit.new" "$units/$unit"
done
systemctl --user daemon-reload
systemctl --user enable --now keptd.socket keptd.service
loginctl enable-linger "$(id -un)" ||
    echo 'Lingering could not be enabled, so keptd starts at your first login. To try again: sudo loginctl enable-linger' \
        "$(id -un)" >&2
echo 'keptd runs as a service. systemctl --user status keptd shows it.'
