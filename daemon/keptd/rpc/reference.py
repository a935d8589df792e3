"""The reference page, `client/API.md`, made from the OpenRPC document. `python -m keptd.rpc.reference` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kept.wire.catalog import calls

from .openrpc import document


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join(_lines(document(calls().values()))) + "\n"


def _lines(openrpc: Mapping[str, Any]) -> Iterator[str]:
    yield "# kept: the methods"
    yield ""
    yield "Made from the calls in `client/kept/wire` by `make api`. `rpc.discover` serves the same as OpenRPC."
    yield "Every write also takes `idempotency_key` and `on_secret`; parameters go by name."
    for method in openrpc["methods"]:
        yield from _method_lines(method)
    yield ""
    yield "## Types"
    for name, schema in sorted(openrpc["components"]["schemas"].items()):
        yield from _type_lines(name, schema)
    yield ""
    yield "## Errors"
    yield ""
    yield "| code | type | meaning | next step |"
    yield "| --- | --- | --- | --- |"
    for error in sorted(openrpc["components"]["errors"].values(), key=lambda error: -error["code"]):
        yield f"| {error['code']} | `{error['data']['type']}` | {error['message']} | {error['data']['hint']} |"


def _method_lines(method: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"## {method['name']}"
    yield ""
    yield f"{method['summary']} ({method['x-kind']})"
    if "description" in method:
        yield ""
        yield method["description"]
    params = [param for param in method["params"] if param["name"] not in ("idempotency_key", "on_secret")]
    if params:
        yield ""
        yield "| parameter | type | |"
        yield "| --- | --- | --- |"
    for param in params:
        required = "**required.** " if param["required"] else ""
        default = _default(param["schema"])
        yield f"| `{param['name']}` | {_type(param['schema'])} | {required}{param.get('description', '')}{default} |"
    yield ""
    errors = ", ".join(f"`{error['$ref'].rsplit('/', 1)[-1]}`" for error in method["errors"])
    yield f"Result: {_type(method['result']['schema'])}. Errors: {errors}.{_told(method)}"


def _told(method: Mapping[str, Any]) -> str:
    """The names by which its changes can be followed, beside its own, and what it is to the connection."""
    own = f" Event: `{method['x-event']}`." if "x-event" in method else ""
    notices = ", ".join(f"`{name}`" for name in method.get("x-notices", ()))
    told = f"{own} May also record {notices}." if notices else own
    if "x-holds" in method:
        told += f" Held by the connection, for each `{method['x-holds']}`."
    if "x-lets-go" in method:
        told += f" Lets go what `{method['x-lets-go']}` holds."
    return told


def _type_lines(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"### {name}"
    yield ""
    yield " ".join(schema.get("description", "").split())
    if "properties" in schema:
        yield ""
        yield "| field | type |"
        yield "| --- | --- |"
        for field, inner in schema["properties"].items():
            yield f"| `{field}` | {_type(inner)} |"


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in (None, [], ()) else f" Default: `{default}`."


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(inner) for inner in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "string" and schema.get("format") == "date-time":
        return "time"
    return str(kind)


if __name__ == "__main__":
    sys.stdout.write(page())
