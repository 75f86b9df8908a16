"""Structured output of the fake Messages API: builds a JSON document that fits a JSON schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# The SDK moves constraints that the API does not check into the description, as in "{minimum: 0, maximum: 1}".
_HINTS = re.compile(r"\{([^{}]+)\}\s*$")
_HINT = re.compile(r"(\w+): (-?\d+(?:\.\d+)?)(?:, |$)")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems")
_LENGTHS = ("minLength", "maxLength")
_FORMATS = {
    "date-time": "2000-01-01T00:00:00Z",
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "offline@example.invalid",
    "hostname": "offline.invalid",
    "uri": "offline://source",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_REQUIRED_ONLY_DEPTH = 4  # from this depth on only required properties: a schema may contain itself
_MAX_DEPTH = 32
_STEPS = 100  # count of different numbers for a property, unless its bounds leave fewer


def document(
    schema: Mapping[str, Any],
    *,
    random_below: Callable[[int], int],
    text_for: Callable[[str], str],
    length_for: Callable[[str], int],
) -> Any:
    """Build a document that fits ``schema``.

    Args:
        random_below: returns a number from 0 to n - 1 for n, used to choose numbers.
        text_for: returns the text for a property's name.
        length_for: returns the number of entries for a list's name, before the schema's limits apply.

    Raises:
        ValueError: the schema cannot be satisfied, or uses a keyword in an unsupported way.
    """
    return _DocumentBuilder(schema, random_below, text_for, length_for).build(schema, "", 0)


@dataclass(frozen=True)
class _DocumentBuilder:
    root: Mapping[str, Any]
    random_below: Callable[[int], int]
    text_for: Callable[[str], str]
    length_for: Callable[[str], int]

    def build(self, schema: Any, name: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("output_config.format.schema: the schema requires itself, so no document fits")
        schema = _with_hints(self._resolved(schema, depth))
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return self._first(choices, name, depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            return self._first([{**schema, "type": alternative} for alternative in kind], name, depth)
        makers = {
            "object": self._object,
            "array": self._array,
            "number": self._number,
            "integer": self._number,
            "string": self._string,
            "boolean": lambda *_: True,
            "null": lambda *_: None,
        }
        if kind not in makers:
            raise ValueError(
                f"output_config.format.schema: type {str(kind)[:40]!r} is unknown; known are {', '.join(makers)}"
            )
        return makers[kind](schema, name, depth)

    def _resolved(self, schema: Any, depth: int) -> Mapping[str, Any]:
        """Return ``schema`` with references followed and ``allOf`` merged."""
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            raise ValueError(
                "output_config.format.schema: a schema must be an object and must not be a reference to itself"
            )
        if "$ref" in schema:
            target: Any = self.root
            for part in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
                target = target.get(part) if part and isinstance(target, Mapping) else target
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            return {**self._resolved(target, depth + 1), **rest}
        merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
        for part in schema.get("allOf") or ():
            other = self._resolved(part, depth + 1)
            properties = {**merged.get("properties", {}), **other.get("properties", {})}
            required = [*merged.get("required", []), *other.get("required", [])]
            merged = {**merged, **other}
            merged |= {"properties": properties, "required": required} if properties else {}
        return merged

    def _first(self, choices: list[Any], name: str, depth: int) -> Any:
        """Build the first alternative that a document fits; deep down try null first, to end recursive lists."""
        if depth >= _REQUIRED_ONLY_DEPTH:
            choices = sorted(
                choices, key=lambda choice: not isinstance(choice, Mapping) or choice.get("type") != "null"
            )
        for choice in choices[:-1]:
            try:
                return self.build(choice, name, depth + 1)
            except ValueError:
                continue
        return self.build(choices[-1], name, depth + 1)

    def _object(self, schema: Mapping[str, Any], _: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        others = schema.get("additionalProperties") or {}
        names = [
            name
            for name in {**properties, **dict.fromkeys(required)}
            if depth < _REQUIRED_ONLY_DEPTH or name in required
        ]
        return {name: self.build(properties.get(name, others), name, depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        fewest, most = int(schema.get("minItems", 0)), schema.get("maxItems", math.inf)
        count = fewest if depth >= _REQUIRED_ONLY_DEPTH else int(min(max(self.length_for(name), fewest), most))
        return [self.build(schema.get("items", {}), f"{name}.{number + 1}", depth + 1) for number in range(count)]

    def _number(self, schema: Mapping[str, Any], _: str, __: int) -> float:
        low, high = _bounds(schema)
        whole = schema["type"] == "integer"
        step = schema.get("multipleOf") or (1 if whole else (high - low) / _STEPS or 1)
        first, last = math.ceil(low / step), math.floor(high / step)
        if first * step <= schema.get("exclusiveMinimum", -math.inf):
            first += 1
        if last * step >= schema.get("exclusiveMaximum", math.inf):
            last -= 1
        if first > last:
            raise ValueError("output_config.format.schema: no number lies within the bounds")
        value = (first + self.random_below(last - first + 1)) * step
        return round(value) if whole else min(max(round(value, 10), low), high)

    def _string(self, schema: Mapping[str, Any], name: str, _: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self.text_for(name)[: schema.get("maxLength")]
        return text.ljust(schema.get("minLength", 0), ".")


def _with_hints(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``schema`` with the constraints from its description; keywords of the schema itself win."""
    match = _HINTS.search(str(schema.get("description", "")))
    if not match:
        return schema
    hints: dict[str, Any] = {}
    for name, value in _HINT.findall(match[1]):
        if name in (*_BOUNDS, *_LENGTHS):
            hints[name] = float(value) if "." in value else int(value)
    return {**hints, **schema}


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    """Return the lower and upper bound, exclusive bounds included. Without bounds: 0.5 and 1; integers 0 and 100."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if low == -math.inf and high == math.inf:
        return (0, _STEPS) if schema["type"] == "integer" or "multipleOf" in schema else (0.5, 1.0)
    if low == -math.inf:
        return high - _STEPS, high
    return low, low + _STEPS if high == math.inf else high
