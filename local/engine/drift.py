"""What a refresh or an import makes of a resource that was found on the emulator. Pure functions.

A refresh changes only inputs that a type lists in ``reads``; all other properties stay as the state has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local import wire
from local.types import FoundResource

State = tuple[dict[str, Any], dict[str, Any]]  # inputs and outputs in Pulumi's format


def refreshed(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], found: FoundResource, reads: Mapping[str, Any]
) -> State:
    """Return inputs and outputs of a known resource with the values that differ on the emulator.

    Args:
        reads: inputs to compare, each with AWS's value of an unset input; None for inputs that AWS gives no value.
    """
    changed, gone = {}, set()
    for name, value_if_unset in reads.items():
        set_in_state = wire.clear(inputs.get(name))
        before = value_if_unset if _empty(set_in_state) else set_in_state
        now = value_if_unset if _empty(found.inputs.get(name)) else found.inputs[name]
        if _empty(set_in_state) and value_if_unset is None:
            continue  # nobody set the input, and what the service chose is no change
        if same(before, now):
            continue
        if _empty(found.inputs.get(name)):
            gone.add(name)
        else:
            changed[name] = wire.secret(now) if wire.holds_secret(inputs.get(name)) else now

    def merged(properties: Mapping[str, Any]) -> dict[str, Any]:
        return {**{name: value for name, value in properties.items() if name not in gone}, **changed}

    return merged(inputs), merged(outputs)


def imported(found: FoundResource, reads: Mapping[str, Any]) -> State:
    """Return inputs and outputs of a resource that the state does not have: inputs at AWS's own values are left out."""
    inputs = {
        name: value
        for name, value in found.inputs.items()
        if not _empty(value) and not (name in reads and same(value, reads[name]))
    }
    return inputs, {**found.inputs, **found.outputs}


def same(one: Any, other: Any) -> bool:
    """Return whether two values are one setting: JSON text by its content, lists in any order, absent like empty.

    Within a value, false is like absent too.
    """
    return _normal(one) == _normal(other)


def _normal(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _normal(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, Mapping):
        normal = {name: _normal(inner) for name, inner in value.items()}
        return {name: inner for name, inner in normal.items() if not _empty(inner) and inner is not False}
    if isinstance(value, list):
        return sorted((_normal(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})
