"""Tags: required keys, and values that match the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.config import Config
from policy.controls import INVENTORY
from policy.rule import Rule, Subject, as_list, is_set, value_at

REQUIRED = ("Project", "Environment", "Component", "ManagedBy", "CostCenter", "DataClass")
CLASSES = ("none", "internal", "confidential", "secret")
# Types that must have tags. Tags on resources of other types are checked as well.
TAKES_TAGS = frozenset(
    f"aws:{kind}"
    for kind in (
        "acm/certificate:Certificate",
        "apigateway/restApi:RestApi",
        "apigateway/stage:Stage",
        "autoscaling/group:Group",
        "backup/vault:Vault",
        "cloudfront/distribution:Distribution",
        "cloudtrail/trail:Trail",
        "cloudwatch/logGroup:LogGroup",
        "cloudwatch/metricAlarm:MetricAlarm",
        "dynamodb/table:Table",
        "ec2/launchTemplate:LaunchTemplate",
        "ec2/securityGroup:SecurityGroup",
        "ec2/subnet:Subnet",
        "ec2/vpc:Vpc",
        "ec2/vpcEndpoint:VpcEndpoint",
        "iam/policy:Policy",
        "iam/role:Role",
        "kms/key:Key",
        "kms/replicaKey:ReplicaKey",
        "lambda/function:Function",
        "lb/loadBalancer:LoadBalancer",
        "lb/targetGroup:TargetGroup",
        "rds/instance:Instance",
        "route53/zone:Zone",
        "s3/bucket:Bucket",
        "secretsmanager/secret:Secret",
        "sns/topic:Topic",
        "sqs/queue:Queue",
        "wafv2/webAcl:WebAcl",
    )
)


def _tags(resource: Subject) -> Mapping[str, str] | None:
    if not resource.has("tags"):
        return {} if resource.type in TAKES_TAGS else None
    tags = resource.props["tags"]  # an Auto Scaling group has a list of tags
    return tags if isinstance(tags, Mapping) else {tag["key"]: tag["value"] for tag in as_list(tags)}


def _complete(resource: Subject, _: Config) -> Iterator[str]:
    tags = _tags(resource)
    if tags is not None and (missing_tags := [name for name in REQUIRED if not is_set(tags, name)]):
        yield f"has no tags {', '.join(missing_tags)}"


def _values(resource: Subject, config: Config) -> Iterator[str]:
    tags = _tags(resource) or {}
    if (environment := value_at(tags, "Environment")) not in (None, config.environment):
        yield f"has the tag Environment={environment}; the stack's is {config.environment}"
    if (data_class := value_at(tags, "DataClass")) not in (None, *CLASSES):
        yield f"has the tag DataClass={data_class}; allowed are {', '.join(CLASSES)}"


RULES = (
    Rule(
        name="tagged",
        description="Every taggable resource has the tags Project, Environment, Component, ManagedBy, CostCenter and "
        "DataClass.",
        severity="medium",
        remediation="Pass tags from the method tags() of the stack's context (infra.naming.context).",
        controls=INVENTORY,
        check=_complete,
    ),
    Rule(
        name="tags-true",
        description="The tag Environment is the stack's, and the tag DataClass has an allowed value.",
        severity="low",
        remediation="Pass tags from the method tags() of the stack's context (infra.naming.context).",
        controls=INVENTORY,
        check=_values,
    ),
)
