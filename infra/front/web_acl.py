"""WebAcl: what is refused before it reaches anything of ours; one for CloudFront, one for what stands in the region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.foundation.foundation import Foundation
from infra.iam import policies
from infra.naming.context import DataClass

# Rules of the common set that look into bodies. Goals and findings are prose that may quote a URL, a path or markup,
# and are larger than 8 kB: these count, and do not block.
_BODY_RULES = (
    "CrossSiteScripting_BODY",
    "EC2MetaDataSSRF_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "SizeRestrictions_BODY",
)
# By AWS, in the order of their capacity: what is cheap to tell is told first.
_MANAGED: Mapping[str, Sequence[str]] = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": (),
    "AWSManagedRulesCommonRuleSet": _BODY_RULES,
}
WINDOW_S = 300
FORWARDED = "X-Forwarded-For"  # CloudFront says here for whom it asks
_Statement = dict[str, Any]  # of a rule


@dataclass(frozen=True, kw_only=True)
class WebAclArgs:
    foundation: Foundation
    label: str  # edge, region
    scope: Literal["CLOUDFRONT", "REGIONAL"]
    rate_limit_per_ip: int  # requests in five minutes
    behind_cloudfront: bool = False  # then an address is what CloudFront says, or all of its visitors were one


class WebAcl(ComponentResource):
    """A rate limit and AWS's managed rules, with a log of what they matched."""

    arn: Output[str]

    def __init__(self, name: str, args: WebAclArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:WebAcl", name, opts=opts)
        self._name, self._args = name, args
        context = args.foundation.context
        self._region = "us-east-1" if args.scope == "CLOUDFRONT" else None  # CloudFront's are made there alone
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
        """Stand before a load balancer or a stage; a distribution names its ACL itself."""
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
        """By the address that CloudFront says. WAF leaves out what does not have the header at all."""
        forwarded = {"header_name": FORWARDED, "fallback_behavior": "MATCH"}
        return self._limit("rate", {"aggregate_key_type": "FORWARDED_IP", "forwarded_ip_config": forwarded})

    def _direct_limit(self) -> _Statement:
        """Who comes past CloudFront, as clients of the API do: nobody has put the header there for them."""
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
            name=f"aws-waf-logs-{foundation.context.physical_name(self._args.label)}",  # WAF takes no other prefix
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
