"""Durable function that plans a session, distributes the tasks and writes the report."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.compute.function import Durability, Function, FunctionArgs
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.messaging.queue import DeadLetterQueue, QueueArgs, allow_redrive
from infra.naming.context import DataClass
from infra.swarm.lease_table import grant_read_breakers, label_of
from infra.swarm.parts import SwarmParts
from infrafabric.environment import CoordinatorEnvironment

LONGEST_SESSION_S = 86_400  # the longest deadline_s that the API accepts
SLACK_S = 3_600  # for planning before and reporting after the tasks
HISTORY_DAYS = 14
TIMEOUT_S = 900  # per invocation; the replay of a large session is slow
MEMORY_MB = 1024


@dataclass(frozen=True, kw_only=True)
class CoordinatorArgs:
    foundation: Foundation
    swarm: SwarmParts


class Coordinator(ComponentResource):
    """Durable Lambda function that runs sessions, and the DLQ for sessions that ended without an outcome."""

    alias_arn: Output[str]
    function_name: Output[str]
    dlq: DeadLetterQueue
    function: Function

    def __init__(self, name: str, args: CoordinatorArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:swarm:Coordinator", name, opts=opts)
        child = ResourceOptions(parent=self)
        # Computed before the function exists, so that the function's own role can name the ARN.
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
        """Grant starting a session; a durable function is invoked by version or alias."""
        role.allow("StartSession", "lambda:InvokeFunction", on=self.alias_arn)

    def grant_see_executions(self, role: Role) -> None:
        """Grant reading the state of a session's execution."""
        role.allow("SeeExecutions", "lambda:GetDurableExecution", on=self._any_version)

    def grant_wake(self, role: Role) -> None:
        """Grant ending the waiting of a session's executions, for a session that a client cancels."""
        role.allow("WakeSession", "lambda:SendDurableExecutionCallbackSuccess", on=self._any_version)

    def grant_complete_callbacks(self, role: Role) -> None:
        """Grant completing a task's callback, and sending heartbeats.

        A callback belongs to an execution. The execution's ARN extends the ARN of a version, even if an alias was
        invoked (AWS Lambda Developer Guide, "Security and permissions for durable functions").
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
        # A large session is split into child executions, because the time of a replay is quadratic in its operations.
        role.allow("StartChildren", "lambda:InvokeFunction", on=self._any_version)
        dlq.grant_send(role)
        args.swarm.bus.grant_publish(role)
        args.foundation.keys.grant_sign(role, settings.COORDINATOR)
        args.swarm.model.grant_invoke(role, args.swarm.model.coordinator_id)
        args.swarm.sessions.grant_coordinate(role)
        grant_read_breakers(role, args.foundation.context)
        args.foundation.storage.grant_read_registry(role)
        args.foundation.storage.grant_read_results(role)
        args.foundation.storage.grant_write_session(role)
        args.foundation.storage.grant_store_claims(role)
        if args.swarm.recorder:
            args.swarm.recorder.grant_record(role)

    def _function_args(self, role: Role, args: CoordinatorArgs, dlq: DeadLetterQueue) -> FunctionArgs:
        environment = CoordinatorEnvironment.render(
            # The prices of the agents' model bound the allowances of tasks.
            **args.swarm.model.environment(args.swarm.model.coordinator_id, args.swarm.model.agent_id),
            **args.foundation.keys.signing_variables(settings.COORDINATOR),
            stack=args.foundation.context.stack,
            agents=args.swarm.fleet.size,
            at_once=args.swarm.fleet.batch_size * args.swarm.fleet.max_concurrency,
            registry_uri=args.foundation.storage.registry_uri,
            topic_arn=args.swarm.bus.topic_arn,
            record_queue_url=args.swarm.record_queue_url,
            results_bucket=args.foundation.storage.results_bucket,
            sessions_table=args.swarm.sessions.table_name,
            leases_tables=args.foundation.context.physical_name(label_of("{agent}")),
            agent_model_id=args.swarm.model.agent_id,
            agent_max_tokens=args.swarm.model.agent_max_tokens,
            max_tokens=args.swarm.model.coordinator_max_tokens,
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
