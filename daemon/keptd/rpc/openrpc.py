"""The OpenRPC document (https://spec.open-rpc.org, 1.3.2), made from the calls: nothing in it is written by hand.

JSON schemas come from msgspec; its `$defs` become the document's `components.schemas`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kept.wire import PROTOCOL_VERSION, Call, Control, Write
from kept.wire.catalog import result_type
from kept.wire.errors import PROTOCOL, KeptError

_REFS = "#/components/schemas/{name}"


def document(calls: Iterable[type[Call[Any]]]) -> dict[str, Any]:
    """The document for these calls, sorted by method."""
    wanted = sorted(calls, key=lambda call: call.method)
    types = [*wanted, *(result_type(call) for call in wanted)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFS)
    methods = [
        _method(call, _resolve(schema, components), result)
        for call, schema, result in zip(wanted, schemas, schemas[len(wanted) :], strict=False)
    ]
    parameters = {call.__name__ for call in wanted}
    errors = {error.type: _error(error) for call in wanted for error in _errors_of(call)}
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "kept",
            "description": "One message per line over a Unix socket; parameters by name.",
            "version": str(PROTOCOL_VERSION),
        },
        "methods": methods,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in parameters},
            "errors": errors,
        },
    }


def _method(call: type[Call[Any]], schema: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    summary, _, rest = (call.__doc__ or "").partition("\n\n")
    described: dict[str, Any] = {
        "name": call.method,
        "summary": " ".join(summary.split()),
        "paramStructure": "by-name",
        "params": _params(schema),
        "result": {"name": "result", "schema": dict(result)},
        "errors": [{"$ref": f"#/components/errors/{error.type}"} for error in _errors_of(call)],
        "x-kind": "write" if issubclass(call, Write) else "control" if issubclass(call, Control) else "read",
    }
    if call.event is not None:
        described["x-event"] = call.event
    if call.notices:
        described["x-notices"] = list(call.notices)
    if call.holds is not None:
        described["x-holds"] = call.holds
    if call.lets_go is not None:
        described["x-lets-go"] = call.lets_go.method
    if rest:
        described["description"] = " ".join(rest.split())
    return described


def _params(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    ordered = sorted(properties.items(), key=lambda item: item[0] not in required)
    return [_param(name, property_, name in required) for name, property_ in ordered]


def _param(name: str, schema: Mapping[str, Any], required: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "required": required, "schema": dict(schema)}
    inner = [schema, *schema.get("anyOf", [])]
    if text := next((part["description"] for part in inner if "description" in part), None):
        described["description"] = text
    return described


def _resolve(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = components[schema["$ref"].rsplit("/", 1)[-1]]
    return found


def _errors_of(call: type[Call[Any]]) -> tuple[type[KeptError], ...]:
    found = dict.fromkeys((*call.errors, *call.common_errors, *PROTOCOL[3:]))
    return tuple(sorted(found, key=lambda error: -error.code))


def _error(error: type[KeptError]) -> dict[str, Any]:
    meaning = " ".join((error.__doc__ or "").split())
    return {"code": error.code, "message": meaning, "data": {"type": error.type, "hint": error.default_hint}}
