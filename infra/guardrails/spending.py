"""Budget and cost anomaly detection of the stack."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra import settings
from infra.messaging.alerts import Alerts
from infra.naming.context import PROJECT, DataClass, StackContext


@dataclass(frozen=True, kw_only=True)
class SpendingArgs:
    context: StackContext
    alerts: Alerts
    budget: settings.BudgetSettings
    guardrails: settings.GuardrailsSettings  # switches, and the anomaly's minimum size


class Spending(ComponentResource):
    """Monthly budget and cost anomaly detection, both with alerts.

    The budget, and a monitor by cost center, filter by cost allocation tags, which the management account must
    activate first (docs/guardrails.md).
    """

    def __init__(self, name: str, args: SpendingArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:Spending", name, opts=opts)
        self._name, self._args = name, args
        if args.guardrails.budgets:
            self._budget()
        if args.guardrails.anomaly_detection:
            self._anomalies()
        self.register_outputs({})

    def _budget(self) -> None:
        args, context = self._args, self._args.context
        tags = {"Project": PROJECT, "Environment": context.environment}
        aws.budgets.Budget(
            f"{self._name}-budget",
            name=context.physical_name("monthly"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{args.budget.monthly_usd:.2f}",
            limit_unit="USD",
            metrics="UnblendedCost",
            # A cost filter matches either tag; the expression requires both tags.
            filter_expression={
                "ands": [
                    {"tags": {"key": key, "values": [value], "match_options": ["EQUALS"]}}
                    for key, value in tags.items()
                ]
            },
            notifications=[
                self._notice("ACTUAL", args.budget.alert_threshold_usd, "ABSOLUTE_VALUE"),
                self._notice("ACTUAL", 100, "PERCENTAGE"),
                self._notice("FORECASTED", 100, "PERCENTAGE"),
            ],
            tags=context.tags("guardrails", DataClass.NONE, "monthly"),
            opts=ResourceOptions(parent=self, depends_on=[args.alerts.resource_policy]),
        )

    def _notice(self, kind: str, threshold: float, unit: str) -> Any:
        return {
            "notification_type": kind,
            "comparison_operator": "GREATER_THAN",
            "threshold": threshold,
            "threshold_type": unit,
            "subscriber_sns_topic_arns": [self._args.alerts.topic_arn],
        }

    def _anomalies(self) -> None:
        args, context = self._args, self._args.context
        monitor = self._service_monitor() if args.guardrails.anomaly_monitor == "service" else self._tag_monitor()
        aws.costexplorer.AnomalySubscription(
            f"{self._name}-anomalies",
            name=context.physical_name("costs"),
            frequency="IMMEDIATE",  # the only frequency for a topic
            monitor_arn_lists=[monitor.arn],
            subscribers=[{"type": "SNS", "address": args.alerts.topic_arn}],
            threshold_expression={
                "ands": [
                    _impact("ANOMALY_TOTAL_IMPACT_PERCENTAGE", args.guardrails.anomaly_percent),
                    _impact("ANOMALY_TOTAL_IMPACT_ABSOLUTE", args.guardrails.anomaly_usd),
                ]
            },
            tags=context.tags("guardrails", DataClass.NONE, "costs"),
            opts=ResourceOptions(parent=self, depends_on=[args.alerts.resource_policy]),
        )

    def _service_monitor(self) -> aws.costexplorer.AnomalyMonitor:
        """Monitor each AWS service of the account; an account may have one such monitor."""
        context = self._args.context
        return aws.costexplorer.AnomalyMonitor(
            f"{self._name}-monitor",
            name=f"{context.physical_name('costs')}-services",
            monitor_type="DIMENSIONAL",
            monitor_dimension="SERVICE",
            tags=context.tags("guardrails", DataClass.NONE, "costs"),
            opts=ResourceOptions(parent=self),
        )

    def _tag_monitor(self) -> aws.costexplorer.AnomalyMonitor:
        """Monitor the costs with the stack's cost center; only a management account may create such a monitor."""
        context = self._args.context
        # A monitor filters by one tag, and of our tags only the cost center distinguishes stacks.
        tags = {"Key": "CostCenter", "MatchOptions": None, "Values": [context.cost_center]}
        unused = dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))  # in the form that AWS returns
        return aws.costexplorer.AnomalyMonitor(
            f"{self._name}-monitor",
            # A changed cost center replaces the monitor. With the same name the old monitor would have to be deleted
            # first, but the subscription still refers to the old monitor.
            name=f"{context.physical_name('costs')}-{context.cost_center}",
            monitor_type="CUSTOM",
            monitor_specification=json.dumps({**unused, "Tags": tags}, sort_keys=True),
            tags=context.tags("guardrails", DataClass.NONE, "costs"),
            opts=ResourceOptions(parent=self),
        )


def _impact(kind: str, least: int) -> Any:
    return {"dimension": {"key": kind, "match_options": ["GREATER_THAN_OR_EQUAL"], "values": [str(least)]}}
