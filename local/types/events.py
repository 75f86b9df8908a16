"""EventBridge: rules and targets."""

from __future__ import annotations

from local.types.arguments import arguments
from local.types.definition import PutResource, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:cloudwatch/eventRule:EventRule", replaced_by=("name", "namePrefix"))
class EventRule(PutResource):
    """Rule of EventBridge."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        response = request.client("events").put_rule(
            Name=name,
            Tags=request.tag_list(),
            **arguments(
                request.inputs,
                ScheduleExpression="scheduleExpression",
                EventPattern="eventPattern",
                State="state",
                Description="description",
            ),
        )
        return CreatedResource(name, {"arn": response["RuleArn"], "name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("events").delete_rule(Name=resource.id)


@resource("aws:cloudwatch/eventTarget:EventTarget", replaced_by=("rule", "targetId"))
class EventTarget(PutResource):
    """Target of an EventBridge rule."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        target = {"Id": request.inputs["targetId"], **arguments(request.inputs, Arn="arn", Input="input")}
        if request.inputs.get("retryPolicy"):
            retry = request.inputs["retryPolicy"]
            target["RetryPolicy"] = arguments(
                retry, MaximumEventAgeInSeconds="maximumEventAgeInSeconds", MaximumRetryAttempts="maximumRetryAttempts"
            )
        request.client("events").put_targets(Rule=request.inputs["rule"], Targets=[target])
        return CreatedResource(f"{request.inputs['rule']}-{request.inputs['targetId']}")

    def remove(self, resource: ExistingResource) -> None:
        resource.client("events").remove_targets(Rule=resource.inputs["rule"], Ids=[resource.inputs["targetId"]])
