"""Nothing is dearer than somebody decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import CHANGE, MINIMUM
from policy.rule import Rule, Subject, Violation, given, inner, of

_SIZED = {"aws:rds/instance:Instance": "instanceClass", "aws:ec2/launchTemplate:LaunchTemplate": "instanceType"}


def _classes(it: Subject, config: Config) -> Iterator[str]:
    given_class = str(inner(it.props, _SIZED[it.type]))
    family, _, size = given_class.removeprefix("db.").partition(".")
    if family not in config.families or size not in config.classes:
        allowed = f"{'/'.join(config.families)} in {'/'.join(config.classes)}"
        yield f"is a {given_class}; allowed are {allowed}"


def _on_demand(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "billingMode") != "PAY_PER_REQUEST":
        yield "is paid for by provisioned capacity (billingMode)"


def _storage_ends(it: Subject, _: Config) -> Iterator[str]:
    if not given(it.props, "maxAllocatedStorage"):
        return
    if (most := inner(it.props, "maxAllocatedStorage")) > 1000:
        yield f"may grow to {most:g} GB by itself (maxAllocatedStorage)"


def _gateways(_: Subject, config: Config) -> Iterator[str]:
    if not config.prod:
        yield "costs more a month than the rest of a dev stack: use network.nat none"


def _lifecycles(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    kind = "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    kept = {it.props["bucket"] for it in of(subjects, kind)}
    for it in of(subjects, "s3/bucket:Bucket"):
        if it.props["bucket"] not in kept:
            yield it, "has no lifecycle: what is in it is kept and paid for, for ever"


RULES = (
    Rule(
        name="class-allowed",
        description="Databases and instances are of a class that was agreed on.",
        severity="medium",
        remediation="Choose a smaller class, or allow it in the pack's configuration (families, classes).",
        controls=CHANGE,
        types=frozenset(_SIZED),
        check=_classes,
    ),
    Rule(
        name="table-on-demand",
        description="Tables are paid for by request.",
        severity="low",
        remediation="Set billingMode to PAY_PER_REQUEST.",
        controls=CHANGE,
        types=frozenset({"aws:dynamodb/table:Table"}),
        mandatory=False,
        check=_on_demand,
    ),
    Rule(
        name="storage-bounded",
        description="Storage that grows by itself stops at a terabyte.",
        severity="low",
        remediation="Set database.maxStorageGb to 1000 or less.",
        controls=CHANGE,
        types=frozenset({"aws:rds/instance:Instance"}),
        mandatory=False,
        check=_storage_ends,
    ),
    Rule(
        name="no-gateway-in-dev",
        description="dev has no NAT gateway.",
        severity="low",
        remediation="Set network.nat to none; IPv6 has a free way out.",
        controls=CHANGE,
        types=frozenset({"aws:ec2/natGateway:NatGateway"}),
        mandatory=False,
        check=_gateways,
    ),
    Rule(
        name="bucket-lifecycle",
        description="Every bucket says when what is in it ends, or moves to a cheaper class.",
        severity="medium",
        remediation="Declare buckets with infra.foundation.bucket.Bucket.",
        controls={**MINIMUM, **CHANGE},
        check_stack=_lifecycles,
    ),
)
