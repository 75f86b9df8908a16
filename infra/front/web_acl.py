"""AWS WAF web ACL: one for CloudFront, one for the API and the load balancer of the region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.foundation.foundation import Foundation
from infra.iam import policies
from infra.naming.context import DataClass

# AWS managed rule groups, cheapest capacity first, each with its body rules, which only count here. Goals, tasks and
# findings are prose that may quote a URL, a path, markup or an exploit such as ${jndi:…}, and may exceed 8 kB, so
# blocking would refuse valid requests. Rules on addresses, headers, paths and queries block.
# Names: AWS WAF Developer Guide, "Baseline rule groups".
_MANAGED: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": ("JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY"),
    "AWSManagedRulesCommonRuleSet": (
        "CrossSiteScripting_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "SizeRestrictions_BODY",
    ),
}
WINDOW_S = 300
FORWARDED = "X-Forwarded-For"  # CloudFront puts the visitor's address here
_Statement = dict[str, Any]  # WAF rule, or part of a rule


@dataclass(frozen=True, kw_only=True)
class WebAclArgs:
    foundation: Foundation
    label: str  # edge, region
    scope: Literal["CLOUDFRONT", "REGIONAL"]
    rate_limit_per_ip: int  # requests in five minutes
    behind_cloudfront: bool = False  # count visitors by the forwarded address, not by CloudFront's


class WebAcl(ComponentResource):
    """WAF web ACL with a rate limit, AWS managed rules, and a log of matched requests."""

    arn: Output[str]

    def __init__(self, name: str, args: WebAclArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:WebAcl", name, opts=opts)
        self._name, self._args = name, args
        context = args.foundation.context
        # AWS keeps CloudFront's web ACLs in us-east-1.
        self._region = "us-east-1" if args.scope == "CLOUDFRONT" else None
        acl = aws.wafv2.WebAcl(
            f"{name}-acl",
            name=context.physical_name(args.label),
            description=f"InfraFabric {context.stack}",
            scope=args.scope,
            default_action={"allow": {}},
            rules=self._rules(),
            visibility_config=self._visibility(context.physical_name(args.label)),
            region=self._region,
            tags=self._tags(),
            opts=ResourceOptions(parent=self),
        )
        self.arn = acl.arn
        self._log()
        self.register_outputs({"arn": self.arn})

    def protect(self, name: str, resource_arn: Input[str], parent: Resource) -> None:
        """Associate the web ACL with a load balancer or an API stage; a distribution names its web ACL itself."""
        aws.wafv2.WebAclAssociation(
            name,
            resource_arn=resource_arn,
            web_acl_arn=self.arn,
            opts=ResourceOptions(parent=parent, delete_before_replace=True),
        )

    def _rules(self) -> list[Any]:
        limits = (
            [self._forwarded_limit(), self._direct_limit()]
            if self._args.behind_cloudfront
            else [self._limit("rate", {})]
        )
        managed = [self._managed(group, counted) for group, counted in _MANAGED.items()]
        return [{**rule, "priority": priority} for priority, rule in enumerate([*limits, *managed])]

    def _forwarded_limit(self) -> _Statement:
        """Return the rate limit by forwarded address; WAF ignores requests without the header."""
        forwarded = {"header_name": FORWARDED, "fallback_behavior": "MATCH"}
        return self._limit("rate", {"aggregate_key_type": "FORWARDED_IP", "forwarded_ip_config": forwarded})

    def _direct_limit(self) -> _Statement:
        """Return the rate limit for requests without the header: API clients that bypass CloudFront."""
        has_header: _Statement = {
            "field_to_match": {"single_header": {"name": FORWARDED.lower()}},
            "comparison_operator": "GT",
            "size": 0,
            "text_transformations": [{"priority": 0, "type": "NONE"}],
        }
        lacks_header = {"not_statement": {"statement": {"size_constraint_statement": has_header}}}
        return self._limit("rate-direct", {"scope_down_statement": lacks_header})

    def _limit(self, name: str, options: _Statement) -> _Statement:
        limit = {"limit": self._args.rate_limit_per_ip, "aggregate_key_type": "IP", "evaluation_window_sec": WINDOW_S}
        return {
            "name": name,
            "action": {"block": {}},
            "statement": {"rate_based_statement": {**limit, **options}},
            "visibility_config": self._visibility(name),
        }

    def _managed(self, group: str, counted: Sequence[str]) -> _Statement:
        statement: _Statement = {"name": group, "vendor_name": "AWS"}
        if counted:
            statement["rule_action_overrides"] = [{"name": rule, "action_to_use": {"count": {}}} for rule in counted]
        return {
            "name": group,
            "override_action": {"none": {}},
            "statement": {"managed_rule_group_statement": statement},
            "visibility_config": self._visibility(group),
        }

    def _visibility(self, metric: str) -> Any:
        return {"cloudwatch_metrics_enabled": True, "metric_name": metric, "sampled_requests_enabled": True}

    def _log(self) -> None:
        foundation, child = self._args.foundation, ResourceOptions(parent=self)
        group = aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            name=f"aws-waf-logs-{foundation.context.physical_name(self._args.label)}",  # WAF requires this prefix
            retention_in_days=foundation.log_retention_days,
            kms_key_id=foundation.keys.data_arn_in(self._region or foundation.context.region),
            region=self._region,
            tags=self._tags(),
            opts=child,
        )
        allowed = aws.cloudwatch.LogResourcePolicy(
            f"{self._name}-logs-policy",
            policy_name=foundation.context.physical_name(f"waf-{self._args.label}"),
            policy_document=policies.document(self._delivery(group)),
            region=self._region,
            opts=child,
        )
        aws.wafv2.WebAclLoggingConfiguration(
            f"{self._name}-logging",
            resource_arn=self.arn,
            log_destination_configs=[group.arn],
            redacted_fields=[
                {"single_header": {"name": header}} for header in ("authorization", "cookie", "x-api-key")
            ],
            region=self._region,
            opts=ResourceOptions(parent=self, depends_on=[allowed], delete_before_replace=True),
        )

    def _delivery(self, group: aws.cloudwatch.LogGroup) -> policies.Statement:
        context = self._args.foundation.context
        region = self._region or context.region
        log_groups = context.account_id.apply(lambda account: f"arn:{context.partition}:logs:{region}:{account}:*")
        return {
            "Sid": "LogsOfOurAcl",
            "Effect": "Allow",
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": Output.concat(group.arn, ":*"),
            "Condition": {
                "StringEquals": {"aws:SourceAccount": context.account_id},
                "ArnLike": {"aws:SourceArn": log_groups},
            },
        }

    def _tags(self) -> dict[str, str]:
        return self._args.foundation.context.tags("front", DataClass.INTERNAL, self._args.label)
