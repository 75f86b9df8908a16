"""Logs and audit trails: existence, retention, and tracing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import AUDIT, INTEGRITY, MINIMUM
from policy.rule import Rule, Subject, Violation, is_set, of_type

_GROUP = frozenset({"aws:cloudwatch/logGroup:LogGroup"})


def _retention(resource: Subject, _: Config) -> Iterator[str]:
    if not resource.value("retentionInDays"):
        yield "keeps logs without end (retentionInDays)"


def _min_retention(resource: Subject, config: Config) -> Iterator[str]:
    days = resource.value("retentionInDays") or 0
    if 0 < days < config.least_log_days:
        yield f"keeps logs for {days:g} days; the minimum is {config.least_log_days}"


def _trail(resource: Subject, _: Config) -> Iterator[str]:
    for switch in ("enableLogFileValidation", "isMultiRegionTrail"):
        if resource.value(switch) is not True:
            yield f"has no {switch}"
    if resource.value("enableLogging") is False:
        yield "is disabled (enableLogging)"


def _api_access_log(resource: Subject, _: Config) -> Iterator[str]:
    if not resource.has("accessLogSettings"):
        yield "writes no access log (accessLogSettings)"


def _balancer_access_log(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("accessLogs", "enabled") is not True:
        yield "writes no access log (accessLogs.enabled)"


def _flow_logs(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    logged = {resource.props["vpcId"] for resource in of_type(subjects, "ec2/flowLog:FlowLog") if resource.has("vpcId")}
    for resource in of_type(subjects, "ec2/vpc:Vpc"):
        if resource.props["id"] not in logged:
            yield resource, "has no flow log"


def _traced(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("tracingConfig", "mode") != "Active":
        yield "is not traced (tracingConfig.mode)"


def _own_group(resource: Subject, _: Config) -> Iterator[str]:
    if not resource.value("loggingConfig") or not is_set(resource.props["loggingConfig"], "logGroup"):
        yield "has a log group from Lambda, without retention and KMS key (loggingConfig.logGroup)"


RULES = (
    Rule(
        name="logs-end",
        description="Every log group has a retention period.",
        severity="medium",
        remediation="Set retentionInDays.",
        controls=MINIMUM,
        types=_GROUP,
        check=_retention,
    ),
    Rule(
        name="logs-last",
        description="In prod, logs are kept for 365 days or more (leastLogDays).",
        severity="medium",
        remediation="Set fleet.logRetentionDays to 365 or more.",
        controls=AUDIT,
        types=_GROUP,
        prod_only=True,
        check=_min_retention,
    ),
    Rule(
        name="trail-whole",
        description="CloudTrail trails are enabled, cover all Regions, and validate log files.",
        severity="high",
        remediation="Set enableLogFileValidation and isMultiRegionTrail to true; remove enableLogging.",
        controls=AUDIT,
        types=frozenset({"aws:cloudtrail/trail:Trail"}),
        check=_trail,
    ),
    Rule(
        name="api-logged",
        description="API stages write an access log.",
        severity="medium",
        remediation="Set the stage's accessLogSettings.",
        controls=AUDIT,
        types=frozenset({"aws:apigateway/stage:Stage"}),
        check=_api_access_log,
    ),
    Rule(
        name="balancer-logged",
        description="Load balancers write an access log.",
        severity="medium",
        remediation="Set accessLogs to the stack's log bucket, with enabled true.",
        controls=AUDIT,
        types=frozenset({"aws:lb/loadBalancer:LoadBalancer"}),
        check=_balancer_access_log,
    ),
    Rule(
        name="flows-logged",
        description="Every VPC has a flow log.",
        severity="medium",
        remediation="Declare infra.network.flow_logs.FlowLogs for the network.",
        controls=AUDIT,
        check_stack=_flow_logs,
    ),
    Rule(
        name="function-log-group",
        description="Functions write to a log group that the stack declares.",
        severity="medium",
        remediation="Declare functions with infra.compute.function.Function.",
        controls={**AUDIT, **MINIMUM},
        types=frozenset({"aws:lambda/function:Function"}),
        check=_own_group,
    ),
    Rule(
        name="function-traced",
        description="Functions have X-Ray tracing.",
        severity="low",
        remediation="Set tracingConfig.mode to Active.",
        controls=INTEGRITY,
        types=frozenset({"aws:lambda/function:Function"}),
        mandatory=False,
        check=_traced,
    ),
)
