"""Agent fleet: one function per agent, from one package; each has its own role, log group, key and lease table."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra.compute.function import Function, FunctionArgs
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.swarm.coordinator import Coordinator
from infra.swarm.lease_table import LeaseTable, LeaseTableArgs
from infra.swarm.parts import SwarmParts
from infrafabric.environment import AgentEnvironment


@dataclass(frozen=True, kw_only=True)
class AgentFleetArgs:
    foundation: Foundation
    swarm: SwarmParts
    coordinator: Coordinator


class AgentFleet(ComponentResource):
    """Lambda functions h01…hNN, each triggered by the agent's inbox."""

    functions: dict[str, Function]  # by agent

    def __init__(self, name: str, args: AgentFleetArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:swarm:AgentFleet", name, opts=opts)
        self._args = args
        self.functions = {agent: self._agent(f"{name}-{agent}", agent) for agent in args.swarm.fleet.agents}
        names = {agent: function.function_name for agent, function in self.functions.items()}
        self.register_outputs({"function_names": names})

    def _agent(self, name: str, agent: str) -> Function:
        args, child = self._args, ResourceOptions(parent=self)
        tags = args.foundation.context.tags("agents", DataClass.NONE, agent)
        role = Role(name, tags, child, service="lambda.amazonaws.com")
        leases = LeaseTable(
            f"{name}-leases",
            LeaseTableArgs(context=args.foundation.context, keys=args.foundation.keys, agent=agent),
            child,
        )
        self._grant(role, agent, leases)
        function = Function(name, self._function_args(role, agent, leases), child)
        # An agent puts a throttled message back into its own queue until the message's deadline. Lambda takes that for
        # a recursive loop, and would stop the 16th invocation (Lambda Developer Guide, "Use Lambda recursive loop
        # detection to prevent infinite loops").
        may_come_back = aws.lambda_.FunctionRecursionConfig(
            f"{name}-put-back", function_name=function.function_name, recursive_loop="Allow", opts=child
        )
        aws.lambda_.EventSourceMapping(
            f"{name}-inbox",
            event_source_arn=args.swarm.bus.inboxes[agent].arn,
            function_name=function.alias_arn,
            batch_size=args.swarm.fleet.batch_size,
            maximum_batching_window_in_seconds=0,  # a task never waits for further messages
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": args.swarm.fleet.max_concurrency},
            tags=args.foundation.context.tags("agents", DataClass.NONE),
            opts=ResourceOptions(parent=self, depends_on=[may_come_back]),
        )
        return function

    def _grant(self, role: Role, agent: str, leases: LeaseTable) -> None:
        args = self._args
        args.swarm.bus.grant_consume(role, agent)
        args.swarm.bus.grant_put_back(role, agent)
        args.swarm.bus.grant_redeliver(role, agent)
        args.swarm.bus.grant_dead_letter(role, agent)
        args.foundation.keys.grant_sign(role, agent)
        args.swarm.model.grant_invoke(role, args.swarm.model.agent_id)
        leases.grant_lease(role)
        args.foundation.storage.grant_read_registry(role)
        args.foundation.storage.grant_own_agent_results(role, agent)
        args.foundation.storage.grant_fetch_claims(role)
        args.coordinator.grant_complete_callbacks(role)

    def _function_args(self, role: Role, agent: str, leases: LeaseTable) -> FunctionArgs:
        args, inbox = self._args, self._args.swarm.bus.inboxes[agent]
        environment = AgentEnvironment.render(
            **args.swarm.model.environment(args.swarm.model.agent_id),
            **args.foundation.keys.signing_variables(agent),
            stack=args.foundation.context.stack,
            agent=agent,
            registry_uri=args.foundation.storage.registry_uri,
            queue_url=inbox.url,
            dlq_url=inbox.dlq.url,
            results_bucket=args.foundation.storage.results_bucket,
            leases_table=leases.table_name,
            heartbeat_s=args.swarm.fleet.heartbeat_s,
            breaker_s=args.swarm.fleet.breaker_s,
            batch_size=args.swarm.fleet.batch_size,
        )
        return FunctionArgs(
            foundation=args.foundation,
            role=role,
            label=agent,
            component="agents",
            handler="lambdas.agent.handler.handler",
            environment=environment,
            timeout_s=args.swarm.fleet.handler_timeout_s,
            memory_mb=args.swarm.fleet.memory_mb,
            ephemeral_storage_mb=args.swarm.fleet.ephemeral_storage_mb,
            snap_start=args.swarm.fleet.start == "snap-start",
            provisioned=args.swarm.fleet.provisioned if args.swarm.fleet.start == "provisioned" else None,
        )
