"""What a resource is, whose, and what it holds: on the resource itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.config import Config
from policy.controls import INVENTORY
from policy.rule import Rule, Subject, inner, items

WANTED = ("Project", "Environment", "Component", "ManagedBy", "CostCenter", "DataClass")
CLASSES = ("none", "internal", "confidential", "secret")
# Types that take tags; of another type that has some, they are looked at as well.
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


def _tags(it: Subject) -> Mapping[str, str] | None:
    if "tags" not in list(it.props):
        return {} if it.type in TAKES_TAGS else None
    tags = it.props["tags"]  # a group of Auto Scaling has a list of them
    return tags if isinstance(tags, Mapping) else {one["key"]: one["value"] for one in items(tags)}


def _complete(it: Subject, _: Config) -> Iterator[str]:
    tags = _tags(it)
    if tags is not None and (missing := [name for name in WANTED if name not in list(tags)]):
        yield f"lacks the tags {', '.join(missing)}"


def _true(it: Subject, config: Config) -> Iterator[str]:
    tags = _tags(it) or {}
    if (environment := inner(tags, "Environment")) not in (None, config.environment):
        yield f"says Environment {environment} in a stack of {config.environment}"
    if (holds := inner(tags, "DataClass")) not in (None, *CLASSES):
        yield f"says DataClass {holds}, which is none of {', '.join(CLASSES)}"


RULES = (
    Rule(
        name="tagged",
        description="Every resource that takes tags has all six: whose it is, what for, and what it holds.",
        severity="medium",
        remediation="Pass tags=place.tags(component, DataClass.X, what).",
        controls=INVENTORY,
        check=_complete,
    ),
    Rule(
        name="tags-true",
        description="Tags say the stack's own environment and a class of data that audits know.",
        severity="low",
        remediation="Pass tags=place.tags(component, DataClass.X, what).",
        controls=INVENTORY,
        check=_true,
    ),
)
