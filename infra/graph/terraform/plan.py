"""Export of a graph as a Terraform plan (``terraform show -json``), the input format of infrastructure scanners.

The plan is flat, because scanners connect resources within one module, and our logical names already carry the
component.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.graph.capture import Graph, Resource
from infra.graph.terraform.names import PROVIDER, address, arguments, property_of, translated, type_of


def plan(graph: Graph, region: str) -> dict[str, Any]:
    """Return the JSON of ``terraform show -json`` for a plan that creates every resource of ``graph``."""
    resources = list(graph.custom)
    addresses = {resource.urn: address(resource) for resource in resources}
    planned = [_planned(resource, addresses) for resource in resources]
    return {
        "format_version": "1.2",
        "terraform_version": "1.13.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": [_change(one) for one in planned],
        "configuration": {
            "provider_config": {
                "aws": {
                    "name": "aws",
                    "full_name": PROVIDER,
                    "expressions": {"region": {"constant_value": region}},
                }
            },
            "root_module": {"resources": [_configured(resource, addresses) for resource in resources]},
        },
    }


def _values(resource: Resource, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the inputs as Terraform arguments.

    An argument computed from another resource is None, as in a plan before the first apply; the configuration's
    references connect the two resources.
    """
    return arguments(
        resource,
        lambda key, value: (
            _unknown(value) if _is_anothers(resource, key, addresses) else translated(key, value, lambda leaf: leaf)
        ),
    )


def _is_anothers(resource: Resource, key: str, addresses: Mapping[str, str]) -> bool:
    value = resource.inputs[key]
    if not addresses.keys() & resource.by_property.get(key, frozenset()):
        return False  # computed from another stack's resource, so the value is known
    if isinstance(value, str):
        return not value.startswith(("{", "["))  # most of a policy document is known, and worth a scan
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _unknown(value: Any) -> Any:
    return [None] if isinstance(value, list) else None


def _planned(resource: Resource, addresses: Mapping[str, str]) -> dict[str, Any]:
    return {
        "address": address(resource),
        "mode": "managed",
        "type": type_of(resource.type),
        "name": resource.name,
        "provider_name": PROVIDER,
        "schema_version": 0,
        "values": _values(resource, addresses),
    }


def _change(planned: Mapping[str, Any]) -> dict[str, Any]:
    same = {key: planned[key] for key in ("address", "mode", "type", "name", "provider_name")}
    return {**same, "change": {"actions": ["create"], "before": None, "after": planned["values"], "after_unknown": {}}}


def _configured(resource: Resource, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return a resource's configuration: per property, the resources from which it was computed."""
    type_ = type_of(resource.type)
    expressions = {
        property_of(type_, key, resource.inputs[key]): {
            "references": [ref for urn in sorted(urns) if urn in addresses for ref in _references(addresses[urn])]
        }
        for key, urns in sorted(resource.by_property.items())
        if key in resource.inputs
    }
    return {
        "address": address(resource),
        "mode": "managed",
        "type": type_,
        "name": resource.name,
        "provider_config_key": "aws",
        "expressions": {key: value for key, value in expressions.items() if value["references"]},
        "schema_version": 0,
    }


def _references(to: str) -> tuple[str, str]:
    return f"{to}.id", to
