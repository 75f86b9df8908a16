"""Export of a graph as a Terraform plan (``terraform show -json``), the input format of infrastructure scanners.

pulumi-aws is generated from Terraform's AWS provider, so names translate back: most by rule, the others by the tables
in this module. The plan is flat, because scanners connect resources within one module, and our logical names already
carry the component.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from infra.graph.capture import Graph, Resource

# Terraform prefixes of Pulumi modules with another name.
_MODULES = {
    "apigateway": "api_gateway_",
    "cfg": "config_",
    "costexplorer": "ce_",
    "ec2": "",
    "rds": "db_",
}
_TYPES = {
    "apigateway/response:Response": "aws_api_gateway_gateway_response",
    "cloudtrail/trail:Trail": "aws_cloudtrail",
    "lb/loadBalancer:LoadBalancer": "aws_lb",
    "s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "s3/bucketReplicationConfig:BucketReplicationConfig": "aws_s3_bucket_replication_configuration",
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": "aws_sqs_queue_redrive_allow_policy",
}
# Terraform names of properties with another name: by type, then by Pulumi's name in snake_case.
_PROPERTIES = {
    "aws_api_gateway_base_path_mapping": {"rest_api": "api_id"},
    "aws_autoscaling_group": {"tags": "tag", "vpc_zone_identifiers": "vpc_zone_identifier"},
    "aws_ce_anomaly_subscription": {"monitor_arn_lists": "monitor_arn_list"},
    "aws_cloudwatch_metric_alarm": {"name": "alarm_name"},
    "aws_lambda_function": {"name": "function_name", "code": "filename"},
    "aws_lambda_layer_version": {"code": "filename"},
    "aws_lambda_permission": {"function": "function_name"},
    "aws_sns_topic_subscription": {"topic": "topic_arn"},
}
_EVERYWHERE = {"deployment": "deployment_id", "rest_api": "rest_api_id"}
# Lists of blocks are plural in Pulumi and singular in Terraform, except these.
_SAME_IN_BOTH = {
    "api_stages",
    "block_device_mappings",
    "egress",
    "ingress",
    "network_interfaces",
    "redacted_fields",
    "tag_specifications",
}
# Maps with user-defined keys: attributes, not blocks, and their keys are not translated.
_TABLES = {
    "dimensions",
    "request_models",
    "request_parameters",
    "request_templates",
    "response_models",
    "response_parameters",
    "response_templates",
    "tags",
    "triggers",
    "variables",
}


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
                    "full_name": "registry.terraform.io/hashicorp/aws",
                    "expressions": {"region": {"constant_value": region}},
                }
            },
            "root_module": {"resources": [_configured(resource, addresses) for resource in resources]},
        },
    }


def address(resource: Resource) -> str:
    """Return Terraform's type and our logical name, such as ``aws_sqs_queue.bus-h01-queue``."""
    return f"{type_of(resource.type)}.{resource.name}"


def type_of(token: str) -> str:
    """Return Terraform's type of a Pulumi token: ``aws_sqs_queue`` for ``aws:sqs/queue:Queue``."""
    short = token.removeprefix("aws:")
    if short in _TYPES:
        return _TYPES[short]
    module, name = short.split("/", maxsplit=1)[0], short.rpartition(":")[2]
    return f"aws_{_MODULES.get(module, f'{module}_')}{_snake(name)}"


def values(resource: Resource, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the inputs as Terraform arguments.

    An argument computed from another resource is None, as in a plan before the first apply; the configuration's
    references connect the two resources.
    """
    type_ = type_of(resource.type)
    return {
        property_of(type_, key, value): _unknown(value)
        if _is_anothers(resource, key, addresses)
        else _translated(key, value)
        for key, value in resource.inputs.items()
    }


def property_of(type_: str, key: str, value: Any) -> str:
    """Return Terraform's name of the property ``key`` of ``type_``."""
    name = _snake(key)
    return _PROPERTIES.get(type_, {}).get(name) or _EVERYWHERE.get(name) or _inner(name, value)


def _is_anothers(resource: Resource, key: str, addresses: Mapping[str, str]) -> bool:
    value = resource.inputs[key]
    if not addresses.keys() & resource.by_property.get(key, frozenset()):
        return False  # computed from another stack's resource, so the value is known
    if isinstance(value, str):
        return not value.startswith(("{", "["))  # most of a policy document is known, and worth a scan
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _unknown(value: Any) -> Any:
    return [None] if isinstance(value, list) else None


def _translated(key: str, value: Any) -> Any:
    """Return a value with blocks as lists of blocks, and Terraform's names inside."""
    if isinstance(value, Mapping):
        return dict(value) if _snake(key) in _TABLES else [_block(value)]
    if isinstance(value, list):
        return [_block(one) if isinstance(one, Mapping) else _translated(key, one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # Pulumi transfers every number as a float
    return value if isinstance(value, str | int | float | bool | None) else str(getattr(value, "path", ""))


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    return {_inner(_snake(key), value): _translated(key, value) for key, value in block.items()}


def _inner(name: str, value: Any) -> str:
    blocks = isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
    return _singular(name) if blocks and name not in _SAME_IN_BOTH else name


def _singular(name: str) -> str:
    for plural, singular in (("ies", "y"), ("xes", "x"), ("ases", "as"), ("s", "")):
        if name.endswith(plural):
            return name.removesuffix(plural) + singular
    return name


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _planned(resource: Resource, addresses: Mapping[str, str]) -> dict[str, Any]:
    return {
        "address": address(resource),
        "mode": "managed",
        "type": type_of(resource.type),
        "name": resource.name,
        "provider_name": "registry.terraform.io/hashicorp/aws",
        "schema_version": 0,
        "values": values(resource, addresses),
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
