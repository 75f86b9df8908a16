"""API Gateway (REST)."""

from __future__ import annotations

import json

from local.types import Declared, Made, creates, given, put_again


@creates("aws:apigateway/restApi:RestApi")
def rest_api(it: Declared) -> Made:
    gateway, name = it.client("apigateway"), it.physical()
    made = gateway.create_rest_api(
        name=name,
        tags=it.tag_map(),
        **given(it.inputs, description="description", apiKeySource="apiKeySource", policy="policy"),
    )
    root = next(r["id"] for r in gateway.get_resources(restApiId=made["id"])["items"] if r["path"] == "/")
    arn = f"arn:aws:execute-api:{it.region}:{it.at.account_id}:{made['id']}"
    return Made(made["id"], {"rootResourceId": root, "executionArn": arn, "name": name,
                             "arn": f"arn:aws:apigateway:{it.region}::/restapis/{made['id']}"})  # fmt: skip


@creates("aws:apigateway/resource:Resource")
def resource(it: Declared) -> Made:
    made = it.client("apigateway").create_resource(
        restApiId=it.inputs["restApi"], parentId=it.inputs["parentId"], pathPart=it.inputs["pathPart"]
    )
    return Made(made["id"], {"path": made["path"]})


@creates("aws:apigateway/requestValidator:RequestValidator")
def request_validator(it: Declared) -> Made:
    made = it.client("apigateway").create_request_validator(
        restApiId=it.inputs["restApi"],
        name=it.physical(),
        validateRequestBody=bool(it.inputs.get("validateRequestBody")),
        validateRequestParameters=bool(it.inputs.get("validateRequestParameters")),
    )
    return Made(made["id"])


@creates("aws:apigateway/model:Model")
def model(it: Declared) -> Made:
    name = it.physical()
    made = it.client("apigateway").create_model(
        restApiId=it.inputs["restApi"],
        name=name,
        contentType=it.inputs["contentType"],
        **given(it.inputs, schema="schema", description="description"),
    )
    return Made(made["id"], {"name": name})


@creates("aws:apigateway/method:Method", update=put_again)
def method(it: Declared) -> Made:
    it.client("apigateway").put_method(
        restApiId=it.inputs["restApi"],
        resourceId=it.inputs["resourceId"],
        httpMethod=it.inputs["httpMethod"],
        authorizationType=it.inputs["authorization"],
        apiKeyRequired=bool(it.inputs.get("apiKeyRequired")),
        **given(
            it.inputs, requestValidatorId="requestValidatorId", requestModels="requestModels",
            requestParameters="requestParameters", authorizerId="authorizerId",
        ),
    )  # fmt: skip
    return Made(f"agm-{it.inputs['restApi']}-{it.inputs['resourceId']}-{it.inputs['httpMethod']}")


@creates("aws:apigateway/integration:Integration", update=put_again)
def integration(it: Declared) -> Made:
    it.client("apigateway").put_integration(
        restApiId=it.inputs["restApi"],
        resourceId=it.inputs["resourceId"],
        httpMethod=it.inputs["httpMethod"],
        type=it.inputs["type"],
        **given(
            it.inputs, integrationHttpMethod="integrationHttpMethod", uri="uri", timeoutInMillis="timeoutMilliseconds",
            passthroughBehavior="passthroughBehavior", requestTemplates="requestTemplates",
        ),
    )  # fmt: skip
    return Made(f"agi-{it.inputs['restApi']}-{it.inputs['resourceId']}-{it.inputs['httpMethod']}")


@creates("aws:apigateway/methodResponse:MethodResponse", update=put_again)
def method_response(it: Declared) -> Made:
    inputs = it.inputs
    it.client("apigateway").put_method_response(
        restApiId=inputs["restApi"],
        resourceId=inputs["resourceId"],
        httpMethod=inputs["httpMethod"],
        statusCode=inputs["statusCode"],
        **given(inputs, responseModels="responseModels", responseParameters="responseParameters"),
    )
    return Made(f"agmr-{inputs['restApi']}-{inputs['resourceId']}-{inputs['httpMethod']}-{inputs['statusCode']}")


@creates("aws:apigateway/integrationResponse:IntegrationResponse", update=put_again)
def integration_response(it: Declared) -> Made:
    inputs = it.inputs
    it.client("apigateway").put_integration_response(
        restApiId=inputs["restApi"],
        resourceId=inputs["resourceId"],
        httpMethod=inputs["httpMethod"],
        statusCode=inputs["statusCode"],
        **given(inputs, responseTemplates="responseTemplates", responseParameters="responseParameters"),
    )
    return Made(f"agir-{inputs['restApi']}-{inputs['resourceId']}-{inputs['httpMethod']}-{inputs['statusCode']}")


