"""Where programs take secrets on their command lines, and which read them from standard input: the one table.

Owns the facts about programs, from their manuals. What holds for every program (`--password x`, `TOKEN=x`, URLs) is in
`names` and `texts`, and is not repeated here.
"""

from __future__ import annotations

from typing import NamedTuple

from .names import as_set


class Use(NamedTuple):
    """One way in which a program takes secrets. Fields of words are separated by spaces."""

    when: str = ""
    """Words that must be there as well; `a|b` is one of both. Places are counted behind the last."""
    options: str = ""
    """Their value is the secret, joined or as the next word."""
    joined: str = ""
    """Their value is the secret, where it is joined to them."""
    pairs: str = ""
    """Their value is NAME:SECRET, or with another of `separators`."""
    separators: str = ":"
    headers: str = ""
    """Their value is a header."""
    named: str = ""
    """They take two values: a name, and what is a secret if the name says so."""
    places: str = ""
    """Which of the words that are no options are secrets, behind those of `when`: `3`, `2+` for all from the
    second, `last`."""
    assigned: bool = False
    """Each NAME=VALUE is a secret."""
    by_name: bool = False
    """A word that names a secret stands before it."""
    split: str = ""
    """A word holds the secret between these two characters: `/@` for user/secret@place."""
    reads: str = ""
    """It reads a secret from standard input where one of these words is there; `*` for always."""
    flags: str = ""
    """Options whose names sound like a secret and which take none."""
    takes: str = ""
    """Short options that take a value of another kind."""


_LOGIN = Use(when="login", options="-p", reads="--password-stdin")
_MYSQL = Use(joined="-p", flags="--password", takes="uhPeDS")
_PSQL = Use(flags="--password", takes="hpUdcf")
_SECRETS_SET = Use(when="secrets|secret|env|vars|variables", assigned=True)
_WHOLE = Use(reads="*")

