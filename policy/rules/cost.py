"""Cost rules: instance classes, billing modes, storage limits and lifecycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import CHANGE, MINIMUM
from policy.rule import Rule, Subject, Violation, of_type

_SIZED = {"aws:rds/instance:Instance": "instanceClass", "aws:ec2/launchTemplate:LaunchTemplate": "instanceType"}


def _classes(resource: Subject, config: Config) -> Iterator[str]:
    instance_class = str(resource.value(_SIZED[resource.type]))
    family, _, size = instance_class.removeprefix("db.").partition(".")
    if family not in config.families or size not in config.classes:
        allowed = f"{'/'.join(config.families)} in {'/'.join(config.classes)}"
        yield f"has the class {instance_class}; allowed are {allowed}"


def _on_demand(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("billingMode") != "PAY_PER_REQUEST":
        yield "has provisioned capacity (billingMode)"


def _storage_limit(resource: Subject, _: Config) -> Iterator[str]:
    if not resource.has("maxAllocatedStorage"):
        return
    if (limit_gb := resource.value("maxAllocatedStorage")) > 1000:
        yield f"may grow to {limit_gb:g} GB (maxAllocatedStorage); the limit is 1000"


def _gateways(_: Subject, config: Config) -> Iterator[str]:
    if not config.prod:
        yield "costs more per month than the rest of a dev stack (network.nat)"


def _lifecycles(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    kind = "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    covered = {resource.props["bucket"] for resource in of_type(subjects, kind)}
    for resource in of_type(subjects, "s3/bucket:Bucket"):
        if resource.props["bucket"] not in covered:
            yield resource, "has no lifecycle: objects are stored and paid for without end"


RULES = (
    Rule(
        name="class-allowed",
        description="Databases and instances have an allowed family and size.",
        severity="medium",
        remediation="Choose an allowed class, or add the class to families and classes in the pack's configuration.",
        controls=CHANGE,
        types=frozenset(_SIZED),
        check=_classes,
    ),
    Rule(
        name="table-on-demand",
        description="DynamoDB tables are billed per request.",
        severity="low",
        remediation="Set billingMode to PAY_PER_REQUEST.",
        controls=CHANGE,
        types=frozenset({"aws:dynamodb/table:Table"}),
        mandatory=False,
        check=_on_demand,
    ),
    Rule(
        name="storage-bounded",
        description="Storage autoscaling of databases ends at 1,000 GB.",
        severity="low",
        remediation="Set database.maxStorageGb to 1000 or less.",
        controls=CHANGE,
        types=frozenset({"aws:rds/instance:Instance"}),
        mandatory=False,
        check=_storage_limit,
    ),
    Rule(
        name="no-gateway-in-dev",
        description="A dev stack has no NAT gateway.",
        severity="low",
        remediation="Set network.nat to none; outbound IPv6 traffic needs no NAT gateway.",
        controls=CHANGE,
        types=frozenset({"aws:ec2/natGateway:NatGateway"}),
        mandatory=False,
        check=_gateways,
    ),
    Rule(
        name="bucket-lifecycle",
        description="Every bucket has a lifecycle that deletes objects or moves them to a cheaper storage class.",
        severity="medium",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls={**MINIMUM, **CHANGE},
        check_stack=_lifecycles,
    ),
)
