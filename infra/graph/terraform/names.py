"""Terraform's names of resource types and properties, and Terraform's shape of their values.

pulumi-aws is generated from Terraform's AWS provider, so names translate back: most by rule, the others by the tables
in this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from infra.graph.capture import Resource

PROVIDER = "registry.terraform.io/hashicorp/aws"

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
    "cfg/recorder:Recorder": "aws_config_configuration_recorder",
    "cfg/recorderStatus:RecorderStatus": "aws_config_configuration_recorder_status",
    "cloudtrail/trail:Trail": "aws_cloudtrail",
    "iam/openIdConnectProvider:OpenIdConnectProvider": "aws_iam_openid_connect_provider",
    "lb/loadBalancer:LoadBalancer": "aws_lb",
    "route53/hostedZoneDnsSec:HostedZoneDnsSec": "aws_route53_hosted_zone_dnssec",
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
    "aws_iam_openid_connect_provider": {"client_id_lists": "client_id_list"},
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

# Lists that hold one text at most, which Pulumi writes as the text.
_LISTS = {"types"}


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


def arguments(resource: Resource, value_of: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return the inputs by Terraform's names, each with the value that ``value_of`` gives for key and input."""
    type_ = type_of(resource.type)
    return {property_of(type_, key, value): value_of(key, value) for key, value in resource.inputs.items()}


def property_of(type_: str, key: str, value: Any) -> str:
    """Return Terraform's name of the property ``key`` of ``type_``."""
    name = _snake(key)
    return _PROPERTIES.get(type_, {}).get(name) or _EVERYWHERE.get(name) or _inner(name, value)


def translated(key: str, value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return a value with blocks as lists of blocks, Terraform's names inside, and ``leaf`` applied to its scalars."""
    if isinstance(value, Mapping):
        if _snake(key) in _TABLES and not any(isinstance(inner, list | Mapping) for inner in value.values()):
            return {name: leaf(inner) for name, inner in value.items()}
        return [_block(value, leaf)]
    if isinstance(value, list):
        return [_block(one, leaf) if isinstance(one, Mapping) else translated(key, one, leaf) for one in value]
    if _snake(key) in _LISTS and isinstance(value, str):
        return [leaf(value)]
    if isinstance(value, float) and value.is_integer():
        return leaf(int(value))  # Pulumi transfers every number as a float
    return leaf(value if isinstance(value, str | int | float | bool | None) else str(getattr(value, "path", "")))


def _block(block: Mapping[str, Any], leaf: Callable[[Any], Any]) -> dict[str, Any]:
    return {_inner(_snake(key), value): translated(key, value, leaf) for key, value in block.items()}


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
