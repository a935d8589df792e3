"""The OpenRPC document is valid, and says everything about every method."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

import tests
from kept.wire.catalog import calls
from kept.wire.errors import PROTOCOL
from keptd.rpc.openrpc import document
from tests.harness import Peer

NPM = Path(tests.__file__).parents[1] / ".venv" / "npm"
PACKAGES = ("@open-rpc/meta-schema@1.14.9", "@json-schema-tools/meta-schema@1.8.0")
INSTALL = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(NPM), *PACKAGES]


@pytest.fixture(scope="module")
def packages() -> Path:
    """Where the packages of schemas are; they are fetched once, where there is npm and a network."""
    found = NPM / "node_modules"
    if not all((found / name.rpartition("@")[0] / "index.js").exists() for name in PACKAGES):
        NPM.mkdir(parents=True, exist_ok=True)
        if (
            shutil.which("npm") is None
            or subprocess.run(INSTALL, check=False, capture_output=True, timeout=120).returncode
        ):
            pytest.skip(f"the meta-schema is not here; get it with: {' '.join(INSTALL)}")
    return found


def packaged(packages: Path, name: str, export: str) -> Any:
    """The JSON that a package exports from a file of JavaScript."""
    text = (packages / name / "index.js").read_text()
    begin = text.index("{", text.index(f"exports.{export} = {{"))
    return json.JSONDecoder().raw_decode(text, begin)[0]


@pytest.fixture(scope="module")
def openrpc() -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(calls().values())))
    return made


def test_the_document_is_valid_by_the_meta_schema(openrpc: dict[str, Any], packages: Path) -> None:
    schema = packaged(packages, "@open-rpc/meta-schema", "openrpcDocument")
    json_schema = DRAFT7.create_resource(packaged(packages, "@json-schema-tools/meta-schema", "jsonSchema"))
    names = ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")
    registry: Registry[Any] = Registry().with_resources([(name, json_schema) for name in names])
    validator = Draft7Validator(schema, registry=registry)
    assert [(list(fault.absolute_path), fault.message[:300]) for fault in validator.iter_errors(openrpc)] == []
    assert list(validator.iter_errors({**openrpc, "methods": [{"name": 1}]})), "the validator sees a fault"


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for inner in part.values() for found in references(inner)]
    if isinstance(part, list):
        return [found for inner in part for found in references(inner)]
    return []


def test_every_reference_leads_somewhere(openrpc: dict[str, Any]) -> None:
    for reference in references(openrpc):
        place: Any = openrpc
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


def test_every_method_is_there_once_and_says_what_it_does(openrpc: dict[str, Any]) -> None:
    assert [method["name"] for method in openrpc["methods"]] == sorted(calls())
    for method in openrpc["methods"]:
        assert len(method["summary"]) > 10, method["name"]
        assert method["paramStructure"] == "by-name"
        assert method["result"]["schema"], method["name"]


def test_every_parameter_has_a_type_and_a_description(openrpc: dict[str, Any]) -> None:
    for method in openrpc["methods"]:
        for param in method["params"]:
            where = f"{method['name']} {param['name']}"
            assert param.get("description"), where
            schema = param["schema"]
            described = schema.keys() & {"type", "enum", "anyOf", "$ref", "const"}
            assert described or "Any JSON value" in param["description"], where


def test_required_parameters_come_first_and_are_those_without_a_default(openrpc: dict[str, Any]) -> None:
    for method in openrpc["methods"]:
        required = [param["required"] for param in method["params"]]
        assert required == sorted(required, reverse=True)
        fields = msgspec.structs.fields(calls()[method["name"]])
        wanted = {field.name for field in fields if field.required}
        assert {param["name"] for param in method["params"] if param["required"]} == wanted
        assert {param["name"] for param in method["params"]} == {field.name for field in fields}


def test_every_error_that_a_call_declares_is_there_with_its_next_step(openrpc: dict[str, Any]) -> None:
    known = openrpc["components"]["errors"]
    for method in openrpc["methods"]:
        call = calls()[method["name"]]
        named = {reference["$ref"].rsplit("/", 1)[-1] for reference in method["errors"]}
        assert named == {error.type for error in (*call.errors, *call.common_errors, *PROTOCOL[3:])}
    for error in known.values():
        assert error["code"] < 0
        assert error["message"]
        assert error["data"]["hint"]


@pytest.mark.anyio
async def test_what_a_daemon_serves_is_this_document(peer: Peer, openrpc: dict[str, Any]) -> None:
    assert await peer.result("rpc.discover") == openrpc