_TABLE: dict[str, tuple[Use, ...]] = {
    # Clients of the web and of mail
    "curl": (
        Use(
            options="--oauth2-bearer --pass --proxy-pass --tlspassword --proxy-tlspassword --ftp-account",
            pairs="-u --user -U --proxy-user -E --cert --proxy-cert",
            headers="-H --header --proxy-header",
            takes="oXHdAeTrFxmbcCDEKPQtUuwyYz",
        ),
        Use(pairs="-b --cookie", separators="=", takes="oXHdAeTrFxmcCDEKPQtUuwyYz"),
    ),
    "wget wget2 aria2c": (Use(options="--http-passwd", headers="--header", takes="OoaPtTQAR"),),
    "http https xh xhs": (
        Use(pairs="-a --auth", headers="*"),
        Use(when="bearer", options="-a --auth"),
    ),
    "httpie curlie hurl ab wrk hey vegeta grpcurl websocat wscat ffmpeg ffplay yt-dlp": (
        Use(pairs="-a -A -P -u --auth", headers="-H --header -header -headers -rpc-header", flags="-pass --pass"),
    ),
    "x264 x265": (Use(flags="--pass"),),
    "lftp": (Use(pairs="-u", separators=","),),
    "ftp ncftp ncftpput ncftpget": (Use(options="-p"),),
    "swaks sendemail sendEmail": (Use(options="-ap -xp --auth-password"),),
    "mutt msmtp": (Use(options="--passwordeval"),),
    # Databases
    "mysqladmin": (Use(when="password", places="1"),),
    "mysql* mariadb* mycli myloader mydumper xtrabackup": (_MYSQL,),
    "psql pg_dump pg_dumpall pg_restore createdb dropdb createuser pgcli pgbench vacuumdb": (_PSQL,),
    "redis-cli valkey-cli keydb-cli": (
        Use(options="-a --pass", takes="hpnsu"),
        Use(when="auth|AUTH", places="1+"),
        Use(when="config|CONFIG", by_name=True),
        Use(when="acl|ACL", places="3+"),
        Use(when="hello|HELLO", places="3+"),
    ),
    "mongo mongosh mongodump mongorestore mongoexport mongoimport": (Use(options="-p", takes="uhd"),),
    "cqlsh influx arangosh couchbase-cli cbq clickhouse-client cockroach": (Use(options="-p", takes="uh"),),
    "sqlcmd bcp isql tsql osql": (Use(options="-P", takes="SUd"), Use(places="3")),
    "sqlplus sqlldr expdp impdp rman exp imp sql tnsping": (Use(split="/@"),),
    "snowsql": (Use(options="--private-key-passphrase"),),
    "mysql_config_editor": (_WHOLE,),
    # Logging in elsewhere
    "sshpass": (Use(options="-p -P", reads="-d0"),),
    "plink pscp psftp putty": (Use(options="-pw"),),
    "smbclient rpcclient smbget nmblookup smbmap net wmic winexe": (Use(pairs="-U --user -W", separators="%"),),
    "net": (Use(when="user", places="2"), Use(when="use", places="2+")),
    "xfreerdp xfreerdp3 wlfreerdp rdesktop": (Use(options="-p", joined="/p:"),),
    "evil-winrm crackmapexec netexec nxc hydra kerbrute": (Use(options="-p -P"),),
    "ldap*": (
        Use(options="-w", takes="HDbshpxfYUR"),
        Use(options="-a -s -A", when="-S"),
    ),
    "ldappasswd": (Use(options="-a -s -w", takes="HDhpxYU"),),
    "ipmitool": (Use(options="-P", takes="HUIpL"),),
    "snmpget snmpwalk snmpset snmptrap snmpbulkwalk snmptable snmpgetnext": (Use(options="-A -X -c", takes="vulax"),),
    "radtest": (Use(places="2 5"),),
    "kinit kadmin kadmin.local": (Use(options="-pw -w"), _WHOLE, Use(when="kadmin.local", options="-pw")),
    "nmcli": (Use(by_name=True, reads="--ask"),),
    "wpa_passphrase": (Use(places="2", reads="*"),),
    "iwconfig": (Use(by_name=True),),
    "iwctl": (Use(options="-P --passphrase"),),
    "kubeseal": (_WHOLE,),
    "wpa_cli": (Use(by_name=True),),
    "iw": (Use(when="key", places="1"),),
    "sshfs": (Use(reads="password_stdin"),),
    "mount mount.cifs": (Use(pairs="-o", separators="%"),),
    "smbclient": (Use(places="2", takes="UWIp"),),
    "psexec psexec64 paexec": (Use(options="-p"),),
    "doctl vercel": (Use(options="-t"),),
    "cloudflared": (Use(when="install", places="1"),),
    "wg": (Use(reads="pubkey set"),),
    "openconnect": (Use(reads="--passwd-on-stdin"),),
    "vncpasswd x11vnc": (Use(options="-passwd", reads="*"),),
    "mosquitto_pub mosquitto_sub": (Use(options="-P", takes="htmuq"),),
    "mosquitto_passwd": (Use(when="-b", places="3"),),
    # Accounts of the system
    "sudo doas": (Use(reads="-S --stdin -kS -Sk -SE -ES"),),
    "su runuser passwd chpasswd cryptsetup systemd-ask-password systemd-creds smbpasswd pdbedit vncviewer": (_WHOLE,),
    "chgpasswd newusers yppasswd lpasswd saslpasswd2 pinentry gpg-connect-agent gpg-preset-passphrase": (_WHOLE,),
    "passwd": (Use(takes="nxwi"),),
    "useradd usermod groupadd groupmod adduser": (Use(options="-p", takes="ugGdscefkKbrR"),),
    "dscl": (Use(when="-passwd|passwd", places="2+"), Use(when="-passwd", places="1+")),
    "sysadminctl": (Use(options="-password -newPassword -oldPassword"),),
    "mkpasswd": (Use(places="1", reads="*", takes="mSR"),),
    "htpasswd": (
        Use(when="-b|-cb|-bc|-bB|-Bb|-bcB|-cbB|-Bbc|-bm|-bs|-bd|-cBb|-bBc|-mb|-cmb", places="3"),
        Use(reads="-i -ci -ic -iB -Bi"),
        Use(when="-nb|-bn|-nbB|-Bbn|-bnB|-nbm|-nBb|-nbs|-bBn", places="2"),
    ),
    "htdigest caddy": (_WHOLE, Use(when="hash-password", options="-p")),
    "argon2": (_WHOLE,),
    # Keys and archives
    "openssl": (
        Use(
            options="-passin -passout -pass -k -K -passwd -password -srppass -psk -macopt -hmac",
            flags="-key -keyout",
            reads="stdin passwd enc base64",
        ),
        Use(when="passwd", places="last"),
    ),
    "gpg gpg2 gpgv": (Use(reads="--passphrase-fd --passphrase-fd=0 --batch -c --symmetric"),),
    "ssh-keygen": (Use(options="-N -P", takes="tbfCOIVsaim"),),
    "ssh-add age rage minisign signify puttygen": (Use(options="--new-passphrase", reads="*"),),
    "keytool jarsigner apksigner": (
        Use(
            options="-storepass -keypass -srcstorepass -deststorepass -destkeypass -srckeypass -new --ks-pass"
            " --key-pass"
        ),
    ),
    "zip unzip zipcloak": (Use(options="-P", takes="xdinb"),),
    "7z* rar unrar": (Use(joined="-p -hp"),),
    "qpdf": (Use(when="--encrypt", places="1 2"),),
    "pdftk": (Use(by_name=True), Use(when="input_pw", places="2+")),
    "pdftotext pdfinfo pdfunite pdftoppm": (Use(options="-opw -upw"),),
    "borg restic duplicity kopia": (Use(reads="key init"),),
    "steghide": (Use(options="-p"),),
    "veracrypt truecrypt": (Use(options="-p --password --new-password", reads="--stdin"),),
    "base64": (Use(reads="*"),),
    "sha1sum sha256sum sha512sum md5sum bcrypt": (_WHOLE,),
    "hashcat john": (Use(places="2"),),
    # Keepers of secrets
    "pass gopass passage": (Use(reads="insert generate edit"),),
    "vault bao": (
        Use(when="login", places="1+", reads="login"),
        Use(when="put|write|patch", assigned=True, reads="put write patch"),
        Use(when="unseal", places="1+"),
        Use(when="unwrap|wrap", places="1+"),
        Use(when="lookup|renew|revoke", places="1+"),
    ),
    # The names of secrets are masked as well: the vault keeps them as it keeps the secrets.
    "kept": (
        Use(when="vault", places="2+", options="--value --text --data --code", reads="vault"),
        Use(when="rpc", places="2+", reads="rpc"),
    ),
    "bw": (
        Use(when="unlock|login", places="1+", options="--session", reads="*"),
        Use(options="--session"),
        Use(when="login", places="2+"),
        Use(when="create|edit|encode", places="2+"),
    ),
    "op lpass keepassxc-cli secret-tool keyring kwallet-query sops doppler infisical chamber envchain": (
        Use(when="create|edit|set|write|import|secrets", assigned=True, reads="*"),
    ),
    "llm": (Use(when="keys", options="--value", reads="set"),),
    "security": (Use(options="-w -p", reads="*"), Use(when="unlock-keychain|add-generic-password", options="-p -w")),
    "ansible-vault": (Use(when="encrypt_string", places="1+", reads="*"),),
    "credstash": (Use(when="put", places="2+"),),
    "chamber": (Use(when="write", places="3+"),),
    "cmdkey": (Use(joined="/pass: /p:"),),
    "git-credential git-credential-store git-credential-cache": (_WHOLE,),
    "git": (Use(when="credential", reads="approve reject fill store"), Use(when="config", by_name=True, headers="*")),
    # Containers and clouds
    "docker podman nerdctl buildah skopeo helm oras crane cosign kaniko oc az img regctl": (
        _LOGIN,
        Use(when="secret", reads="create"),
    ),
    "docker-compose compose": (_LOGIN,),
    "skopeo": (Use(pairs="--creds --src-creds --dest-creds"),),
    "podman": (Use(pairs="--creds"),),
    "kubectl oc k": (
        Use(when="secret", assigned=True),
        Use(pairs="--from-literal", separators="="),
    ),
    "az": (
        Use(when="secret", options="--value"),
        Use(when="keyvault", options="--value"),
        Use(when="appsettings", assigned=True),
        Use(when="login", options="-p"),
    ),
    "aws": (
        Use(when="configure", by_name=True, flags="--secret-id"),
        Use(when="secretsmanager", options="--secret-string --secret-binary"),
        Use(when="put-parameter", options="--value"),
        Use(when="cognito-idp", options="--password --temporary-password"),
    ),
    "gcloud": (
        Use(when="secrets", reads="--data-file=- --data-file"),
        Use(when="config", by_name=True),
        Use(when="activate-refresh-token", places="2"),
    ),
    "fly flyctl wrangler vercel netlify railway render supabase firebase convex turso doctl": (
        _SECRETS_SET,
        Use(when="secrets|secret|env|env:set|variables", reads="import put add set"),
        Use(when="env:set", places="2+"),
    ),
    "heroku dokku now eb scalingo clever": (
        Use(when="config:set|config:add|env:set|config|setenv|env", assigned=True),
        Use(when="env", places="3+"),
    ),
    "gh glab hub tea": (
        Use(when="secret|variable", options="-b --body -v --value", reads="set"),
        Use(when="auth", options="-t", reads="--with-token login --stdin"),
        Use(headers="-H --header"),
    ),
    "terraform tofu pulumi": (
        Use(when="config", by_name=True, reads="--secret set"),
        Use(when="--secret set", places="2"),
    ),
    "tailscale zerotier-cli ngrok cloudflared netbird": (
        Use(options="--authkey --auth-key --setup-key"),
        Use(when="authtoken|add-authtoken", places="1+"),
        Use(when="add-authtoken", places="1+"),
        Use(when="config", places="2+"),
    ),
    "mc": (Use(when="alias|config", places="4+"), Use(when="user", places="4+")),
    "rclone": (
        Use(when="obscure|reveal", places="1+", reads="obscure reveal"),
        Use(when="config", by_name=True),
    ),
    "s3cmd": (Use(options="--secret_key --access_key"),),
    "lpstat rabbitmqctl": (
        Use(when="add_user|change_password|authenticate_user", places="2+", reads="add_user change_password"),
    ),
    "rabbitmqadmin": (Use(options="-p"),),
    "consul nomad": (Use(options="-token"), Use(when="set-agent-token", places="2")),
    "etcdctl": (Use(pairs="--user"),),
    # Packages and builds
    "npm pnpm yarn bun": (Use(when="set|config|c", by_name=True), Use(when="login|adduser", options="-p", reads="*")),
    "twine": (Use(options="-p", takes="urisc"),),
    "poetry": (
        Use(when="config", by_name=True),
        Use(when="config", named="pypi-token.pypi"),
        Use(when="publish", options="-p"),
    ),
    "pip pip3 uv hatch flit pdm": (Use(options="-a --auth"), Use(when="config", by_name=True)),
    "cargo": (Use(when="login", places="1+", reads="login"),),
    "gem": (Use(options="-k --key"),),
    "composer": (Use(when="config", by_name=True),),
    "bundle": (Use(when="config", by_name=True, split=": "),),
    "nuget dotnet": (
        Use(when="setapikey|push", options="-k -ApiKey --api-key -Password"),
        Use(when="setapikey", places="1"),
        Use(when="sources|source", options="-p -Password"),
        Use(when="user-secrets", places="3+"),
    ),
    "mvn gradle gradlew ant": (
        Use(when="--encrypt-password", places="1"),
        Use(options="--encrypt-password --encrypt-master-password -ep -emp"),
    ),
    "conan": (Use(when="user|login", options="-p"),),
    "svn": (Use(options="--password"),),
    "jq yq": (Use(named="--arg --argjson"),),
    "snyk codecov sentry-cli newrelic datadog-ci": (
        Use(when="auth", places="1+"),
        Use(options="-t"),
    ),
    "ansible ansible-playbook": (Use(flags="-k -K --ask-pass"),),
    # Shells and windows
    "set setenv setx export declare typeset universal": (Use(by_name=True),),
    "xdotool ydotool wtype": (Use(when="type", places="1+"),),
    "wtype": (Use(places="1+"),),
    "expect": (Use(reads="-"),),
}

