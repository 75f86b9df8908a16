"""Watchdog: scheduled function that checks running sessions every ten minutes."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra.compute.function import Function, FunctionArgs
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.messaging.queue import DeadLetterQueue, QueueArgs, allow_redrive
from infra.naming.context import DataClass
from infra.swarm.coordinator import Coordinator
from infra.swarm.sessions import Sessions
from infrafabric.environment import WatchdogEnvironment

EVERY = "rate(10 minutes)"  # period from section 4.3 of the analysis, see docs/origin.md
TIMEOUT_S = 120
MEMORY_MB = 256


@dataclass(frozen=True, kw_only=True)
class WatchdogArgs:
    foundation: Foundation
    coordinator: Coordinator
    sessions: Sessions
    stuck_minutes: int


class Watchdog(ComponentResource):
    """Scheduled function that ends lost sessions, starts unstarted and interrupted ones, and counts stuck sessions."""

    function: Function
    dlq: DeadLetterQueue

    def __init__(self, name: str, args: WatchdogArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Watchdog", name, opts=opts)
        self._name, child, context = name, ResourceOptions(parent=self), args.foundation.context
        self.dlq = DeadLetterQueue(
            f"{name}-dlq", QueueArgs(context=context, label="watchdog-dlq", component="observability"), child
        )
        allow_redrive(name, self.dlq, None, self)
        tags = context.tags("observability", DataClass.NONE, "watchdog")
        role = Role(name, tags, child, service="lambda.amazonaws.com")
        args.sessions.grant_watch(role)
        args.coordinator.grant_start(role)
        args.coordinator.grant_see_executions(role)
        self.dlq.grant_send(role)
        self.function = Function(name, self._function_args(role, args), child)
        self._wake(args)
        self.register_outputs({"function_name": self.function.function_name})

    def _wake(self, args: WatchdogArgs) -> None:
        child, context = ResourceOptions(parent=self), args.foundation.context
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-round",
            name=context.physical_name("watchdog"),
            description="Wakes the watchdog",
            schedule_expression=EVERY,
            state="ENABLED",
            tags=context.tags("observability", DataClass.NONE, "watchdog"),
            opts=child,
        )
        allowed = aws.lambda_.Permission(
            f"{self._name}-wake",
            action="lambda:InvokeFunction",
            function=self.function.function_name,
            qualifier=self.function.alias_name,
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-target",
            rule=rule.name,
            target_id="watchdog",
            arn=self.function.alias_arn,
            # A late round is useless, because the next round checks the same sessions.
            retry_policy={"maximum_event_age_in_seconds": 300, "maximum_retry_attempts": 2},
            opts=ResourceOptions(parent=self, depends_on=[allowed]),
        )

    def _function_args(self, role: Role, args: WatchdogArgs) -> FunctionArgs:
        return FunctionArgs(
            foundation=args.foundation,
            role=role,
            label="watchdog",
            component="observability",
            handler="lambdas.watchdog.handler.handler",
            environment=WatchdogEnvironment.render(
                stack=args.foundation.context.stack,
                coordinator_arn=args.coordinator.alias_arn,
                sessions_table=args.sessions.table_name,
                stuck_minutes=args.stuck_minutes,
            ),
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            dead_letter_arn=self.dlq.arn,
        )
