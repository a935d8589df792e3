"""Searches for one shape each: functions from a text's UTF-8 bytes to the byte spans of the secrets in it.

Every pattern starts with a literal, so that the engine skips to it, and repeats possessively or within a small bound,
so that the work is linear in the text. Case-insensitive patterns run on `folded`, the same bytes in ASCII lower case.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from .values import UNLIKE_WORDS, is_mixed, is_placeholder, is_secret_value, is_varied, names_secret

Spans: TypeAlias = Iterator[tuple[int, int]]
Finder: TypeAlias = Callable[[bytes, bytes], Spans]
"""(data, folded) -> spans in data."""

_HEADER_BYTES = 16_384
_GAP = 400
"""Bytes between a private key's header, the lines of its body and its footer that are taken for one block."""

_NAME_BEFORE = 40


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def tokens(*patterns: bytes, check: Callable[[str], bool] = is_varied, fold: bool = False) -> Finder:
    """Each match of the patterns (or its group `secret`) that passes the check."""
    compiled = [re.compile(pattern) for pattern in patterns]

    def find(data: bytes, folded: bytes) -> Spans:
        for pattern in compiled:
            group = "secret" if "secret" in pattern.groupindex else 0
            for found in pattern.finditer(folded if fold else data):
                start, end = found.span(group)
                if check(_text(data[start:end])):
                    yield start, end

    return find


_SEGMENT = re.compile(rb"eyJ[\w-]{15,}+(?=(?P<rest>\.[\w-]*+\.[\w-]*+(?:\.[\w-]*+\.[\w-]*+)?)?)")


def jwts(data: bytes, _folded: bytes) -> Spans:
    """JWS and JWE in compact form (RFC 7515, 7516): 3 or 5 segments, the first JSON with `alg` or `typ`."""
    for found in _SEGMENT.finditer(data):
        if found["rest"] and _is_jose_header(found[0]):
            yield found.start(), found.end("rest")


def _is_jose_header(segment: bytes) -> bool:
    if len(segment) > _HEADER_BYTES:
        return False
    try:
        header = msgspec.json.decode(urlsafe_b64decode(segment + b"=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and ("alg" in header or "typ" in header)


_DISCORD = re.compile(rb"[MNO][DTjz][\w-]{21,26}\.[\w-]{6}\.[\w-]{27,}+")


def discord_tokens(data: bytes, _folded: bytes) -> Spans:
    """Bot tokens: the account's decimal id in base64, a time stamp, a signature."""
    for found in _DISCORD.finditer(data):
        account = found[0].partition(b".")[0]
        try:
            decoded = b64decode(account + b"=" * (-len(account) % 4), validate=True)
        except ValueError:
            continue
        if decoded.isdigit():
            yield found.span()


_BEGIN = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
)
_BODY = re.compile(rb"[A-Za-z0-9+/=]{24,}+")
_FOOTER = re.compile(rb"-----END [A-Z0-9 ]{1,60}-----|---- END [A-Z0-9 ]{1,60}----")
_PUTTY = re.compile(rb"Private-Lines: [0-9]{1,4}(?:\s{1,2}[A-Za-z0-9+/=]{4,64}+(?=\s|\Z)){1,}+")


def private_keys(data: bytes, _folded: bytes) -> Spans:
    """PEM blocks (RFC 7468; also OpenSSH, PGP, RFC 4716) from header to footer, also cut off ones, and PuTTY's lines.

    A header without key material under it, as documentation has it, is none.
    """
    at = 0
    while found := _BEGIN.search(data, at):
        at = data.find(b"----", found.end())
        at = at if at >= 0 else len(data)
        end = _body_end(data, found.end(), at)
        if end > found.end():
            footer = _FOOTER.match(data, at) if at - end <= _GAP else None
            at = footer.end() if footer else at
            yield found.start(), footer.end() if footer else end
    for block in _PUTTY.finditer(data):
        if is_varied(_text(block[0])) and len(block[0]) >= 60:
            yield block.span()


def _body_end(data: bytes, start: int, stop: int) -> int:
    end = start
    for line in _BODY.finditer(data, start, stop):
        if line.start() - end > _GAP:
            break
        if end > start or is_varied(_text(line[0])):
            end = line.end()
    return end


_URL = re.compile(
    rb"://(?P<user>[^\s:/?#@\"'<>`\\]{0,128}+):(?P<secret>[^\s/?#\"'<>`\\]{3,256})@(?P<host>[\w.\[-]{1,255}+)"
)
_LOOPBACK = (b"localhost", b"127.0.0.1", b"[", b"::1")


def url_passwords(data: bytes, _folded: bytes) -> Spans:
    """The password of `scheme://user:password@host` (RFC 3986, userinfo), unless it is a placeholder.

    A password that repeats the user's name on this machine is a development default, not a secret.
    """
    for found in _URL.finditer(data):
        default = found["user"] == found["secret"] and found["host"].startswith(_LOOPBACK)
        if not default and not is_placeholder(_text(found["secret"])):
            yield found.span("secret")


_SCHEME_VALUE = rb"[a-z0-9._~+/=:-]"
_AUTHORIZATION = re.compile(
    rb"authorization(?:[\"'`\\]{1,2}\]?)?+\s{0,4}[:=,]\s{0,4}[bf]?[\"'`\\]{0,2}+(?:bearer|basic|token|bot|apikey)\s{1,4}"
    rb"(?P<secret>" + _SCHEME_VALUE + rb"{8,}+)"
)
_BEARER = re.compile(rb"bearer\s{1,4}(?P<secret>" + _SCHEME_VALUE + rb"{20,}+)")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]")


