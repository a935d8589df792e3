"""Secrets within a text, by what stands around them: in a URL, a query, JSON, a header, SQL, a line of settings.

Owns the forms that hold in any word and any here-document, whichever program gets it. A find is a place. Each pattern
starts where a run of characters begins and repeats possessively, so that the work is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .names import Says, may_be_shown, said_by

Place = tuple[int, int]

_SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_AUTHORITY = re.compile(r"[^\s/?#\"'<>]*+")
_TO_BLANK = re.compile(r"[^\s\"'<>]*+")
_PORT = re.compile(r"[^:]*:\d{1,5}(?:[/?#]|\Z)")
_SETTING = re.compile(
    r"(?<![\w.$-])(?P<name>[A-Za-z_][\w.\[\]-]*+)(?P<middle>\s?\+?=(?![=~>])\s?|\s{0,4}(?:=>|:=)\s{0,4})"
)
_KEY = re.compile(r"(?P<quote>\\*[\"'])(?P<name>[\w .$-]{1,100})(?P=quote)\]?\s{0,8}(?::|=>|=)\s{0,8}")
_BARE_KEY = re.compile(r"(?:(?<=[{,(])|(?<=[{,(] ))(?P<name>[\w$-]{1,100}+)\s{0,4}:\s{0,4}(?![\s/])")
_QUERY = ("?", "&")
_STOP = re.compile(r"[&;,](?=[\w.\[\]-]{1,60}=)")
_BARE = re.compile(r"[^\s\"'&)}\]]*+")
_HEADER = re.compile(
    r"\b(?:authorization|auth|x-[\w-]{1,60})\\*[\"']?\s{0,4}[:=,]\s{0,4}[bf]?\\*[\"']?(?:bearer|basic|token|digest|apikey|bot|negotiate|aws4)\s{1,4}"
    r"(?P<secret>[^\s\"'\\]++)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bbearer\s{1,4}(?P<secret>[\w.~+/=-]{16,}+)", re.IGNORECASE)
_SQL = re.compile(
    r"\b(?:identified(?:\s+with\s+\S{1,60})?\s+(?:by|as)(?:\s+password)?|(?:encrypted\s+|unencrypted\s+)?password(?:\s+for\s+\S{1,100})?"
    r"|secret|passphrase|pragma\s+(?:re)?key|aes_(?:en|de)crypt\s*\([^,]{0,200},|pgp_sym_\w+\s*\([^,]{0,200},)"
    r"(?:\s{0,8}[=(]|\s+(?:to|is)\b|(?=\s))\s{0,8}(?:password\s{0,4}\(\s{0,4})?(?P<quote>\\*[\"'])",
    re.IGNORECASE,
)
_IDENTIFIED = re.compile(r"\bidentified\s+by\s+(?P<secret>[^\s\"'`;,]++)", re.IGNORECASE)
_CALL = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_][\w.]*+)\(\s{0,4}(?P<quote>\\*[\"'])")
_INDEXED = re.compile(r"\[\s{0,4}[\"'](?P<name>[\w .$-]{1,100})[\"']\s{0,4}\]\s{1,8}(?P<quote>\\*[\"'])")
"""What `sops --set` takes: `["db"]["password"] "x"`."""
_CREATED = re.compile(
    r"\bcreate_(?:super)?user\(\s{0,4}(?:\"[^\"]{0,200}\"|'[^']{0,200}')\s{0,4},"
    r"\s{0,4}(?:\"[^\"]{0,200}\"|'[^']{0,200}'|None)\s{0,4},\s{0,4}(?P<quote>\\*[\"'])"
)
"""Django's `create_user(name, mail, password)`."""
_BARE_PLACE = re.compile(r"(?<![^\s\"'=])[\w.\\/%+-]{0,100}:(?P<secret>[^\s:@/\"']++)@(?!sha256:)[\w.\[-]")
_NETRC = re.compile(r"\blogin\s+\S{1,100}+\s+(?:password|passwd)\s+(?P<secret>\S++)", re.IGNORECASE)
_SENT = re.compile(r"\bsend(?:_user)?\s+(?:--\s+)?\"(?P<secret>(?:[^\"\\]|\\.)++)")
_LINE = re.compile(
    r"^[ \t]*+(?:-[ \t]+|export[ \t]+)?(?P<name>[A-Za-z_][\w. -]{0,60}?)[ \t]*+[:=][ \t]++(?P<secret>[^\r\n]++)",
    re.MULTILINE,
)
_PGPASS = re.compile(r"^(?:[^:\s]{1,200}:){4}(?P<secret>[^\s:]++)$", re.MULTILINE)
_ONE_LINE_HEADER = re.compile(
    r"(?P<name>[A-Za-z][\w-]{0,80})\s{0,4}:\s{0,4}(?:(?:bearer|basic|token|digest|apikey|bot|negotiate|key)(?:\s+|\Z))?",
    re.IGNORECASE,
)
_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")


