"""HTTP API: the function that starts, shows, lists and cancels sessions, behind API Gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from infra import settings
from infra.api.clients import ClientKeys, ClientKeysArgs, PrimaryKeys
from infra.api.gateway import Gateway, GatewayArgs
from infra.compute.function import Function, FunctionArgs
from infra.foundation.foundation import Foundation
from infra.iam import policies
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infra.settings.api import CURRENT
from infra.swarm.coordinator import Coordinator
from infra.swarm.parts import SwarmParts
from infrafabric.environment import ApiEnvironment, SpendLimits

TIMEOUT_S = 29  # API Gateway's longest integration timeout
MEMORY_MB = 512


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    foundation: Foundation
    swarm: SwarmParts
    coordinator: Coordinator
    settings: settings.ApiSettings
    peer_region: str | None = None  # region of the primary or of the standby
    primary_keys: Output[PrimaryKeys] | None = None  # standby only: the primary's API keys, a secret, reused here


class Api(ComponentResource):
    """Lambda function of the HTTP API, the API Gateway in front of the function, and the keys of its clients."""

    url: Output[str]
    api_key: Output[str]  # of the main client; a secret
    api_keys: dict[str, dict[str, Output[str]]]  # client → label → key; secrets
    function: Function
    gateway: Gateway

    def __init__(self, name: str, args: ApiArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:api:Api", name, opts=opts)
        child = ResourceOptions(parent=self)
        tags = args.foundation.context.tags("api", DataClass.NONE, "api")
        role = Role(name, tags, child, service="lambda.amazonaws.com")
        args.coordinator.grant_start(role)
        args.coordinator.grant_wake(role)
        args.swarm.sessions.grant_serve_api(role)
        args.foundation.storage.grant_read_results(role)
        args.swarm.model.grant_describe_api_key(role)
        args.swarm.bus.grant_describe(role)
        args.foundation.keys.grant_describe_signing_key(role, settings.COORDINATOR)
        keys = ClientKeys(
            f"{name}-clients",
            ClientKeysArgs(
                context=args.foundation.context, clients=args.settings.clients, primary_keys=args.primary_keys
            ),
            child,
        )
        function = Function(name, self._function_args(role, args, keys), child)
        gateway = Gateway(
            f"{name}-gateway",
            GatewayArgs(
                foundation=args.foundation,
                function=function,
                settings=args.settings,
                client_keys=keys,
                depends_on=_account_log_role(name, args.foundation.context, self)
                if args.settings.account_log_role
                else (),
            ),
            child,
        )
        self.function, self.gateway = function, gateway
        self.url, self.api_keys = gateway.url, keys.values
        self.api_key = keys.values[args.settings.main_client][CURRENT]
        self.register_outputs({"url": self.url, "api_key": self.api_key})

    def _function_args(self, role: Role, args: ApiArgs, keys: ClientKeys) -> FunctionArgs:
        return FunctionArgs(
            foundation=args.foundation,
            role=role,
            label="api",
            component="api",
            handler="lambdas.api.handler.handler",
            environment=ApiEnvironment.render(
                agents=args.swarm.fleet.size,
                coordinator_arn=args.coordinator.alias_arn,
                coordinator_key_arn=args.foundation.keys.signing[settings.COORDINATOR][0].arn,
                topic_arn=args.swarm.bus.topic_arn,
                results_bucket=args.foundation.storage.results_bucket,
                sessions_table=args.swarm.sessions.table_name,
                model_provider=args.swarm.model.provider,
                model_id=args.swarm.model.agent_id,
                api_key_secret_arn=args.swarm.model.api_key_secret_arn,
                peer_region=args.peer_region,
                clients_by_key_id=keys.clients_by_id,
                client_limits={name: _limits(args.settings.clients[name]) for name in args.settings.clients},
                iam_limits=_limits(args.settings.iam),
            ),
            longest_values={"CLIENTS_BY_KEY_ID": keys.longest_clients_by_id},
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            # A new release accepts new members of a session, so the release's recorder comes first (docs/sessions.md).
            depends_on=[args.swarm.recorder.function] if args.swarm.recorder else (),
        )


def _limits(spend: settings.SpendSettings) -> dict[str, float]:
    return SpendLimits(max_budget_usd=spend.max_budget_usd, daily_cap_usd=spend.daily_cap_usd).model_dump()


def _account_log_role(name: str, context: StackContext, parent: Resource) -> Sequence[Resource]:
    """Declare the role with which API Gateway writes logs.

    An account has one such role per region, so a setting decides which stack owns the role.
    """
    child = ResourceOptions(parent=parent)
    role = aws.iam.Role(
        f"{name}-account-logs",
        name=context.physical_name("apigateway-logs"),
        assume_role_policy=policies.trust_policy("apigateway.amazonaws.com"),
        tags=context.tags("api", DataClass.NONE, "apigateway-logs"),
        opts=child,
    )
    attached = aws.iam.RolePolicyAttachment(
        f"{name}-account-logs-policy",
        role=role.name,
        # AWS managed policy: API Gateway refuses a role with fewer rights; the role serves every API of the account.
        policy_arn=f"arn:{context.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        opts=child,
    )
    # Retained: a deletion would clear the account's setting, and no stage of the account would log any more.
    after = ResourceOptions(parent=parent, depends_on=[attached], retain_on_delete=True)
    return [aws.apigateway.Account(f"{name}-account", cloudwatch_role_arn=role.arn, opts=after)]