def authorizations(data: bytes, folded: bytes) -> Spans:
    """The credentials of an `Authorization` header (RFC 9110, 6750, 7617), and a bearer token that stands alone."""
    for found in _AUTHORIZATION.finditer(folded):
        start, end = found.span("secret")
        value = _text(data[start:end])
        if not is_placeholder(value) and (any(c.isdigit() for c in value) or _INNER_CAPITAL.search(value)):
            yield start, end
    for found in _BEARER.finditer(folded):
        start, end = found.span("secret")
        if is_mixed(_text(data[start:end])):
            yield start, end


_LINE = 300
"""Bytes before an option within which its command is looked for, on the same line."""

_NEXT_COMMAND = re.compile(rb"[\n;|]|&&")

_USER_OPTION = re.compile(
    rb" (?:-[uU]|--(?:proxy-)?user)[ =]{0,2}+[\"']?+[^\s:\"']{1,128}+:(?P<secret>[^\s\"'`|;)]{3,256}+)"
)
_MYSQL_OPTION = re.compile(rb" -p[\"']?+(?P<secret>[^\s\"'`|;)]{4,256}+)")
_SSHPASS = re.compile(rb"sshpass[ \t]{1,4}-p[ \t]{0,4}[\"']?+(?P<secret>[^\s\"'`|;)]{3,256}+)")
_NETRC = re.compile(rb"login\s{1,8}\S{1,128}+\s{1,8}password\s{1,8}(?P<secret>[^\s\"'`]{4,256}+)")


def command_passwords(data: bytes, _folded: bytes) -> Spans:
    """The password in `curl -u`, `mysql -p`, `sshpass -p`, and in a line of a netrc file.

    After `mysql -p` and in netrc's words, which prose can have as well, it must hold more than letters.
    """
    for pattern, commands in ((_USER_OPTION, (b"curl",)), (_MYSQL_OPTION, (b"mysql", b"mariadb"))):
        for found in pattern.finditer(data):
            line = _NEXT_COMMAND.split(data[max(0, found.start() - _LINE) : found.start()])[-1]
            if any(command in line for command in commands) and _is_password(data, found, commands != (b"curl",)):
                yield found.span("secret")
    for pattern, is_prose in ((_SSHPASS, False), (_NETRC, True)):
        for found in pattern.finditer(data):
            if _is_password(data, found, is_prose):
                yield found.span("secret")


def _is_password(data: bytes, found: re.Match[bytes], in_prose: bool) -> bool:
    start, end = found.span("secret")
    return (not in_prose or _UNLIKE_WORDS.search(data, start, end) is not None) and not is_placeholder(
        _text(data[start:end])
    )


_FORMS = ("escaped", "double", "single", "back", "bare")
_VALUE = (
    rb"(?:[bfru]{0,2}(?:\\\"(?P<escaped>[^\"\\\r\n]{8,}+)\\\"|\"(?P<double>[^\"\r\n]{8,}+)\"|'(?P<single>[^'\r\n]{8,}+)'"
    rb"|`(?P<back>[^`\r\n]{8,}+)`)|(?P<bare>[^\s\"'`,;&<>()\[\]{}\\]{8,}+))"
)
_ASSIGNED = (
    rb"[\w-]*+(?P<rest>[\"'`\\*\]]{0,3}+\s{0,4}(?::\s{0,4}[a-z][a-z_.]{0,20}+\s{0,4}(?==))?+"
    rb"(?::=|=>|={1,2}|:|>)\*{0,2}\s{0,4}" + _VALUE + rb")?+"
)
NAME_PARTS = (b"pass", b"pwd", b"secret", b"token", b"key")
"""Every name that `names_secret` accepts holds one of these."""

_ASSIGNMENTS = tuple(re.compile(part + _ASSIGNED) for part in NAME_PARTS)
_NAME = re.compile(rb"[\w -]*+\Z")
_UNLIKE_WORDS = re.compile(UNLIKE_WORDS.encode())


def assignments(data: bytes, folded: bytes) -> Spans:
    """The value of `password = "..."`, `api_key: ...`, `TOKEN=...`, `<secret>...</secret>`, in any case and quoting."""
    if not (b":" in folded or b"=" in folded or b">" in folded):
        return
    for pattern in _ASSIGNMENTS:
        at = 0
        while found := pattern.search(folded, at):
            at = found.end()
            if found["rest"] is None:
                continue
            quoted = found["bare"] is None
            start, end = max(found.span(form) for form in _FORMS)
            if _assigns_secret(data, found.start(), found.start("rest"), start, end, quoted):
                yield start, end
            elif quoted:
                at = start  # prose in quotes may hold an assignment of its own


def _assigns_secret(data: bytes, part: int, name_end: int, start: int, end: int, quoted: bool) -> bool:
    if not _UNLIKE_WORDS.search(data, start, end):
        return False  # the cheapest of the checks on the value, before those on the name
    if not quoted and data[end : end + 1] in (b"(", b"["):
        return False  # a call or a subscript: code that gets the secret elsewhere
    name = _NAME.search(data[max(0, part - _NAME_BEFORE) : name_end])
    if name is None or not names_secret(_text(name[0])):
        return False
    return is_secret_value(_text(data[start:end]), quoted)
