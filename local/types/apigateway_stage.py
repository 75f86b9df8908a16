"""API Gateway: deployments, stages, custom domains, API keys and usage plans."""

from __future__ import annotations

import json
from typing import ClassVar

from local.types.arguments import arguments, inputs_of, patch_operations
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

# Settings of a stage's methods, with their patch paths.
_METHOD_SETTINGS = {
    "metricsEnabled": "metrics/enabled",
    "loggingLevel": "logging/loglevel",
    "dataTraceEnabled": "logging/dataTrace",
    "throttlingRateLimit": "throttling/rateLimit",
    "throttlingBurstLimit": "throttling/burstLimit",
}


@resource("aws:apigateway/deployment:Deployment")
class ApiDeployment(ResourceType):
    """Deployment (snapshot) of a REST API."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("apigateway").create_deployment(restApiId=request.inputs["restApi"])
        return CreatedResource(response["id"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_deployment(restApiId=resource.value("restApi"), deploymentId=resource.id)


@resource("aws:apigateway/stage:Stage", replaced_by=("restApi", "stageName"))
class ApiStage(ResourceType):
    """Stage of a REST API."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        api, name = request.inputs["restApi"], request.inputs["stageName"]
        request.client("apigateway").create_stage(
            restApiId=api, stageName=name, deploymentId=request.inputs["deployment"], tags=request.tag_map()
        )
        return CreatedResource(
            f"ags-{api}-{name}",
            {
                "invokeUrl": f"{request.context.endpoint_url}/_aws/execute-api/{api}/{name}",
                "executionArn": f"arn:aws:execute-api:{request.region}:{request.context.account_id}:{api}/{name}",
                "arn": f"arn:aws:apigateway:{request.region}::/restapis/{api}/stages/{name}",
            },
        )

    def change(self, resource: ExistingResource) -> None:
        paths = {"/deploymentId": "deployment", "/description": "description", "/tracingEnabled": "xrayTracingEnabled"}
        resource.client("apigateway").update_stage(
            restApiId=resource.inputs["restApi"],
            stageName=resource.inputs["stageName"],
            patchOperations=patch_operations(resource.inputs, paths),
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_stage(
            restApiId=resource.value("restApi"), stageName=resource.value("stageName")
        )


@resource("aws:apigateway/account:Account")
class ApiGatewayAccount(ResourceType):
    """API Gateway's settings for the account and Region."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        role = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": request.inputs["cloudwatchRoleArn"]}]
        request.client("apigateway").update_account(patchOperations=role)
        return CreatedResource("api-gateway-account")


@resource("aws:apigateway/methodSettings:MethodSettings", replaced_by=("methodPath", "restApi", "stageName"))
class ApiMethodSettings(PutResource):
    """Logging, metrics and throttling settings of a stage's methods."""

    reads: ClassVar = {"settings": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        api, stage, methods = request.inputs["restApi"], request.inputs["stageName"], request.inputs["methodPath"]
        settings = {name: value for name, value in request.inputs["settings"].items() if name in _METHOD_SETTINGS}
        patch = [
            {"op": "replace", "path": f"/{methods}/{_METHOD_SETTINGS[name]}", "value": json.dumps(value).strip('"')}
            for name, value in sorted(settings.items())
        ]
        request.client("apigateway").update_stage(restApiId=api, stageName=stage, patchOperations=patch)
        return CreatedResource(f"{api}-{stage}-{methods}")

    def read(self, resource: ExistingResource) -> FoundResource | None:
        api, stage, methods = resource.id.split("-", 2)
        found = resource.client("apigateway").get_stage(restApiId=api, stageName=stage).get("methodSettings") or {}
        if methods not in found:
            return None
        declared = resource.inputs.get("settings") or {}
        settings = {
            name: value
            for name, value in found[methods].items()
            if name in declared
            or (name in _METHOD_SETTINGS and value not in (False, -1, "OFF"))  # as without a setting
        }
        return FoundResource({"restApi": api, "stageName": stage, "methodPath": methods, "settings": settings})


@resource("aws:apigateway/domainName:DomainName")
class ApiDomainName(ResourceType):
    """Custom domain name of API Gateway."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.inputs["domainName"]
        response = request.client("apigateway").create_domain_name(
            domainName=name,
            regionalCertificateArn=request.inputs["regionalCertificateArn"],
            endpointConfiguration={"types": [request.inputs["endpointConfiguration"]["types"]]},
            securityPolicy="TLS_1_2",  # the emulator does not know the newer policies that the program sets
            tags=request.tag_map(),
        )
        address = {
            "regionalDomainName": response["regionalDomainName"],
            "regionalZoneId": response["regionalHostedZoneId"],
        }
        return CreatedResource(name, {"domainName": name, **address})


@resource("aws:apigateway/basePathMapping:BasePathMapping")
class ApiBasePathMapping(ResourceType):
    """Mapping of a custom domain name to a stage."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("apigateway").create_base_path_mapping(
            domainName=request.inputs["domainName"],
            restApiId=request.inputs["restApi"],
            stage=request.inputs["stageName"],
        )
        return CreatedResource(f"{request.inputs['domainName']}/")


@resource("aws:apigateway/apiKey:ApiKey", replaced_by=())
class ApiKey(ResourceType):
    """API key of API Gateway."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("apigateway").create_api_key(
            name=request.physical_name(),
            enabled=request.inputs.get("enabled", True),
            tags=request.tag_map(),
            **arguments(request.inputs, value="value"),
        )
        return CreatedResource(response["id"], {"value": response["value"], "name": request.physical_name()})

    def change(self, resource: ExistingResource) -> None:
        operations = patch_operations(resource.inputs, {"/name": "name", "/enabled": "enabled"})
        resource.client("apigateway").update_api_key(apiKey=resource.id, patchOperations=operations)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_api_key(apiKey=resource.id)


@resource("aws:apigateway/usagePlan:UsagePlan", replaced_by=())
class ApiUsagePlan(ResourceType):
    """Usage plan with throttling and quota."""

    # Without apiStages: the emulator makes text of the list when a stage is added or removed.
    reads: ClassVar = {"name": None, "quotaSettings": {}, "throttleSettings": {}}

    def create(self, request: ResourceRequest) -> CreatedResource:
        stages = [{"apiId": s["apiId"], "stage": s["stage"]} for s in request.inputs.get("apiStages") or []]
        throttle, quota = request.inputs.get("throttleSettings"), request.inputs.get("quotaSettings")
        response = request.client("apigateway").create_usage_plan(
            name=request.physical_name(),
            apiStages=stages,
            tags=request.tag_map(),
            **({"throttle": arguments(throttle, rateLimit="rateLimit", burstLimit="burstLimit")} if throttle else {}),
            **({"quota": arguments(quota, limit="limit", period="period", offset="offset")} if quota else {}),
        )
        return CreatedResource(
            response["id"], {"name": request.physical_name(), "arn": _usage_plan_arn(request, response["id"])}
        )

    def change(self, resource: ExistingResource) -> None:
        inputs = {
            **dict(resource.inputs),
            **(resource.inputs.get("throttleSettings") or {}),
            **(resource.inputs.get("quotaSettings") or {}),
        }
        paths = {
            "/name": "name",
            "/throttle/rateLimit": "rateLimit",
            "/throttle/burstLimit": "burstLimit",
            "/quota/limit": "limit",
            "/quota/period": "period",
            "/quota/offset": "offset",
        }
        # A section that changes is removed first, because a member of it can be unset.
        sections = {"throttleSettings": "/throttle", "quotaSettings": "/quota"}
        removals = [{"op": "remove", "path": path} for name, path in sections.items() if name in resource.changed]
        resource.client("apigateway").update_usage_plan(
            usagePlanId=resource.id, patchOperations=[*removals, *patch_operations(inputs, paths)]
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_usage_plan(usagePlanId=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        plan = resource.client("apigateway").get_usage_plan(usagePlanId=resource.id)
        inputs = inputs_of(plan, name="name", throttle="throttleSettings", quota="quotaSettings")
        inputs["apiStages"] = [{"apiId": one["apiId"], "stage": one["stage"]} for one in plan.get("apiStages") or []]
        return FoundResource(inputs, {"arn": _usage_plan_arn(resource, resource.id)})


def _usage_plan_arn(request: ResourceRequest, plan_id: str) -> str:
    return f"arn:aws:apigateway:{request.region}::/usageplans/{plan_id}"


@resource("aws:apigateway/usagePlanKey:UsagePlanKey")
class ApiUsagePlanKey(ResourceType):
    """Membership of an API key in a usage plan."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("apigateway").create_usage_plan_key(
            usagePlanId=request.inputs["usagePlanId"], keyId=request.inputs["keyId"], keyType=request.inputs["keyType"]
        )
        return CreatedResource(response["id"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_usage_plan_key(
            usagePlanId=resource.value("usagePlanId"), keyId=resource.value("keyId")
        )