SHELLS = as_set("sh bash zsh fish dash ksh mksh ash busybox")
"""The value of their option c is a command line, and so is what they read."""

RUNNERS = SHELLS | as_set(
    "ssh mosh eval watch su runuser tmux screen parallel at batch flock entr nix-shell hyperfine script alias"
    " trap docker podman kubectl oc gcloud vagrant lxc incus multipass wsl wsl.exe cmd cmd.exe xterm alacritty"
    " kitty systemd-run sudo doas time xargs env find crontab pssh ansible distrobox toolbox nohup setsid timeout"
    " abbr"
)
"""A word of theirs that has spaces in it is read as a command line."""

PROSE = as_set("git gh glab kept hub jj hg svn man apropos grep rg ag ack sed awk gawk")
"""What they are given is prose or a pattern: a line `token: x` of it is no setting."""

WRITERS = frozenset(("echo", "printf", "print", "yes", "cat", "tee"))
"""They put their words or their input out as they are."""

WRAPPERS = as_set(
    "sudo doas env time nohup nice ionice command builtin exec stdbuf timeout setsid xargs watch strace ltrace"
    " noglob nocorrect caffeinate proxychains proxychains4 torsocks chrt taskset unbuffer not and or begin then"
    " else elif do if while until ! { [[ ( chroot unshare nsenter firejail systemd-run cgexec numactl faketime"
    " gosu su-exec python uvx pipx uv"
)
"""What stands before the program that a command is about."""

INSTALLERS = as_set("uvx pipx uv")
"""They run a program out of a package, whose version may be named with it: `kept@latest`, `kept==2.0`."""


def _by_name() -> tuple[dict[str, list[Use]], tuple[tuple[str, tuple[Use, ...]], ...]]:
    exact: dict[str, list[Use]] = {}
    begins = []
    for names, uses in _TABLE.items():
        for name in names.split():
            if name.endswith("*"):
                begins.append((name[:-1], uses))
            else:
                exact.setdefault(name, []).extend(uses)
    return exact, tuple(begins)


_EXACT, _BEGINS = _by_name()


def uses_of(name: str) -> list[Use]:
    """What is known of a program, by the name of its file in lower case."""
    found = list(_EXACT.get(name, ()))
    for beginning, uses in _BEGINS:
        if name.startswith(beginning) and (name != "mysql_config_editor"):
            found.extend(uses)
    return found