def found(text: str, *, written: bool = False) -> Iterator[Place]:
    """The places of secrets in `text`. `written`: it goes to a file or a program as it stands, so that a line
    `password: x` is a setting and no prose."""
    if "://" in text:
        yield from _in_urls(text)
    if "=" in text or ":" in text:
        yield from _settings(text)
        yield from _fields(text)
    for pattern in (_HEADER, _BEARER, _IDENTIFIED, _NETRC, _BARE_PLACE):
        for match in pattern.finditer(text):
            yield match.span("secret")
    yield from _in_code(text)
    if written:
        yield from _lines(text)


def _in_code(text: str) -> Iterator[Place]:
    for match in _SQL.finditer(text):
        yield _quoted(text, match.end(), match["quote"])
    for match in _CREATED.finditer(text):
        yield _quoted(text, match.end(), match["quote"])
    for pattern in (_CALL, _INDEXED):
        for match in pattern.finditer(text):
            if said_by(match["name"]) is Says.SECRET:
                yield _quoted(text, match.end(), match["quote"])


def _lines(text: str) -> Iterator[Place]:
    for match in _LINE.finditer(text):
        if _is_meant(match["name"].strip(), match["secret"]):
            yield match.span("secret")
    for match in _PGPASS.finditer(text):
        yield match.span("secret")


def sent(text: str) -> Iterator[Place]:
    """What a script of expect types."""
    for match in _SENT.finditer(text):
        yield match.span("secret")


def header_value(text: str) -> int | None:
    """Where in a header's line its secret begins: behind the name and the scheme. None where it has none."""
    match = _ONE_LINE_HEADER.match(text)
    if match is None:
        return None
    name = match["name"].lower()
    return match.end() if name in _HEADERS or said_by(name) is not Says.NOTHING else None


def setting_value(text: str) -> Place | None:
    """The secret of `NAME=value`, where that is all of `text`; other settings may follow behind `&`, `;` or `,`."""
    match = _SETTING.match(text)
    if match is None or " " in match["middle"]:
        return None
    stop = _STOP.search(text, match.end())
    end = stop.start() if stop else len(text)
    return (match.end(), end) if _is_meant(match["name"], text[match.end() : end]) else None


def _is_meant(name: str, value: str) -> bool:
    says = said_by(name)
    return bool(value) and (says is Says.SECRET or (says is Says.PERHAPS and not may_be_shown(value)))


def _in_urls(text: str) -> Iterator[Place]:
    for match in _SCHEME.finditer(text):
        start = match.end()
        authority = _AUTHORITY.match(text, start)
        end = authority.end() if authority else start
        at = text.rfind("@", start, end)
        if at < 0:
            # A password may hold a slash that somebody forgot to encode.
            rest = _TO_BLANK.match(text, start)
            at = text.rfind("@", start, rest.end() if rest else start)
            if at < 0 or ":" not in text[start:end] or (match[1][:4] == "http" and _PORT.match(text[start : end + 1])):
                continue
        colon = text.find(":", start, at)
        if colon >= 0:
            yield colon + 1, at
        elif match[1].lower() in ("http", "https") and text[start:at] != "git":
            yield start, at


def _settings(text: str) -> Iterator[Place]:
    passed = 0
    for match in _SETTING.finditer(text):
        if " " in match["middle"] and text[match.end() : match.end() + 1] not in ("'", '"', "\\"):
            continue
        # Looking for the end of each value, within each other, would take the square of the time.
        named = (
            "api_key" if match["name"] == "key" and text[match.start() - 1 : match.start()] in _QUERY else match["name"]
        )
        if match.start() < passed or said_by(named) is Says.NOTHING:
            continue
        place = _value(text, match.end())
        passed = place[1]
        if place[0] < place[1] and _is_meant(named, text[slice(*place)]):
            yield place


def _fields(text: str) -> Iterator[Place]:
    for pattern in (_KEY, _BARE_KEY):
        for match in pattern.finditer(text):
            if said_by(match["name"]) is Says.NOTHING:
                continue
            place = _value(text, match.end(), json=True)
            if place[0] < place[1] and _is_meant(match["name"], text[slice(*place)]):
                yield place


_JSON_BARE = re.compile(r"[^\s,}\]\"'\\]++")
_OPENING = re.compile(r"[bfru]{0,2}(?P<quote>\\*[\"'])")


def _value(text: str, start: int, *, json: bool = False) -> Place:
    if opening := _OPENING.match(text, start):
        return _quoted(text, opening.end(), opening["quote"])
    if json:
        bare = _JSON_BARE.match(text, start)
        return (start, bare.end()) if bare else (start, start)
    stop = _BARE.match(text, start)
    end = stop.end() if stop else start
    other = _STOP.search(text, start, min(end + 61, len(text)))
    return start, min(end, other.start()) if other else end


def _quoted(text: str, start: int, quote: str) -> Place:
    """From behind an opening quote to the one that closes it: the same quote behind as many backslashes."""
    at = start
    while (at := text.find(quote, at)) >= 0:
        if len(quote) > 1 or text[at - 1] != "\\" or at == start:
            return start, at
        at += 1
    return start, len(text)
