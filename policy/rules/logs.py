"""Who did what is written down, kept long enough to be asked, and no longer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import AUDIT, INTEGRITY, MINIMUM
from policy.rule import Rule, Subject, Violation, given, inner, of

_GROUP = frozenset({"aws:cloudwatch/logGroup:LogGroup"})


def _ends(it: Subject, _: Config) -> Iterator[str]:
    if not inner(it.props, "retentionInDays"):
        yield "keeps its logs for ever (retentionInDays)"


def _lasts(it: Subject, config: Config) -> Iterator[str]:
    days = inner(it.props, "retentionInDays") or 0
    if 0 < days < config.least_log_days:
        yield f"keeps its logs for {days:g} days, less than {config.least_log_days}"


def _trail(it: Subject, _: Config) -> Iterator[str]:
    for switch in ("enableLogFileValidation", "isMultiRegionTrail"):
        if inner(it.props, switch) is not True:
            yield f"has no {switch}"
    if inner(it.props, "enableLogging") is False:
        yield "is switched off (enableLogging)"


def _calls(it: Subject, _: Config) -> Iterator[str]:
    if not given(it.props, "accessLogSettings"):
        yield "writes no access log (accessLogSettings)"


def _requests(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "accessLogs", "enabled") is not True:
        yield "writes no access log (accessLogs.enabled)"


def _flows(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    logged = {it.props["vpcId"] for it in of(subjects, "ec2/flowLog:FlowLog") if given(it.props, "vpcId")}
    for it in of(subjects, "ec2/vpc:Vpc"):
        if it.props["id"] not in logged:
            yield it, "has no flow log"


def _traced(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "tracingConfig", "mode") != "Active":
        yield "is not traced (tracingConfig.mode)"


def _own_group(it: Subject, _: Config) -> Iterator[str]:
    if not inner(it.props, "loggingConfig") or not given(it.props["loggingConfig"], "logGroup"):
        yield "lets Lambda make its log group, without an end or a key (loggingConfig.logGroup)"


RULES = (
    Rule(
        name="logs-end",
        description="Every log group has an end to its logs.",
        severity="medium",
        remediation="Set retentionInDays.",
        controls=MINIMUM,
        types=_GROUP,
        check=_ends,
    ),
    Rule(
        name="logs-last",
        description="In prod logs are kept for a year or more (leastLogDays).",
        severity="medium",
        remediation="Set fleet.logRetentionDays to 365 or more.",
        controls=AUDIT,
        types=_GROUP,
        prod_only=True,
        check=_lasts,
    ),
    Rule(
        name="trail-whole",
        description="A trail is on, covers all regions, and shows whether it was changed.",
        severity="high",
        remediation="Set enableLogFileValidation and isMultiRegionTrail, and leave enableLogging on.",
        controls=AUDIT,
        types=frozenset({"aws:cloudtrail/trail:Trail"}),
        check=_trail,
    ),
    Rule(
        name="api-logged",
        description="The API writes an access log.",
        severity="medium",
        remediation="Set the stage's accessLogSettings.",
        controls=AUDIT,
        types=frozenset({"aws:apigateway/stage:Stage"}),
        check=_calls,
    ),
    Rule(
        name="balancer-logged",
        description="Load balancers write an access log.",
        severity="medium",
        remediation="Set accessLogs with the stack's log bucket.",
        controls=AUDIT,
        types=frozenset({"aws:lb/loadBalancer:LoadBalancer"}),
        check=_requests,
    ),
    Rule(
        name="flows-logged",
        description="Every VPC has a flow log.",
        severity="medium",
        remediation="Declare a FlowLogs component for the network.",
        controls=AUDIT,
        check_stack=_flows,
    ),
    Rule(
        name="function-log-group",
        description="A function writes to a log group of ours.",
        severity="medium",
        remediation="Declare functions with infra.compute.function.",
        controls={**AUDIT, **MINIMUM},
        types=frozenset({"aws:lambda/function:Function"}),
        check=_own_group,
    ),
    Rule(
        name="function-traced",
        description="Functions are traced.",
        severity="low",
        remediation="Set tracingConfig.mode to Active.",
        controls=INTEGRITY,
        types=frozenset({"aws:lambda/function:Function"}),
        mandatory=False,
        check=_traced,
    ),
)
