"""API Gateway: REST APIs, resources, methods and responses."""

from __future__ import annotations

from local.types.arguments import arguments, patch_operations
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:apigateway/restApi:RestApi", replaced_by=())
class RestApi(ResourceType):
    """REST API in API Gateway."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        gateway, name = request.client("apigateway"), request.physical_name()
        response = gateway.create_rest_api(
            name=name,
            tags=request.tag_map(),
            **arguments(request.inputs, description="description", apiKeySource="apiKeySource", policy="policy"),
        )
        request.exists_as(response["id"])
        root = next(r["id"] for r in gateway.get_resources(restApiId=response["id"])["items"] if r["path"] == "/")
        arn = f"arn:aws:execute-api:{request.region}:{request.context.account_id}:{response['id']}"
        return CreatedResource(
            response["id"],
            {
                "rootResourceId": root,
                "executionArn": arn,
                "name": name,
                "arn": f"arn:aws:apigateway:{request.region}::/restapis/{response['id']}",
            },
        )

    def change(self, resource: ExistingResource) -> None:
        paths = {"/name": "name", "/description": "description", "/policy": "policy"}
        operations = patch_operations(resource.inputs, paths)
        resource.client("apigateway").update_rest_api(restApiId=resource.id, patchOperations=operations)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_rest_api(restApiId=resource.id)


@resource("aws:apigateway/resource:Resource")
class ApiResource(ResourceType):
    """Path segment of a REST API."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("apigateway").create_resource(
            restApiId=request.inputs["restApi"],
            parentId=request.inputs["parentId"],
            pathPart=request.inputs["pathPart"],
        )
        return CreatedResource(response["id"], {"path": response["path"]})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_resource(restApiId=resource.value("restApi"), resourceId=resource.id)


@resource("aws:apigateway/requestValidator:RequestValidator")
class ApiRequestValidator(ResourceType):
    """Request validator of a REST API."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("apigateway").create_request_validator(
            restApiId=request.inputs["restApi"],
            name=request.physical_name(),
            validateRequestBody=bool(request.inputs.get("validateRequestBody")),
            validateRequestParameters=bool(request.inputs.get("validateRequestParameters")),
        )
        return CreatedResource(response["id"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_request_validator(
            restApiId=resource.value("restApi"), requestValidatorId=resource.id
        )


@resource("aws:apigateway/model:Model")
class ApiModel(ResourceType):
    """Model (JSON schema) of a REST API."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        response = request.client("apigateway").create_model(
            restApiId=request.inputs["restApi"],
            name=name,
            contentType=request.inputs["contentType"],
            **arguments(request.inputs, schema="schema", description="description"),
        )
        return CreatedResource(response["id"], {"name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_model(
            restApiId=resource.value("restApi"), modelName=resource.value("name")
        )


@resource("aws:apigateway/method:Method", replaced_by=("httpMethod", "resourceId", "restApi"))
class ApiMethod(PutResource):
    """HTTP method of a REST API's resource."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("apigateway").put_method(
            restApiId=request.inputs["restApi"],
            resourceId=request.inputs["resourceId"],
            httpMethod=request.inputs["httpMethod"],
            authorizationType=request.inputs["authorization"],
            apiKeyRequired=bool(request.inputs.get("apiKeyRequired")),
            **arguments(
                request.inputs,
                requestValidatorId="requestValidatorId",
                requestModels="requestModels",
                requestParameters="requestParameters",
                authorizerId="authorizerId",
            ),
        )
        return CreatedResource(
            f"agm-{request.inputs['restApi']}-{request.inputs['resourceId']}-{request.inputs['httpMethod']}"
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_method(
            restApiId=resource.value("restApi"),
            resourceId=resource.value("resourceId"),
            httpMethod=resource.value("httpMethod"),
        )


@resource("aws:apigateway/integration:Integration", replaced_by=("httpMethod", "resourceId", "restApi"))
class ApiIntegration(PutResource):
    """Integration of a REST API's method with its backend."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("apigateway").put_integration(
            restApiId=request.inputs["restApi"],
            resourceId=request.inputs["resourceId"],
            httpMethod=request.inputs["httpMethod"],
            type=request.inputs["type"],
            **arguments(
                request.inputs,
                integrationHttpMethod="integrationHttpMethod",
                uri="uri",
                timeoutInMillis="timeoutMilliseconds",
                passthroughBehavior="passthroughBehavior",
                requestTemplates="requestTemplates",
            ),
        )
        return CreatedResource(
            f"agi-{request.inputs['restApi']}-{request.inputs['resourceId']}-{request.inputs['httpMethod']}"
        )


@resource(
    "aws:apigateway/methodResponse:MethodResponse", replaced_by=("httpMethod", "resourceId", "restApi", "statusCode")
)
class ApiMethodResponse(PutResource):
    """Response that a REST API's method declares for an HTTP status."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        inputs = request.inputs
        request.client("apigateway").put_method_response(
            restApiId=inputs["restApi"],
            resourceId=inputs["resourceId"],
            httpMethod=inputs["httpMethod"],
            statusCode=inputs["statusCode"],
            **arguments(inputs, responseModels="responseModels", responseParameters="responseParameters"),
        )
        return CreatedResource(
            f"agmr-{inputs['restApi']}-{inputs['resourceId']}-{inputs['httpMethod']}-{inputs['statusCode']}"
        )


@resource(
    "aws:apigateway/integrationResponse:IntegrationResponse",
    replaced_by=("httpMethod", "resourceId", "restApi", "statusCode"),
)
class ApiIntegrationResponse(PutResource):
    """Mapping of an integration's response to a method response."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        inputs = request.inputs
        request.client("apigateway").put_integration_response(
            restApiId=inputs["restApi"],
            resourceId=inputs["resourceId"],
            httpMethod=inputs["httpMethod"],
            statusCode=inputs["statusCode"],
            **arguments(inputs, responseTemplates="responseTemplates", responseParameters="responseParameters"),
        )
        return CreatedResource(
            f"agir-{inputs['restApi']}-{inputs['resourceId']}-{inputs['httpMethod']}-{inputs['statusCode']}"
        )


@resource("aws:apigateway/response:Response", replaced_by=("responseType", "restApiId", "statusCode"))
class ApiGatewayResponse(PutResource):
    """Response that API Gateway itself sends for an error type."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("apigateway").put_gateway_response(
            restApiId=request.inputs["restApiId"],
            responseType=request.inputs["responseType"],
            **arguments(
                request.inputs,
                statusCode="statusCode",
                responseTemplates="responseTemplates",
                responseParameters="responseParameters",
            ),
        )
        return CreatedResource(f"aggr-{request.inputs['restApiId']}-{request.inputs['responseType']}")

    def remove(self, resource: ExistingResource) -> None:
        resource.client("apigateway").delete_gateway_response(
            restApiId=resource.value("restApiId"), responseType=resource.value("responseType")
        )
