"""Export of a graph as a Terraform configuration (``main.tf.json``), which Terraform's AWS provider can judge.

An argument that equals an output of another resource becomes a reference, if the program computed the argument from
that resource. A longer text around an output stays a literal: a mock output is as valid as AWS's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from infra.graph.capture import Graph, Resource
from infra.graph.terraform.names import PROVIDER, arguments, property_of, translated, type_of

Arguments = dict[str, Any]
Configuration = dict[str, dict[str, Arguments]]  # Terraform type → label → arguments
# Outputs that an argument shares by chance: every resource has them.
_SHARED = {"region", "tags", "tagsAll"}
# Lists of objects that are no blocks for Terraform: in its JSON syntax every member must be written.
_NACL_RULE = ("cidr_block", "icmp_code", "icmp_type", "ipv6_cidr_block")
_WHOLE_OBJECTS = {("aws_network_acl", "egress"): _NACL_RULE, ("aws_network_acl", "ingress"): _NACL_RULE}
# No API is reached: the configuration is only checked, and the discard port of this machine refuses a connection.
NOWHERE = "http://127.0.0.1:9"
_OFFLINE = {
    "access_key": "mock",
    "secret_key": "mock",
    "skip_credentials_validation": True,
    "skip_metadata_api_check": True,
    "skip_requesting_account_id": True,
    "max_retries": 1,
}


def resources(graph: Graph, *, references: bool) -> Configuration:
    """Return the arguments of every AWS resource of ``graph``, in Terraform's JSON syntax.

    Args:
        references: True: outputs of other resources are references, as in a first deployment. False: they are the mock
            outputs, so that the provider can judge their form.
    """
    by_urn = {resource.urn: resource for resource in graph.custom}
    configuration: Configuration = {}
    for resource in graph.custom:
        outputs = {key: _outputs(urns, by_urn) for key, urns in resource.by_property.items()} if references else {}
        configuration.setdefault(type_of(resource.type), {})[label(resource)] = _arguments(resource, outputs)
    return configuration


def document(configuration: Configuration, graph: Graph, version: str) -> dict[str, Any]:
    """Return ``main.tf.json``: the resources, and one offline provider per region.

    Pulumi's ``region`` of a resource becomes a provider of that region, because provider 5 knows no such argument.

    Args:
        configuration: resources of ``graph``, as from ``resources``.
        version: version of the provider.
    """
    regions = {(type_of(r.type), label(r)): str(r.inputs["region"]) for r in graph.custom if "region" in r.inputs}
    body = {
        type_: {
            name: args | ({"provider": f"aws.{regions[type_, name]}"} if (type_, name) in regions else {})
            for name, args in named.items()
        }
        for type_, named in configuration.items()
    }
    providers = [{"region": _region(graph), **_OFFLINE}]
    providers += [{"alias": other, "region": other, **_OFFLINE} for other in sorted(set(regions.values()))]
    return {**requirements(version), "provider": {"aws": providers}, "resource": body}


def label(resource: Resource) -> str:
    """Return the logical name in characters that Terraform allows: ``ops@acme`` becomes ``ops_40_acme``."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f"_{ord(match[0]):x}_", resource.name)


def requirements(version: str) -> dict[str, Any]:
    """Return the part of a configuration that names the provider and its version."""
    return {"terraform": {"required_providers": {"aws": {"source": PROVIDER, "version": version}}}}


def _region(graph: Graph) -> str:
    """Return the region of the stack's AWS provider."""
    return next(resource.inputs["region"] for resource in graph.resources if resource.type == "pulumi:providers:aws")


def _arguments(resource: Resource, outputs: Mapping[str, Mapping[Any, str]]) -> Arguments:
    def value_of(key: str, value: Any) -> Any:
        references = outputs.get(key, {})
        return translated(key, value, lambda leaf: references.get(leaf) or _literal(leaf))

    named = arguments(resource, value_of)
    type_ = type_of(resource.type)
    for name in named:
        if members := _WHOLE_OBJECTS.get((type_, name)):
            named[name] = [{**dict.fromkeys(members), **one} for one in named[name]]
    return {name: value for name, value in named.items() if name != "region" and value is not None}


def _outputs(urns: frozenset[str], by_urn: Mapping[str, Resource]) -> dict[Any, str]:
    """Return the references to the outputs of resources, by value; ID and ARN first, then inputs."""
    found: dict[Any, str] = {}
    for source in (by_urn[urn] for urn in sorted(urns) if urn in by_urn):
        outputs = {"id": source.id, "arn": source.outputs.get("arn"), **source.inputs, **source.outputs}
        for key, value in outputs.items():
            if isinstance(value, str | int) and not isinstance(value, bool) and value and key not in _SHARED:
                name = property_of(type_of(source.type), key, value)
                found.setdefault(value, f"${{{type_of(source.type)}.{label(source)}.{name}}}")
    return found


def _literal(leaf: Any) -> Any:
    """Return a scalar with Terraform's template marks escaped."""
    return leaf.replace("${", "$${").replace("%{", "%%{") if isinstance(leaf, str) else leaf
