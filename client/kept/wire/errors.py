"""What can be refused: one class per error code, each with its type, and a hint that names the next step.

Owns the registry of codes (protocol codes of JSON-RPC 2.0, application codes of kept). A call lists the
application errors that it can raise in `Call.errors`; those in `Call.common_errors` can answer any call of its kind.
Only the daemon's dispatcher turns these into replies, and only the client turns replies back into these.
"""

from __future__ import annotations

from typing import Any, ClassVar


class KeptError(Exception):
    """A refusal that a caller can act on.

    `message` says what was refused, `hint` the next step, and `data` carries further members of the wire error's
    `data` object (for example `field`, `limit` or `version`). None of them may hold text that a request carried as a
    secret.
    """

    code: ClassVar[int] = -32000
    type: ClassVar[str] = "error"
    default_hint: ClassVar[str] = "See the daemon's log."

    def __init__(self, message: str, *, hint: str | None = None, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.data = data

    def to_wire(self) -> dict[str, Any]:
        """The JSON-RPC error object."""
        return {
            "code": self.code,
            "message": self.message,
            "data": {"type": self.type, "hint": self.hint, **self.data},
        }


class ParseError(KeptError):
    """The bytes are not one JSON text in UTF-8."""

    code = -32700
    type = "parse_error"
    default_hint = "Send one JSON-RPC 2.0 message per line, in UTF-8, without NaN or lone surrogates."


class InvalidRequest(KeptError):
    """JSON, but not a JSON-RPC 2.0 request."""

    code = -32600
    type = "invalid_request"
    default_hint = 'A request is {"jsonrpc": "2.0", "id": string or number, "method": string, "params": object}.'


class MethodNotFound(KeptError):
    """No method of that name."""

    code = -32601
    type = "method_not_found"
    default_hint = "rpc.discover lists the methods."


class InvalidParams(KeptError):
    """A parameter is missing, unknown, of the wrong type or out of its range."""

    code = -32602
    type = "invalid_params"
    default_hint = "rpc.discover describes the parameters of every method."


class InternalError(KeptError):
    """A fault of the daemon. The traceback is in its log, never in the reply."""

    code = -32603
    type = "internal_error"
    default_hint = "The daemon's log has the details under this request's method and time; please report it."


class NotFound(KeptError):
    """No such entity."""

    code = -32001
    type = "not_found"
    default_hint = "Check the id; the matching list method shows what exists."


class Conflict(KeptError):
    """The version differs, the name is taken, or the state is wrong."""

    code = -32002
    type = "conflict"
    default_hint = "Read the entity again and repeat the change on its present version."


class Locked(KeptError):
    """The vault is locked."""

    code = -32003
    type = "locked"
    default_hint = "vault.unlock opens it, with the password."


class Denied(KeptError):
    """Not this caller's to see or change."""

    code = -32004
    type = "denied"
    default_hint = "This belongs to somebody else, or to the daemon itself."


class QuotaExceeded(KeptError):
    """A configured limit on how much may be kept."""

    code = -32005
    type = "quota_exceeded"
    default_hint = "Delete something, or raise the limit in config.toml."


class TooLarge(KeptError):
    """A message, a value or a field is too large."""

    code = -32006
    type = "too_large"
    default_hint = "Split it into smaller parts."


class Busy(KeptError):
    """Too much in flight. `data.retry_after_ms` says when to try again."""

    code = -32007
    type = "busy"
    default_hint = "Wait for replies before sending more."


class StorageFull(KeptError):
    """The disk is full: nothing was written; reads go on."""

    code = -32008
    type = "storage_full"
    default_hint = "Nothing was written. Free some disk space and repeat; reading still works."


class StorageFailed(KeptError):
    """The disk failed: not acknowledged, outcome unknown."""

    code = -32009
    type = "storage_failed"
    default_hint = "It is not known whether this was written: retry with the same idempotency_key."


class DeadlinePassed(KeptError):
    """The deadline passed and nothing was written."""

    code = -32010
    type = "timeout"
    default_hint = "Nothing was written. Narrow the request, or try again when the daemon is less busy."


class SecretFound(KeptError):
    """A text field holds what looks like a credential. `data.field` and `data.kind` say where and what, never the
    text."""

    code = -32011
    type = "secret_found"
    default_hint = (
        "Nothing was written. A secret belongs in a vault, not in ordinary text: take it out, "
        'or send on_secret="redact" to keep the text with the secret masked.'
    )


class Cancelled(KeptError):
    """The caller cancelled the request; the hint says whether anything was written (the code is the Language Server
    Protocol's)."""

    code = -32800
    type = "cancelled"
    default_hint = "Nothing was written."


PROTOCOL: tuple[type[KeptError], ...] = (ParseError, InvalidRequest, MethodNotFound, InvalidParams, InternalError)
READ_ERRORS: tuple[type[KeptError], ...] = (Busy, DeadlinePassed, Cancelled, TooLarge, StorageFailed)
WRITE_ERRORS: tuple[type[KeptError], ...] = (*READ_ERRORS, SecretFound, Conflict, StorageFull)
ALL: tuple[type[KeptError], ...] = (*PROTOCOL, NotFound, Locked, Denied, QuotaExceeded, *WRITE_ERRORS)

_BY_CODE = {error.code: error for error in ALL}


def from_wire(error: dict[str, Any]) -> KeptError:
    """The exception for a reply's error object; an unknown code gives a plain `KeptError` that keeps it."""
    data = dict(error.get("data") or {})
    kind = data.pop("type", None)
    hint = data.pop("hint", None)
    cls = _BY_CODE.get(error.get("code", 0))
    message = str(error.get("message", ""))
    if cls is not None:
        return cls(message, hint=hint, **data)
    return KeptError(message, hint=hint, code=error.get("code"), type=kind, **data)
