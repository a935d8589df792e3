"""A command that was typed: what of it is logged.

Owns the reading of what a shell says, and the masking of secrets by their place. The daemon looks for what looks like
a credential in any text; here it is known that the text is a command line, so that what stands where a password
stands is masked whatever it looks like: `hunter2`, one letter, a word.

Refuses nothing: a mask too many costs a word of a log, one too few a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

MASK = "[redacted]"

CHARACTERS = 2000
"""The longest command that is logged whole; a longer one is cut off, before the search, whose work grows faster than
the text where a name is repeated."""

_FIELDS = 4
_END = "\x1e"
"""Behind each command (ASCII's record separator)."""

_VALUE = r"(?:\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|(?:\\.|[^\s;|&<>()\"'\\])+)+"
"""A word as a shell reads it, with its quotes; also one whose end was cut off."""

_NAME = (
    r"[\w.-]{0,30}(?:pass(?:wo?r?d|wd|phrase|code)?|pwd|pw|secret|token|api[_-]?key|auth[_-]?key|[_-]key|[_-]pat|credentials?)"
    r"(?:[_-]\w{1,20})?"
)
_LINE = r"[^\n;|&]*?"

_SHAPES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # TOKEN=x make, --password=x, -e DB_PASSWORD=x, --from-literal=password=x, a query's &token=x
        rf"(?P<keep>{_NAME}\d*=)(?P<secret>{_VALUE})",
        # {"password": "x"}, also within a shell's double quotes
        (
            rf"(?P<keep>\\?[\"']{_NAME}\\?[\"']\s*:\s*)"
            r"(?P<secret>\\\"(?:[^\"\\]|\\[^\"])*\\\"|\"(?:[^\"\\]|\\.)*\"|[^\s,}\"'\\]+)"
        ),
        # --password x, -passin pass:x, --http-password x
        rf"(?P<keep>(?<!\S)--?{_NAME}(?:in|out)?\s+)(?P<secret>(?!-){_VALUE})",
        # fish: set -gx TOKEN x; others: aws configure set aws_secret_access_key x
        rf"(?P<keep>\bset\s+(?:-\S+\s+)*{_NAME}\s+)(?P<secret>{_VALUE})",
        # a header: Authorization: Bearer x, X-Api-Key: x, Cookie: x
        (
            r"(?P<keep>\b(?:[\w-]*(?:authorization|auth|token|key|secret|password)|cookie)\s*:\s*(?:(?:bearer|basic|token"
            r"|digest|apikey)\s+)?)(?P<secret>[^\s\"'][^\"'\n]*)"
        ),
        # scheme://user:x@host, and https://x@host, which is a token
        r"(?P<keep>://[^\s:/@\"']*:)(?P<secret>[^\s/@\"']+)(?=@)",
        r"(?P<keep>\bhttps?://)(?P<secret>[^\s:/@\"']+)(?=@)",
        # curl -u user:x, http -a user:x, smbclient -U user%x
        (
            rf"(?P<keep>\b(?:curl|wget|https?|xh|smbclient|net)\b(?!:){_LINE}"
            r"\s(?:-[a-z]{0,9}[ua]|--user|--proxy-user|--auth)[=\s]*[\"']?[^\s:%\"']*[:%])(?P<secret>[^\s\"']+)"
        ),
        # mysql -px, 7z a -px: without a space
        rf"(?P<keep>\b(?:mysql\w*|mariadb[\w-]*|7z\w*|sshpass|rar|unrar)\b{_LINE}\s-p)(?P<secret>{_VALUE})",
        # docker login -p x, mongosh -p x, sshpass -p x, redis-cli -a x, zip -P x, ldapsearch -w x
        (
            rf"(?P<keep>\b(?:(?:docker|podman|helm|az|oc)\b{_LINE}\slogin|mongo\w*|sshpass|cqlsh|influx)\b{_LINE}\s-p\s*)"
            rf"(?P<secret>{_VALUE})"
        ),
        (
            rf"(?P<keep>\b(?:redis-cli\b{_LINE}\s-a|(?:zip|unzip)\b{_LINE}\s-P|ldap\w+\b{_LINE}\s-w|sqlcmd\b{_LINE}\s-P)\s*)"
            rf"(?P<secret>{_VALUE})"
        ),
        rf"(?P<keep>\bopenssl\b{_LINE}\s(?:-k|-K|-pass)\s+)(?P<secret>{_VALUE})",
        rf"(?P<keep>\bhtpasswd\s+(?:-\S*b\S*)\s+\S+\s+\S+\s+)(?P<secret>{_VALUE})",
        # kept vault store NAME x, kept vault unlock x, --value x, rpc vault.store {...}: all refused, but typed.
        rf"(?P<keep>\bkept\s+vault\s+(?:store\s+[^\s;|&-]\S*|init|unlock|rotate|export-key)\s+)(?P<secret>(?!-){_VALUE})",
        rf"(?P<keep>\bkept\s+vault\b{_LINE}\s--(?:value|code)[=\s]\s*)(?P<secret>(?!-){_VALUE})",
        rf"(?P<keep>\bkept\s+rpc\s+vault\.\w+\s+)(?P<secret>(?!-){_VALUE})",
        rf"(?P<keep>\bvault\s+login\s+(?:-\S+\s+)*)(?P<secret>{_VALUE})",
        # echo x | sudo -S, and whatever else a password is piped into
        (
            r"(?P<keep>\b(?:echo|printf)\s+)(?P<secret>[^\n;|&]+?)(?=\s{0,9}\|[^\n;]*(?:\s-S\b|--password-stdin|--with-token"
            r"|passwd|\bcryptsetup\b|\bgpg\b|\bkept\s+(?:vault|rpc)\b))"
        ),
        rf"(?P<keep><<<\s*)(?P<secret>{_VALUE})",
    )
)


class Typed(NamedTuple):
    """A command as it is logged, and what is told about it: `exit_status`, `duration_ms` where it is known,
    `folder`, and `shell`, which marks it as typed."""

    command: str
    details: dict[str, Any]


def read(text: str) -> Iterator[Typed]:
    """What a shell said of commands, each with `_END` behind it: its status, its milliseconds or nothing, its folder,
    and in the rest of the lines what was typed. What is of another form is passed over."""
    for part in text.split(_END):
        fields = part.split("\n", _FIELDS - 1)
        if len(fields) < _FIELDS or not _is_number(fields[0]):
            continue
        status, took, folder, command = fields
        masked = mask(command.replace("\0", "")[:CHARACTERS].strip())
        details: dict[str, Any] = {"shell": True, "exit_status": int(status), "folder": folder[:4096]}
        if _is_number(took):
            details["duration_ms"] = int(took)
        if masked:
            yield Typed(masked, details)


def mask(command: str) -> str:
    """`command` with what stands where a secret stands replaced by `MASK`. A value that the shell takes from elsewhere
    (`$TOKEN`, `$(pass show x)`) stays."""
    for shape in _SHAPES:
        command = shape.sub(_masked, command)
    return command


def _masked(found: re.Match[str]) -> str:
    if re.fullmatch(r"\"?\$(?:\w+|\{\w+\}|)\"?", found["secret"]) or MASK in found["secret"]:
        return found[0]
    return found["keep"] + MASK


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
