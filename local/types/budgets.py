"""AWS Budgets: budgets with notifications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.types.arguments import pascal_case
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:budgets/budget:Budget")
class CostBudget(ResourceType):
    """Cost budget with its notifications."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, account = request.physical_name(), request.context.account_id
        request.client("budgets").create_budget(
            AccountId=account,
            Budget={
                "BudgetName": name,
                "BudgetType": request.inputs["budgetType"],
                "TimeUnit": request.inputs["timeUnit"],
                "BudgetLimit": {"Amount": request.inputs["limitAmount"], "Unit": request.inputs["limitUnit"]},
                **_cost_filter(request.inputs),
            },
            NotificationsWithSubscribers=[_notification(n) for n in request.inputs.get("notifications") or []],
        )
        return CreatedResource(
            f"{account}:{name}", {"arn": request.arn("budgets", f"budget/{name}", regional=False), "name": name}
        )

    def remove(self, resource: ExistingResource) -> None:
        account, _, name = resource.id.partition(":")
        resource.client("budgets").delete_budget(AccountId=account, BudgetName=name)


def _cost_filter(inputs: Mapping[str, Any]) -> dict[str, Any]:
    if not inputs.get("metrics"):
        return {}
    return {"FilterExpression": _expression(inputs["filterExpression"]), "Metrics": [inputs["metrics"]]}


def _expression(expression: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cost filter as the API takes it: ``ands`` and ``ors`` become And and Or, other keys PascalCase."""
    lists = {"ands": "And", "ors": "Or"}
    inner = {lists[key]: [_expression(operand) for operand in expression[key]] for key in lists if expression.get(key)}
    return {**inner, **pascal_case({key: value for key, value in expression.items() if key not in lists})}


def _notification(notification: dict[str, Any]) -> dict[str, Any]:
    topics = [{"SubscriptionType": "SNS", "Address": arn} for arn in notification.get("subscriberSnsTopicArns") or []]
    emails = [{"SubscriptionType": "EMAIL", "Address": to} for to in notification.get("subscriberEmailAddresses") or []]
    settings = {
        key: value
        for key, value in notification.items()
        if key not in ("subscriberSnsTopicArns", "subscriberEmailAddresses")
    }
    return {"Notification": pascal_case(settings), "Subscribers": [*topics, *emails]}
