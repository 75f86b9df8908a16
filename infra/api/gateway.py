"""API Gateway in front of the api function: an API key at the root, SigV4 below /iam and, for operators, /operator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import pulumi_aws as aws
from pulumi import Alias, ComponentResource, Output, Resource, ResourceOptions

from infra import settings
from infra.api import definition
from infra.api.clients import ClientKeys
from infra.api.definition import HEALTH_BURST, HEALTH_PATH, HEALTH_RATE, PROBLEM_HEADERS, REFUSALS, ROUTES, STAGE
from infra.compute.function import Function
from infra.foundation.foundation import Foundation
from infra.naming.context import DataClass
from infra.settings.api import CURRENT, DEFAULT_CLIENT
from infrafabric.api.paths import IAM_PATH, OPERATOR_PATH

P = ParamSpec("P")
R = TypeVar("R", bound=Resource)

# At least TLS 1.2 with forward secrecy, and hybrid post-quantum key exchange if the client can. Default: TLS 1.0.
TLS_POLICY = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    foundation: Foundation
    function: Function
    settings: settings.ApiSettings
    client_keys: ClientKeys
    depends_on: Sequence[Resource]  # the account's logging role, if this stack owns the role


@dataclass(frozen=True)
class _Entrance:
    """Root of the routes for one kind of caller.

    A method requires an API key or a signature, never one of the two at choice, so the routes exist once per
    authorization; and operators have paths of their own, so that IAM grants them apart from a caller's own sessions.
    """

    name: str
    parent_id: Output[str]
    api_key: bool = False
    methods: frozenset[str] = frozenset({"DELETE", "GET", "POST"})

    @property
    def authorization(self) -> str:
        return "NONE" if self.api_key else "AWS_IAM"


class Gateway(ComponentResource):
    """REST API with its stage, access logs, and a usage plan per client."""

    url: Output[str]
    api_name: Output[str]
    rest_api_id: Output[str]
    stage_name: Output[str]
    stage_arn: Output[str]

    def __init__(self, name: str, args: GatewayArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:api:Gateway", name, opts=opts)
        self._name, self._args = name, args
        self._child = ResourceOptions(parent=self)
        self._declared: list[tuple[str, Mapping[str, Any]]] = []
        self._rest = aws.apigateway.RestApi(
            f"{name}-rest",
            name=args.foundation.context.physical_name("api"),
            description="InfraFabric sessions",
            endpoint_configuration={"types": "REGIONAL"},
            endpoint_access_mode="STRICT",
            security_policy=TLS_POLICY,
            tags=self._tags("api"),
            opts=self._child,
        )
        self._validation = self._body_validation()
        children = [*self._methods(), *self._health_route(), *self._gateway_responses()]
        deployment = aws.apigateway.Deployment(
            f"{name}-deployment",
            rest_api=self._rest.id,
            triggers={"definition": definition.digest(self._declared)},
            opts=ResourceOptions(parent=self, depends_on=children),
        )
        self._allow_invocation()
        stage = self._stage(deployment)
        for client in sorted(args.settings.clients):
            self._usage_plan(stage, client)
        self.url = stage.invoke_url
        self.api_name, self.rest_api_id = self._rest.name, self._rest.id
        self.stage_name, self.stage_arn = stage.stage_name, stage.arn
        self.register_outputs({"url": self.url})

    def _snapshot_resource(self, resource: Callable[P, R], *args: P.args, **inputs: P.kwargs) -> R:
        """Declare a resource that belongs to the deployment's snapshot, and record its inputs for the digest."""
        plain = {key: value for key, value in inputs.items() if key != "opts"}
        self._declared.append((str(args[0]), plain))
        return resource(*args, **inputs)

    def _methods(self) -> list[Resource]:
        iam_root = self._resource("iam", self._rest.root_resource_id, IAM_PATH.strip("/"))
        operator_root = self._resource("operator", self._rest.root_resource_id, OPERATOR_PATH.strip("/"))
        entrances = [
            _Entrance("key", self._rest.root_resource_id, api_key=True),
            _Entrance("iam", iam_root.id),
            _Entrance("operator", operator_root.id, methods=frozenset({"DELETE", "GET"})),
        ]
        resources: list[Resource] = []
        for entrance in entrances:
            parent_id = entrance.parent_id
            for route in ROUTES:  # each path extends the previous path
                resource = self._resource(f"{entrance.name}-{route.name}", parent_id, route.path[-1])
                parent_id = resource.id
                for verb in sorted(entrance.methods.intersection(route.methods)):
                    resources += self._method(
                        f"{entrance.name}-{route.name}", entrance, resource, verb, self._validation
                    )
        return resources

    def _body_validation(self) -> tuple[Output[str], Output[str]]:
        """Declare model and validator of request bodies; return the model's name and the validator's id."""
        model = self._snapshot_resource(
            aws.apigateway.Model,
            f"{self._name}-new-session",
            rest_api=self._rest.id,
            name="NewSession",
            content_type="application/json",
            schema=json.dumps(definition.NEW_SESSION),
            opts=self._child,
        )
        validator = self._snapshot_resource(
            aws.apigateway.RequestValidator,
            f"{self._name}-validator",
            rest_api=self._rest.id,
            name="body",
            validate_request_body=True,
            validate_request_parameters=True,
            opts=self._child,
        )
        return model.name, validator.id

    def _resource(self, label: str, parent_id: Output[str], path_part: str) -> aws.apigateway.Resource:
        return self._snapshot_resource(
            aws.apigateway.Resource,
            f"{self._name}-{label}",
            rest_api=self._rest.id,
            parent_id=parent_id,
            path_part=path_part,
            opts=self._child,
        )

    def _method(
        self,
        label: str,
        entrance: _Entrance,
        resource: aws.apigateway.Resource,
        verb: str,
        validation: tuple[Output[str], Output[str]],
    ) -> list[Resource]:
        model_name, validator_id = validation
        has_body = verb == "POST"
        name = f"{self._name}-{label}-{verb.lower()}"
        method = self._snapshot_resource(
            aws.apigateway.Method,
            name,
            rest_api=self._rest.id,
            resource_id=resource.id,
            http_method=verb,
            authorization=entrance.authorization,
            api_key_required=entrance.api_key,
            request_models={"application/json": model_name} if has_body else None,
            request_validator_id=validator_id if has_body else None,
            opts=self._child,
        )
        integration = self._snapshot_resource(
            aws.apigateway.Integration,
            f"{name}-function",
            rest_api=self._rest.id,
            resource_id=resource.id,
            http_method=method.http_method,
            **self._function_integration(),
            opts=self._child,
        )
        return [method, integration]

    def _function_integration(self) -> dict[str, Any]:
        return {
            "type": "AWS_PROXY",
            "integration_http_method": "POST",
            "uri": self._args.function.alias_invoke_arn,
        }

    def _health_route(self) -> list[Resource]:
        """Declare the only route without a key, because Route 53's health checks cannot send one."""
        resource = self._resource("health", self._rest.root_resource_id, HEALTH_PATH.strip("/"))
        method_keys: dict[str, Any] = {"rest_api": self._rest.id, "resource_id": resource.id, "http_method": "GET"}
        name = f"{self._name}-health-get"
        method = self._snapshot_resource(
            aws.apigateway.Method, name, **method_keys, authorization="NONE", api_key_required=False, opts=self._child
        )
        integration = self._snapshot_resource(
            aws.apigateway.Integration,
            f"{name}-function",
            **method_keys,
            **self._function_integration(),
            # A method has one integration: deleted after its successor's creation, the former one (a mock of releases
            # before) would take the successor along.
            opts=ResourceOptions(
                parent=self, depends_on=[method], aliases=[Alias(name=f"{name}-mock")], delete_before_replace=True
            ),
        )
        return [method, integration]

    def _gateway_responses(self) -> list[Resource]:
        return [
            self._snapshot_resource(
                aws.apigateway.Response,
                f"{self._name}-{refusal.response_type.lower().replace('_', '-')}",
                rest_api_id=self._rest.id,
                response_type=refusal.response_type,
                status_code=None if refusal.status is None else str(refusal.status),
                response_parameters=PROBLEM_HEADERS,
                response_templates={"application/json": definition.problem(refusal)},
                opts=self._child,
            )
            for refusal in REFUSALS
        ]

    def _allow_invocation(self) -> None:
        function = self._args.function
        aws.lambda_.Permission(
            f"{self._name}-invoke",
            action="lambda:InvokeFunction",
            function=function.function_name,
            qualifier=function.alias_name,
            principal="apigateway.amazonaws.com",
            source_arn=Output.concat(self._rest.execution_arn, f"/{STAGE}/*"),
            opts=self._child,
        )

    def _stage(self, deployment: aws.apigateway.Deployment) -> aws.apigateway.Stage:
        access = self._log_group("access", f"/aws/apigateway/{self._args.foundation.context.physical_name('api')}")
        # API Gateway would create this group on the first error, without a retention.
        execution = self._log_group(
            "execution", Output.concat("API-Gateway-Execution-Logs_", self._rest.id, f"/{STAGE}")
        )
        stage = aws.apigateway.Stage(
            f"{self._name}-stage",
            rest_api=self._rest.id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings={"destination_arn": access.arn, "format": definition.access_log_format()},
            xray_tracing_enabled=True,
            tags=self._tags("api"),
            opts=ResourceOptions(parent=self, depends_on=[execution, *self._args.depends_on]),
        )
        api = self._args.settings
        every = self._limit(stage, "every-method", "*/*", api.throttle_rate, api.throttle_burst, self._child)
        # One after the other: both are updates of the stage.
        after = ResourceOptions(parent=self, depends_on=[every])
        self._limit(stage, "health", f"{HEALTH_PATH.strip('/')}/GET", HEALTH_RATE, HEALTH_BURST, after)
        return stage

    def _limit(
        self, stage: aws.apigateway.Stage, label: str, method_path: str, rate: int, burst: int, opts: ResourceOptions
    ) -> aws.apigateway.MethodSettings:
        return aws.apigateway.MethodSettings(
            f"{self._name}-{label}",
            rest_api=self._rest.id,
            stage_name=stage.stage_name,
            method_path=method_path,
            settings={
                "metrics_enabled": True,
                "logging_level": "ERROR",
                "data_trace_enabled": False,  # data traces would log goals and findings in full
                "throttling_rate_limit": rate,
                "throttling_burst_limit": burst,
            },
            opts=opts,
        )

    def _usage_plan(self, stage: aws.apigateway.Stage, client: str) -> None:
        limits, api = self._args.settings.clients[client], self._args.settings
        # The names of the default client's plan are older than clients.
        of_client = "" if client == DEFAULT_CLIENT else f"-{client}"
        plan = aws.apigateway.UsagePlan(
            f"{self._name}{of_client}-plan",
            name=self._args.foundation.context.physical_name(f"api{of_client}"),
            api_stages=[{"api_id": self._rest.id, "stage": stage.stage_name}],
            throttle_settings={
                "rate_limit": limits.throttle_rate or api.throttle_rate,
                "burst_limit": limits.throttle_burst or api.throttle_burst,
            },
            quota_settings={"limit": limits.monthly_quota or api.monthly_quota, "period": "MONTH"},
            tags=self._tags("api"),
            opts=self._child,
        )
        for label, key_id in self._args.client_keys.ids[client].items():
            aws.apigateway.UsagePlanKey(
                f"{self._name}{of_client}-plan-key{'' if label == CURRENT else f'-{label}'}",
                key_id=key_id,
                key_type="API_KEY",
                usage_plan_id=plan.id,
                opts=self._child,
            )

    def _log_group(self, label: str, name: str | Output[str]) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            f"{self._name}-{label}-logs",
            name=name,
            retention_in_days=self._args.foundation.log_retention_days,
            kms_key_id=self._args.foundation.keys.data_arn,
            tags=self._tags("api"),
            opts=self._child,
        )

    def _tags(self, label: str) -> dict[str, str]:
        return self._args.foundation.context.tags("api", DataClass.INTERNAL, label)
