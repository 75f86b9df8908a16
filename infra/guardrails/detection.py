"""GuardDuty and Security Hub, each once per account and region."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, CustomTimeouts, ResourceOptions

from infra import settings
from infra.messaging.alerts import Alerts
from infra.naming.context import DataClass, StackContext

HIGH = 7.0  # lowest GuardDuty severity that needs an immediate reaction
STANDARD = "aws-foundational-security-best-practices/v/1.0.0"


@dataclass(frozen=True, kw_only=True)
class DetectionArgs:
    context: StackContext
    alerts: Alerts | None
    guardrails: settings.GuardrailsSettings


class Detection(ComponentResource):
    """GuardDuty detector and Security Hub; findings of high severity go to the alert topic."""

    def __init__(self, name: str, args: DetectionArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:Detection", name, opts=opts)
        self._name, self._args = name, args
        if args.guardrails.guard_duty:
            self._guard_duty()
        if args.guardrails.security_hub:
            self._security_hub()
        self.register_outputs({})

    def _guard_duty(self) -> None:
        context = self._args.context
        aws.guardduty.Detector(
            f"{self._name}-detector",
            enable=True,
            finding_publishing_frequency="FIFTEEN_MINUTES",
            tags=context.tags("guardrails", DataClass.INTERNAL, "detector"),
            opts=ResourceOptions(parent=self),
        )
        high = {"severity": [{"numeric": [">=", HIGH]}]}
        self._notify("threats", {"source": ["aws.guardduty"], "detail-type": ["GuardDuty Finding"], "detail": high})

    def _security_hub(self) -> None:
        context = self._args.context
        hub = aws.securityhub.Account(
            f"{self._name}-hub",
            # The default standards include CIS, whose controls overlap with our other guardrails.
            enable_default_standards=False,
            control_finding_generator="SECURITY_CONTROL",
            auto_enable_controls=True,
            opts=ResourceOptions(parent=self),
        )
        aws.securityhub.StandardsSubscription(
            f"{self._name}-standard",
            standards_arn=f"arn:{context.partition}:securityhub:{context.region}::standards/{STANDARD}",
            opts=ResourceOptions(
                parent=self,
                depends_on=[hub],
                # The provider's three minutes are too short for hundreds of controls: terraform-provider-aws#42688.
                custom_timeouts=CustomTimeouts(create="20m", delete="20m"),
            ),
        )

    def _notify(self, label: str, pattern: Mapping[str, Any]) -> None:
        context, alerts = self._args.context, self._args.alerts
        if alerts is None:
            return
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-{label}",
            name=context.physical_name(label),
            description=f"Findings of severity {HIGH:g} and above, to the alert topic",
            event_pattern=json.dumps(pattern, sort_keys=True),
            state="ENABLED",
            tags=context.tags("guardrails", DataClass.NONE, label),
            opts=ResourceOptions(parent=self),
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-{label}-target",
            rule=rule.name,
            target_id="alerts",
            arn=alerts.topic_arn,
            opts=ResourceOptions(parent=self, depends_on=[alerts.resource_policy]),
        )
