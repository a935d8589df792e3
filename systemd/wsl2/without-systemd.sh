#!/bin/sh
# kept at login on WSL2 without systemd: puts login.sh into place, and a line that reads it into the login profile.
#   sh systemd/wsl2/without-systemd.sh            set up; again changes nothing
#   sh systemd/wsl2/without-systemd.sh --remove   undo it
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${XDG_CONFIG_HOME:-$HOME/.config}/kept
script=$folder/login.sh
mark='# kept at login'
# What is in the path is quoted for the shell that reads it: ' becomes '\''.
quoted=$(printf '%s\n' "$script" | sed "s/'/'\\\\''/g")
line="[ ! -r '$quoted' ] || . '$quoted' $mark"
# Behind the line in a profile that was made for it, which then goes with it.
made=', which made this file'

# The files that login shells read: bash the first of the three that is there, zsh a file of its own.
profiles() {
    if [ -f "$HOME/.bash_profile" ]; then
        echo "$HOME/.bash_profile"
    elif [ -f "$HOME/.bash_login" ]; then
        echo "$HOME/.bash_login"
    fi
    # sh and dash read this one, whatever bash has.
    echo "$HOME/.profile"
    case ${SHELL:-} in
    */zsh) echo "${ZDOTDIR:-$HOME}/.zprofile" ;;
    esac
}

set_up() {
    mkdir -p "$folder"
    # Whole or not at all: a login may read it now.
    cp "$here/login.sh" "$script.new"
    mv "$script.new" "$script"
    profiles | while IFS= read -r profile; do
        if [ -f "$profile" ] && grep -qF "$mark" "$profile"; then
            echo "$profile has the line already"
        else
            # A profile whose last line has no end would swallow this one.
            if [ -s "$profile" ] && [ -n "$(tail -c 1 "$profile")" ]; then
                echo >>"$profile"
            fi
            # Behind a symbolic link that leads nowhere yet, the file is somebody else's.
            if [ -e "$profile" ] || [ -L "$profile" ]; then
                printf '%s\n' "$line" >>"$profile"
            else
                printf '%s\n' "$line$made" >"$profile"
            fi
            echo "$profile: added a line that reads $script"
        fi
    done
    echo "keptd starts at your next login. To undo this: sh $0 --remove"
}

remove() {
    profiles | while IFS= read -r profile; do
        if [ -f "$profile" ] && grep -qF "$mark" "$profile"; then
            rest=$(grep -vF "$mark" "$profile" || :)
            if [ -z "$rest" ] && [ ! -L "$profile" ] && grep -qF "$mark$made" "$profile"; then
                rm "$profile"
                echo "$profile: removed, since it held nothing but the line"
            else
                # Written into the file that is there, which keeps its mode and whatever links to it.
                printf '%s' "${rest:+$rest
}" >"$profile"
                echo "$profile: removed the line"
            fi
        fi
    done
    rm -f "$script" "$folder/login.told"
    # Where it holds nothing else.
    rmdir "$folder" 2>/dev/null || :
    echo "keptd no longer starts at login; every command starts it when it is needed."
}

case ${1:-} in
'') set_up ;;
--remove) remove ;;
*)
    echo "usage: sh $0 [--remove]" >&2
    exit 2
    ;;
esac
