"""Coordinator: the durable function that plans a session, hands out its tasks and writes its report."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import ComponentResource, Output, ResourceOptions

from infra.compute.function import Durability, Function, FunctionArgs
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.messaging.queue import DeadLetterQueue, QueueArgs, allow_redrive
from infra.naming.context import DataClass
from infra.swarm.parts import SwarmParts
from infrafabric.environment import CoordinatorEnvironment

PRINCIPAL = "coordinator"
LONGEST_SESSION_S = 86_400  # the longest deadline_s that the API takes
SLACK_S = 3_600  # to plan before and to report after
HISTORY_DAYS = 14
TIMEOUT_S = 900  # of one invocation: a replay of a big session takes its time
MEMORY_MB = 1024


@dataclass(frozen=True, kw_only=True)
class CoordinatorArgs:
    foundation: Foundation
    swarm: SwarmParts


class Coordinator(ComponentResource):
    """The function, and the queue for sessions that ended without an outcome."""

    alias_arn: Output[str]
    function_name: Output[str]
    dlq: DeadLetterQueue
    function: Function

    def __init__(self, name: str, args: CoordinatorArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:swarm:Coordinator", name, opts=opts)
        child = ResourceOptions(parent=self)
        # Known before the function exists, so that its own role can name it.
        self._arn = args.foundation.context.arn(
            "lambda", f"function:{args.foundation.context.physical_name('coordinator')}"
        )
        dlq = DeadLetterQueue(
            f"{name}-dlq",
            QueueArgs(context=args.foundation.context, label="coordinator-dlq", component="coordinator"),
            child,
        )
        allow_redrive(name, dlq, None, self)
        role = Role(
            name,
            args.foundation.context.tags("coordinator", DataClass.NONE, "coordinator"),
            child,
            service="lambda.amazonaws.com",
        )
        self._grant(role, args, dlq)
        function = Function(name, self._function_args(role, args, dlq), child)
        self.function, self.dlq = function, dlq
        self.alias_arn, self.function_name = function.alias_arn, function.function_name
        self.register_outputs({"alias_arn": self.alias_arn, "function_name": self.function_name, "dlq_url": dlq.url})

    def grant_start(self, role: Role) -> None:
        """Start a session. A durable function is invoked by version or alias."""
        role.allow("StartSession", "lambda:InvokeFunction", on=self.alias_arn)

    def grant_see_executions(self, role: Role) -> None:
        """See whether a session's execution is over."""
        role.allow("SeeExecutions", "lambda:GetDurableExecution", on=self._any_version)

    def grant_complete_callbacks(self, role: Role) -> None:
        """Finish a task that the coordinator waits for, or show that it is alive.

        A callback belongs to an execution, whose ARN extends that of a version, whatever alias was invoked (AWS Lambda
        Developer Guide, "Security and permissions for durable functions").
        """
        role.allow(
            "CompleteCallbacks",
            "lambda:SendDurableExecutionCallbackFailure",
            "lambda:SendDurableExecutionCallbackHeartbeat",
            "lambda:SendDurableExecutionCallbackSuccess",
            on=self._any_version,
        )

    @property
    def _any_version(self) -> Output[str]:
        return Output.concat(self._arn, ":*")

    def _grant(self, role: Role, args: CoordinatorArgs, dlq: DeadLetterQueue) -> None:
        role.allow(
            "Checkpoint",
            "lambda:CheckpointDurableExecution",
            "lambda:GetDurableExecutionState",
            on=self._any_version,
        )
        # A big session is split into child executions, because replaying one is quadratic in its operations.
        role.allow("StartChildren", "lambda:InvokeFunction", on=self._any_version)
        dlq.grant_send(role)
        args.swarm.bus.grant_publish(role)
        args.foundation.keys.grant_sign(role, PRINCIPAL)
        args.swarm.model.grant_invoke(role, args.swarm.model.coordinator_id)
        args.swarm.sessions.grant_coordinate(role)
        args.foundation.storage.grant_read_registry(role)
        args.foundation.storage.grant_read_results(role)
        args.foundation.storage.grant_write_report(role)
        args.foundation.storage.grant_store_claims(role)
        if args.swarm.recorder:
            args.swarm.recorder.grant_record(role)

    def _function_args(self, role: Role, args: CoordinatorArgs, dlq: DeadLetterQueue) -> FunctionArgs:
        environment = CoordinatorEnvironment.render(
            **args.swarm.model.environment(args.swarm.model.coordinator_id),
            agents=args.swarm.fleet.size,
            at_once=args.swarm.fleet.batch_size * args.swarm.fleet.max_concurrency,
            signing_key_arn=args.foundation.keys.signing_arns[PRINCIPAL],
            registry_uri=args.foundation.storage.registry_uri,
            topic_arn=args.swarm.bus.topic_arn,
            record_queue_url=args.swarm.record_queue_url,
            results_bucket=args.foundation.storage.results_bucket,
            sessions_table=args.swarm.sessions.table_name,
            heartbeat_timeout_s=args.swarm.fleet.heartbeat_timeout_s,
            reassignments=args.swarm.fleet.reassignments,
        )
        return FunctionArgs(
            foundation=args.foundation,
            role=role,
            label="coordinator",
            component="coordinator",
            handler="lambdas.coordinator.handler.handler",
            environment=environment,
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            durability=Durability(execution_timeout_s=LONGEST_SESSION_S + SLACK_S, retention_days=HISTORY_DAYS),
            dead_letter_arn=dlq.arn,
        )
