"""The AsyncAPI document: valid for the reference parser, and about what is said in truth."""

import json
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from warren.contract import asyncapi, frames
from warren.contract.bundles import BundleIndex
from warren.contract.events import Events
from warren_local.javascript import modules

WITHIN = 120
"""Seconds; a bound, not an expectation."""
VALIDATE = """
import { readFileSync } from "node:fs";
import parser from "@asyncapi/parser";
const { diagnostics } = await new parser.Parser().parse(readFileSync("asyncapi.json", "utf8"));
console.log(JSON.stringify(diagnostics.map(({ severity, message, path }) => ({ severity, message, path }))));
"""
ERROR, WARNING = 0, 1


def diagnostics(document: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return what the parser has to say of errors and warnings."""
    library = modules()
    if library is None:
        pytest.skip("there is no npm here")
    (folder / "node_modules").symlink_to(library)
    (folder / "asyncapi.json").write_text(json.dumps(document))
    (folder / "validate.mjs").write_text(VALIDATE)
    done = subprocess.run(
        ["node", "validate.mjs"], cwd=folder, check=False, capture_output=True, text=True, timeout=WITHIN
    )
    assert done.returncode == 0, done.stderr
    return [found for found in json.loads(done.stdout) if found["severity"] <= WARNING]


def test_it_is_valid(tmp_path: Path) -> None:
    assert diagnostics(asyncapi.document(), tmp_path) == []


def test_one_that_is_not_is_found_out(tmp_path: Path) -> None:
    document = asyncapi.document()
    document["operations"]["speak"]["channel"] = {"$ref": "#/channels/nowhere"}
    assert any(found["severity"] == ERROR for found in diagnostics(document, tmp_path))


def test_it_has_every_frame() -> None:
    document = asyncapi.document()
    schemas = document["components"]["schemas"]
    names = [message["$ref"].rsplit("/", 1)[1] for message in document["channels"]["socket"]["messages"].values()]
    said = {schemas[name]["properties"]["type"]["const"] for name in names}
    everything = (*get_args(frames.AnyClientFrame), *get_args(frames.ServerFrame), Events)
    assert said == {frame.model_fields["type"].annotation.__args__[0] for frame in everything}


def test_it_says_what_a_bundle_begins_with() -> None:
    document = asyncapi.document()
    ((name, _),) = document["channels"]["bundles"]["messages"].items()
    index = document["components"]["schemas"][
        document["components"]["messages"][name]["payload"]["$ref"].rsplit("/")[-1]
    ]
    assert set(index["properties"]) == set(BundleIndex.model_fields)
