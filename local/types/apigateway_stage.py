"""API Gateway: deployments, stages, custom domains, API keys and usage plans."""

from __future__ import annotations

import json

from local.types.arguments import arguments, patch_operations
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


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


@resource("aws:apigateway/methodSettings:MethodSettings")
class ApiMethodSettings(ResourceType):
    """Logging, metrics and throttling settings of a stage's methods."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        api, stage, methods = request.inputs["restApi"], request.inputs["stageName"], request.inputs["methodPath"]
        paths = {
            "metricsEnabled": "metrics/enabled",
            "loggingLevel": "logging/loglevel",
            "dataTraceEnabled": "logging/dataTrace",
            "throttlingRateLimit": "throttling/rateLimit",
            "throttlingBurstLimit": "throttling/burstLimit",
        }
        settings = {paths[name]: value for name, value in request.inputs["settings"].items() if name in paths}
        patch = [
            {"op": "replace", "path": f"/{methods}/{setting}", "value": json.dumps(value).strip('"')}
            for setting, value in sorted(settings.items())
        ]
        request.client("apigateway").update_stage(restApiId=api, stageName=stage, patchOperations=patch)
        return CreatedResource(f"{api}-{stage}-{methods}")


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
        return CreatedResource(response["id"], {"name": request.physical_name()})

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
        }
        resource.client("apigateway").update_usage_plan(
            usagePlanId=resource.id, patchOperations=patch_operations(inputs, paths)
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_usage_plan(usagePlanId=resource.id)


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