@creates("aws:apigateway/domainName:DomainName")
def domain_name(it: Declared) -> Made:
    name = it.inputs["domainName"]
    made = it.client("apigateway").create_domain_name(
        domainName=name,
        regionalCertificateArn=it.inputs["regionalCertificateArn"],
        endpointConfiguration={"types": [it.inputs["endpointConfiguration"]["types"]]},
        securityPolicy="TLS_1_2",  # the emulator is older than the policies that the program asks for
        tags=it.tag_map(),
    )
    address = {"regionalDomainName": made["regionalDomainName"], "regionalZoneId": made["regionalHostedZoneId"]}
    return Made(name, {"domainName": name, **address})


@creates("aws:apigateway/basePathMapping:BasePathMapping")
def base_path_mapping(it: Declared) -> Made:
    it.client("apigateway").create_base_path_mapping(
        domainName=it.inputs["domainName"], restApiId=it.inputs["restApi"], stage=it.inputs["stageName"]
    )
    return Made(f"{it.inputs['domainName']}/")


@creates("aws:apigateway/response:Response", update=put_again)
def gateway_response(it: Declared) -> Made:
    it.client("apigateway").put_gateway_response(
        restApiId=it.inputs["restApiId"],
        responseType=it.inputs["responseType"],
        **given(
            it.inputs, statusCode="statusCode", responseTemplates="responseTemplates",
            responseParameters="responseParameters",
        ),
    )  # fmt: skip
    return Made(f"aggr-{it.inputs['restApiId']}-{it.inputs['responseType']}")


@creates("aws:apigateway/deployment:Deployment")
def deployment(it: Declared) -> Made:
    made = it.client("apigateway").create_deployment(restApiId=it.inputs["restApi"])
    return Made(made["id"])


@creates("aws:apigateway/stage:Stage")
def stage(it: Declared) -> Made:
    api, name = it.inputs["restApi"], it.inputs["stageName"]
    it.client("apigateway").create_stage(
        restApiId=api, stageName=name, deploymentId=it.inputs["deployment"], tags=it.tag_map()
    )
    return Made(
        f"ags-{api}-{name}",
        {
            "invokeUrl": f"{it.at.endpoint_url}/_aws/execute-api/{api}/{name}",
            "executionArn": f"arn:aws:execute-api:{it.region}:{it.at.account_id}:{api}/{name}",
            "arn": f"arn:aws:apigateway:{it.region}::/restapis/{api}/stages/{name}",
        },
    )


@creates("aws:apigateway/account:Account")
def account(it: Declared) -> Made:
    role = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": it.inputs["cloudwatchRoleArn"]}]
    it.client("apigateway").update_account(patchOperations=role)
    return Made("api-gateway-account")


@creates("aws:apigateway/methodSettings:MethodSettings")
def method_settings(it: Declared) -> Made:
    api, stage, path = it.inputs["restApi"], it.inputs["stageName"], it.inputs["methodPath"]
    places = {
        "metricsEnabled": "metrics/enabled",
        "loggingLevel": "logging/loglevel",
        "dataTraceEnabled": "logging/dataTrace",
        "throttlingRateLimit": "throttling/rateLimit",
        "throttlingBurstLimit": "throttling/burstLimit",
    }
    wanted = {places[name]: value for name, value in it.inputs["settings"].items() if name in places}
    patch = [
        {"op": "replace", "path": f"/{path}/{place}", "value": json.dumps(value).strip('"')}
        for place, value in sorted(wanted.items())
    ]
    it.client("apigateway").update_stage(restApiId=api, stageName=stage, patchOperations=patch)
    return Made(f"{api}-{stage}-{path}")


@creates("aws:apigateway/apiKey:ApiKey")
def api_key(it: Declared) -> Made:
    made = it.client("apigateway").create_api_key(
        name=it.physical(), enabled=it.inputs.get("enabled", True), tags=it.tag_map(), **given(it.inputs, value="value")
    )
    return Made(made["id"], {"value": made["value"], "name": it.physical()})


@creates("aws:apigateway/usagePlan:UsagePlan")
def usage_plan(it: Declared) -> Made:
    stages = [{"apiId": s["apiId"], "stage": s["stage"]} for s in it.inputs.get("apiStages") or []]
    throttle, quota = it.inputs.get("throttleSettings"), it.inputs.get("quotaSettings")
    made = it.client("apigateway").create_usage_plan(
        name=it.physical(),
        apiStages=stages,
        tags=it.tag_map(),
        **({"throttle": given(throttle, rateLimit="rateLimit", burstLimit="burstLimit")} if throttle else {}),
        **({"quota": given(quota, limit="limit", period="period", offset="offset")} if quota else {}),
    )
    return Made(made["id"], {"name": it.physical()})


@creates("aws:apigateway/usagePlanKey:UsagePlanKey")
def usage_plan_key(it: Declared) -> Made:
    made = it.client("apigateway").create_usage_plan_key(
        usagePlanId=it.inputs["usagePlanId"], keyId=it.inputs["keyId"], keyType=it.inputs["keyType"]
    )
    return Made(made["id"])
