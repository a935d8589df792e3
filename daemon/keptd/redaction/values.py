"""What is a secret's name, and what is a secret's value rather than a placeholder, code, a path or an identifier.

Pure judgement on short pieces that the rules have cut out. Each check is linear in the piece.
"""

from __future__ import annotations

import re

SHORTEST = 8
"""Characters of the shortest value that is taken for a secret because of its name."""

_LONGEST_NAME = 100

_SECRET_NAMES = (
    "password", "passwd", "passphrase", "passcode", "pwd", "dbpass", "userpass", "rootpass", "adminpass", "smtppass",
    "secret", "token", "apikey", "accesskey", "secretkey", "accountkey", "sharedkey", "authkey", "privatekey",
    "signingkey", "encryptionkey", "masterkey", "servicekey", "clientkey",
)  # fmt: skip
_HARMLESS_NAMES = (
    "pagetoken", "nexttoken", "paginationtoken", "continuationtoken", "synctoken", "canceltoken", "publickeytoken",
)  # fmt: skip

_NOT_A_NAME = re.compile(r"[^a-z0-9]+")
_WORD = re.compile(r"[^\W\d_]+")
_PLACEHOLDER_WORDS = frozenset(
    {
        "a", "access", "account", "admin", "api", "app", "auth", "bar", "base", "bearer", "change", "changeme",
        "client", "code", "credential", "credentials", "db", "demo", "dummy", "empty", "example", "false",
        "fake", "foo", "get", "guest", "here", "hidden", "id", "insert", "key", "masked", "me", "my", "name",
        "nil", "no", "none", "not", "null", "of", "or", "pass", "passphrase", "passwd", "password",
        "placeholder", "pw", "pwd", "redacted", "removed", "replace", "required", "root", "sample", "secret",
        "set", "some", "string", "test", "testing", "text", "the", "this", "to", "todo", "token", "true",
        "undefined", "unset", "user", "username", "value", "x", "xxx", "your",
    }
)  # fmt: skip
_PLACEHOLDER_PARTS = (
    "example", "placeholder", "changeme", "change_me", "redacted", "your-", "your_", "xxxx", "****", "...",
)  # fmt: skip
_TEMPLATE = re.compile(
    r"(?:<[^>]*>|\{[^}]*\}|\[[^\]]*\]|\$?\([^)]*\)|\$[A-Za-z_]+|%\w+%|%(?:\(\w+\))?[sdrv]|:[A-Za-z_]+)\Z"
)
_TEMPLATE_PART = re.compile(r"\$\{|\{\{|\{\w{1,40}\}|<[\w -]{1,40}>|%\(\w{1,40}\)s")
_HASH = re.compile(r"\$(?:2[abxy]?|argon2[a-z]*|[156y]|scrypt|pbkdf2[\w-]*)\$|(?:pbkdf2|bcrypt|argon2|scrypt)[\w]*\$")
_ELSEWHERE = re.compile(r"(?:vault|env|file|keyring|ref|arn|urn|uuid|op|ssm|sha\d*|md5):", re.IGNORECASE)
_PATH = re.compile(r"^(?:~|\.{0,2})/[\w.@/ -]*$|^[A-Za-z]:\\|^[a-z][a-z0-9+.-]*://")
_STANDS_FOR = (_TEMPLATE, _HASH, _ELSEWHERE)
_UUID = re.compile(r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$")
_REGEX = re.compile(r"\[\^|\\[wWdDsSb]|a-z|A-Z|0-9")
_CODE = (_REGEX, _UUID, _PATH)
_DOTTED = re.compile(r"^[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+$")
_PLAIN_PIECE = re.compile(
    r"[A-Za-z]*|[0-9]{1,4}|v[0-9]{1,3}|[A-Za-z]{3,}[0-9]{1,2}|[A-Z][A-Za-z]*[0-9][A-Z][a-z]+", re.ASCII
)
_BETWEEN = re.compile(r"[-_./:@+\s]")
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"\d")
UNLIKE_WORDS = r"[0-9!@#$%^&*?~]"
"""One of these is in every value that running text shows as a secret: without, it is a word or a name."""

_UNLIKE_WORDS = re.compile(UNLIKE_WORDS)


def names_secret(name: str) -> bool:
    """Whether a key or variable of this name holds a secret: `db_password`, `apiKey`, `Auth-Token`, `client secret`.

    Only its end counts, so that `password_hash`, `token_count` and `secret_name` are not meant; digits after it don't.
    Nor is the mark that masking leaves, whose kind may read like such a name.
    """
    joined = _NOT_A_NAME.sub("", name[-_LONGEST_NAME:].lower()).rstrip("0123456789")
    return joined.endswith(_SECRET_NAMES) and not joined.endswith(_HARMLESS_NAMES) and not joined.startswith("redacted")


def is_placeholder(value: str) -> bool:
    """Whether this only stands for a secret: `***`, `<password>`, `${VAR}`, `%s`, `my-token`, `vault:db`, a hash."""
    value = value.strip()
    if len(set(value)) < 3 or any(shape.match(value) for shape in _STANDS_FOR):
        return True
    if _TEMPLATE_PART.search(value):
        return True
    folded = value.lower()
    if any(part in folded for part in _PLACEHOLDER_PARTS):
        return True
    words = _WORD.findall(folded)
    return bool(words) and all(word in _PLACEHOLDER_WORDS for word in words)


def is_varied(value: str) -> bool:
    """Whether this may be a generated token: at least 8 different characters, and no sample of the documentation."""
    folded = value.lower()
    return len(set(value)) >= 8 and not any(part in folded for part in _PLACEHOLDER_PARTS)


def is_mixed(value: str) -> bool:
    """`is_varied`, with a letter and a digit: no run of words joined by hyphens."""
    return _DIGIT.search(value) is not None and _LETTER.search(value) is not None and is_varied(value)


def is_secret_value(value: str, quoted: bool) -> bool:
    """Whether the right-hand side of `password = ...` in running text is a secret itself.

    Refuses placeholders, patterns, UUIDs, paths, URLs, prose, identifiers and, where it is not quoted, expressions.
    What is left must hold a letter and a digit or a special character, and five different characters.
    """
    if not (len(value) >= SHORTEST and _UNLIKE_WORDS.search(value) and _LETTER.search(value)):
        return False
    if len(value.split()) != 1 or len(set(value)) < 5 or all(map(_PLAIN_PIECE.fullmatch, _BETWEEN.split(value))):
        return False
    if any(shape.search(value) for shape in _CODE) or (not quoted and _DOTTED.match(value)):
        return False
    return not is_placeholder(value)
