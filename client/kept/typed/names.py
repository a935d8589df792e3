"""What the name of a variable, an option or a field says: that its value is a secret, or not.

Pure judgement on a name. It is read in its parts (`dbPassword`, `DB_PASSWORD`, `db-password`), and what says that the
value is only about a secret (`password-file`, `max_tokens`, `no-auth`) outweighs the rest.
"""

from __future__ import annotations

import re
from enum import Enum

LONGEST = 200
"""Characters of the longest name that is looked at; only its end counts."""


class Says(Enum):
    """What a name says of its value."""

    NOTHING = 0
    PERHAPS = 1
    """A secret, unless it looks like a path or like yes or no: `auth`, `cookie`, `key`."""
    SECRET = 2


def as_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_SECRET = as_set(
    "password passwords passwd pass pwd passphrase passcode pw secret secrets token tokens bearer apikey psk"
    " pat otp totp"
    " passin passout userpwd jwt authtoken apitoken seed mnemonic pgpass authorization"
)
_PERHAPS = as_set("auth cookie cookies pin credential credentials creds cred")
_ENDS = ("password", "passwd", "passphrase", "passwort", "secret", "token", "apikey", "pwd", "pass", "secretkey",
         "accesskey", "privatekey", "authkey")  # fmt: skip
"""A part that ends so is two words in one: `dbpass`, `mytoken`."""

_NO_ENDS = as_set("bypass compass encompass surpass trespass askpass multipass keepass underpass onepass")
_STRONG_KEYS = as_set(
    "api access secret auth account shared signing encryption master service client license storage admin app"
    " application write read deploy ingest stripe openai anthropic session jwt hmac sas"
)
"""Before `key` they leave no doubt."""

_HARMLESS_KEYS = as_set(
    "public pub primary foreign sort partition hash cache range routing idempotency hot ssh gpg apt recv host group map"
    " index object row lookup tag translation registry shortcut dedupe grouping order config prefix leader modifier"
)
_ABOUT = as_set(
    "file files path paths dir directory folder helper stdin fd env url uri endpoint host hostname port sock"
    " socket type"
    " types method methods mode policy length len size count max min limit limits ttl timeout expiry expires expiration"
    " age lifetime days name names label prompt format algorithm algo cipher provider plugin class scheme jar"
    " manager cmd"
    " command program realm callback audience issuer version enabled disabled required retries attempts id ids"
    " user username email driver strategy module budget window rate usage index limiter per"
)
"""Behind the word they say that the value is not the secret itself."""

_COUNTS = as_set("max min num total count")
_VERBS = as_set(
    "no ask prompt show skip enable disable require force change generate reset check verify without use allow"
)
"""At the beginning of an option they say that it is a wish rather than a value."""

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[^A-Za-z]+")
_FOLDERS = ("PWD", "OLDPWD")


def said_by(name: str) -> Says:
    """What `name` says of its value."""
    if name in _FOLDERS:
        return Says.NOTHING
    parts = [part.lower() for part in _BETWEEN.split(_HUMPS.sub("_", name[-LONGEST:])) if part]
    for last in range(len(parts) - 1, -1, -1):
        found = _said_by_part(parts, last)
        if found is not Says.NOTHING:
            behind = parts[last + 1 :]
            about = any(part in _ABOUT for part in behind) and behind != ["id"] * (parts[last] == "secret")
            return Says.NOTHING if about or parts[0] in _COUNTS else found
    return Says.NOTHING


def _said_by_part(parts: list[str], at: int) -> Says:
    part = parts[at]
    if part in _SECRET or (part.endswith(_ENDS) and part not in _NO_ENDS):
        return Says.SECRET
    if part in ("key", "keys") and at > 0 and parts[at - 1] not in _HARMLESS_KEYS:
        return Says.SECRET if parts[at - 1] in _STRONG_KEYS else Says.PERHAPS
    return Says.PERHAPS if part in _PERHAPS else Says.NOTHING


def is_wish(option: str) -> bool:
    """Whether an option of this name takes no value: `--no-password`, `--ask-pass`."""
    return _BETWEEN.split(option.lstrip("-").lower(), maxsplit=1)[0] in _VERBS


def is_secret_file(path: str) -> bool:
    """Whether a file of this name is there to hold a secret: `~/.pgpass`, `token.txt`, `/run/secrets/db`."""
    folder, _, name = path.rpartition("/")
    stem = name.lstrip(".").partition(".")[0]
    if name.endswith((".py", ".md", ".rs", ".go", ".js", ".ts", ".c", ".h", ".html", ".log", ".sh", ".java", ".rb")):
        return False
    return (
        name in _FILES
        or name.endswith((".key", ".psk", ".secret", ".token", ".pass"))
        or folder.endswith("/secrets")
        or said_by(stem) is Says.SECRET
    )


_FILES = as_set(
    ".pgpass .netrc _netrc .htpasswd .my.cnf .git-credentials .vault-token .vault_pass .smbcredentials .pypirc"
)
_HARMLESS_VALUES = as_set("true false yes no on off none null auto always never include omit basic digest ntlm 0 1")
_PATH = re.compile(
    r"(?:~|\.{0,2})/|[A-Za-z]:\\|[\w./-]+\.(?:pem|key|pub|crt|json|ya?ml|txt|conf|cfg|asc|gpg|p12|env)\Z"
)


def may_be_shown(value: str) -> bool:
    """Whether behind a name that says `PERHAPS` this is no secret: a path, yes, no."""
    return value.lower() in _HARMLESS_VALUES or _PATH.match(value) is not None
