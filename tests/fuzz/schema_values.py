"""Well-formed values out of JSON Schema, as the contract's models and the API's document have it."""

import random
from collections.abc import Mapping
from typing import Any

from fuzz.identifiers import named
from pydantic import TypeAdapter

Schema = Mapping[str, Any]
MOST = 4
"""Items in a generated list; mutations make more of them."""
SEQ = 40
"""Numbers are about as high as the logs of the rooms are long."""


class SchemaValues:
    """What values of one schema look like. `defs`: what its references name."""

    def __init__(self, schema: Schema, defs: Schema | None = None) -> None:
        self._schema = schema
        self._defs = defs if defs is not None else schema.get("$defs", {})

    @classmethod
    def of(cls, kind: Any) -> "SchemaValues":
        """Return the shape of a model, or of a union of some."""
        return cls(TypeAdapter(kind).json_schema())

    def value(self, rng: random.Random) -> Any:
        """Return a value that fits."""
        return self._value(self._schema, "", rng)

    def _value(self, schema: Schema, name: str, rng: random.Random) -> Any:
        if "$ref" in schema:
            return self._value(self._defs[schema["$ref"].rsplit("/", 1)[1]], name, rng)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        for many in ("anyOf", "oneOf"):
            if many in schema:
                return self._value(rng.choice(schema[many]), name, rng)
        match schema.get("type"):
            case "object":
                return self._object(schema, name, rng)
            case "array":
                least, most = schema.get("minItems", 0), schema.get("maxItems", MOST)
                count = rng.randint(least, max(least, min(MOST, most)))
                return [self._value(schema.get("items", {}), name, rng) for _ in range(count)]
        return self._plain(schema, name, rng)

    def _object(self, schema: Schema, name: str, rng: random.Random) -> dict[str, Any]:
        required = schema.get("required", ())
        found = {
            field: self._value(inner, field, rng)
            for field, inner in schema.get("properties", {}).items()
            if field in required or field == "type" or rng.random() < 0.5
        }
        if isinstance(more := schema.get("additionalProperties"), dict):
            key = "room" if name in ("heads", "cursors") else "gateway"
            found |= {str(named(key, rng)): self._value(more, "", rng) for _ in range(rng.randint(0, MOST))}
        return found

    def _plain(self, schema: Schema, name: str, rng: random.Random) -> Any:
        match schema.get("type"):
            case "null":
                return None
            case "boolean":
                return rng.random() < 0.5
            case "integer" | "number":
                least, most = int(schema.get("minimum", 0)), int(schema.get("maximum", SEQ))
                return rng.randint(least, max(least, min(most, SEQ)))
            case "string" if schema.get("format") == "date-time":
                return rng.choice(("2026-11-22T18:28:23.241Z", "2999-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999Z"))
        return named(name, rng) or "x"
