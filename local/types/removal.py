"""How a resource is removed from the emulator, and how to ask whether it still stands.

Most are one call: service, operation, and its arguments by where they are found in what was declared. A type that is
not here leaves nothing behind once what it belongs to is gone, and is simply forgotten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.types import Standing, compute, looks, removes

ID = "id"  # an argument that is the resource's id; others name an input

_CALLS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "apigateway/apiKey:ApiKey": ("apigateway", "delete_api_key", {"apiKey": ID}),
    "apigateway/restApi:RestApi": ("apigateway", "delete_rest_api", {"restApiId": ID}),
    "apigateway/stage:Stage": ("apigateway", "delete_stage", {"restApiId": "restApi", "stageName": "stageName"}),
    "apigateway/deployment:Deployment": (
        "apigateway", "delete_deployment", {"restApiId": "restApi", "deploymentId": ID}
    ),
    "apigateway/usagePlan:UsagePlan": ("apigateway", "delete_usage_plan", {"usagePlanId": ID}),
    "apigateway/usagePlanKey:UsagePlanKey": (
        "apigateway", "delete_usage_plan_key", {"usagePlanId": "usagePlanId", "keyId": "keyId"}
    ),
    "apigateway/resource:Resource": ("apigateway", "delete_resource", {"restApiId": "restApi", "resourceId": ID}),
    "apigateway/model:Model": ("apigateway", "delete_model", {"restApiId": "restApi", "modelName": "name"}),
    "apigateway/requestValidator:RequestValidator": (
        "apigateway", "delete_request_validator", {"restApiId": "restApi", "requestValidatorId": ID}
    ),
    "apigateway/method:Method": (
        "apigateway", "delete_method",
        {"restApiId": "restApi", "resourceId": "resourceId", "httpMethod": "httpMethod"},
    ),
    "apigateway/response:Response": (
        "apigateway", "delete_gateway_response", {"restApiId": "restApiId", "responseType": "responseType"}
    ),
    "cloudtrail/trail:Trail": ("cloudtrail", "delete_trail", {"Name": ID}),
    "cloudwatch/eventRule:EventRule": ("events", "delete_rule", {"Name": ID}),
    "cloudwatch/logGroup:LogGroup": ("logs", "delete_log_group", {"logGroupName": ID}),
    "cloudwatch/logMetricFilter:LogMetricFilter": (
        "logs", "delete_metric_filter", {"logGroupName": "logGroupName", "filterName": ID}
    ),
    "cloudwatch/logResourcePolicy:LogResourcePolicy": ("logs", "delete_resource_policy", {"policyName": ID}),
    "dynamodb/table:Table": ("dynamodb", "delete_table", {"TableName": ID}),
    "ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway": (
        "ec2", "delete_egress_only_internet_gateway", {"EgressOnlyInternetGatewayId": ID}
    ),
    "ec2/eip:Eip": ("ec2", "release_address", {"AllocationId": ID}),
    "ec2/natGateway:NatGateway": ("ec2", "delete_nat_gateway", {"NatGatewayId": ID}),
    "ec2/networkAcl:NetworkAcl": ("ec2", "delete_network_acl", {"NetworkAclId": ID}),
    "ec2/routeTable:RouteTable": ("ec2", "delete_route_table", {"RouteTableId": ID}),
    "ec2/routeTableAssociation:RouteTableAssociation": ("ec2", "disassociate_route_table", {"AssociationId": ID}),
    "ec2/securityGroup:SecurityGroup": ("ec2", "delete_security_group", {"GroupId": ID}),
    "ec2/subnet:Subnet": ("ec2", "delete_subnet", {"SubnetId": ID}),
    "ec2/vpc:Vpc": ("ec2", "delete_vpc", {"VpcId": ID}),
    "iam/policy:Policy": ("iam", "delete_policy", {"PolicyArn": ID}),
    "iam/rolePolicy:RolePolicy": ("iam", "delete_role_policy", {"RoleName": "role", "PolicyName": "name"}),
    "iam/rolePolicyAttachment:RolePolicyAttachment": (
        "iam", "detach_role_policy", {"RoleName": "role", "PolicyArn": "policyArn"}
    ),
    "kms/alias:Alias": ("kms", "delete_alias", {"AliasName": ID}),
    "lambda/eventSourceMapping:EventSourceMapping": ("lambda", "delete_event_source_mapping", {"UUID": ID}),
    "lambda/function:Function": ("lambda", "delete_function", {"FunctionName": ID}),
    "rds/parameterGroup:ParameterGroup": ("rds", "delete_db_parameter_group", {"DBParameterGroupName": ID}),
    "rds/subnetGroup:SubnetGroup": ("rds", "delete_db_subnet_group", {"DBSubnetGroupName": ID}),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("s3", "delete_bucket_lifecycle", {"Bucket": ID}),
    "s3/bucketObjectv2:BucketObjectv2": ("s3", "delete_object", {"Bucket": "bucket", "Key": "key"}),
    "s3/bucketPolicy:BucketPolicy": ("s3", "delete_bucket_policy", {"Bucket": ID}),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("s3", "delete_public_access_block", {"Bucket": ID}),
    "s3/bucketReplicationConfig:BucketReplicationConfig": ("s3", "delete_bucket_replication", {"Bucket": ID}),
    "sns/topic:Topic": ("sns", "delete_topic", {"TopicArn": ID}),
    "sns/topicSubscription:TopicSubscription": ("sns", "unsubscribe", {"SubscriptionArn": ID}),
    "sqs/queue:Queue": ("sqs", "delete_queue", {"QueueUrl": ID}),
}  # fmt: skip

_LOOKS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "dynamodb/table:Table": ("dynamodb", "describe_table", {"TableName": ID}),
    "iam/role:Role": ("iam", "get_role", {"RoleName": ID}),
    "lambda/function:Function": ("lambda", "get_function_configuration", {"FunctionName": ID}),
    "s3/bucket:Bucket": ("s3", "head_bucket", {"Bucket": ID}),
    "sqs/queue:Queue": ("sqs", "get_queue_attributes", {"QueueUrl": ID}),
}


def _calls(service: str, operation: str, arguments: Mapping[str, str]) -> Callable[[Standing], object]:
    def call(it: Standing) -> object:
        values = {a: it.id if found == ID else it.inputs.get(found) or it.outputs[found] for a, found in
                  arguments.items()}  # fmt: skip
        return getattr(it.client(service), operation)(**values)

    return call


for _type, _call in _CALLS.items():
    removes(f"aws:{_type}")(_calls(*_call))
for _type, _call in _LOOKS.items():
    looks(f"aws:{_type}")(_calls(*_call))


@looks("aws:cloudwatch/logGroup:LogGroup")
def log_group_stands(it: Standing) -> None:
    found = it.client("logs").describe_log_groups(logGroupNamePrefix=it.id)["logGroups"]
    if not any(group["logGroupName"] == it.id for group in found):
        raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": it.id}}, "DescribeLogGroups")


def is_missing(error: ClientError) -> bool:
    """Whether the service said that there is no such thing, in one of its many ways."""
    code = error.response["Error"]["Code"]
    return code == "404" or any(w in code for w in ("NotFound", "NoSuch", "NonExistent", "DoesNotExist", "NotExist"))


@removes("aws:s3/bucket:Bucket")
def bucket(it: Standing) -> None:
    """Only with ``forceDestroy`` together with what is in it, as the provider does."""
    s3 = it.client("s3")
    if it.inputs.get("forceDestroy"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=it.id):
            for kept in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=it.id, Key=kept["Key"], VersionId=kept["VersionId"])
    s3.delete_bucket(Bucket=it.id)


@removes("aws:iam/role:Role")
def role(it: Standing) -> None:
    iam = it.client("iam")
    for name in iam.list_role_policies(RoleName=it.id)["PolicyNames"]:
        iam.delete_role_policy(RoleName=it.id, PolicyName=name)
    for attached in iam.list_attached_role_policies(RoleName=it.id)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=it.id, PolicyArn=attached["PolicyArn"])
    iam.delete_role(RoleName=it.id)


@removes("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey")
def key(it: Standing) -> None:
    days = int(it.inputs.get("deletionWindowInDays") or 30)
    it.client("kms").schedule_key_deletion(KeyId=it.id, PendingWindowInDays=days)


@removes("aws:secretsmanager/secret:Secret")
def secret(it: Standing) -> None:
    days = it.inputs.get("recoveryWindowInDays")
    how = {"ForceDeleteWithoutRecovery": True} if days == 0 else {"RecoveryWindowInDays": int(days or 30)}
    it.client("secretsmanager").delete_secret(SecretId=it.id, **how)


@removes("aws:rds/instance:Instance")
def database(it: Standing) -> None:
    final = it.inputs.get("finalSnapshotIdentifier")
    keep = {"SkipFinalSnapshot": True} if not final else {"FinalDBSnapshotIdentifier": final}
    it.client("rds").delete_db_instance(DBInstanceIdentifier=it.outputs["identifier"], **keep)
    for managed in it.outputs.get("masterUserSecrets") or []:
        it.client("secretsmanager").delete_secret(SecretId=managed["secretArn"], ForceDeleteWithoutRecovery=True)


@removes("aws:lambda/alias:Alias")
def alias(it: Standing) -> None:
    name = compute.function_name(it.inputs["functionName"])
    it.client("lambda").delete_alias(FunctionName=name, Name=it.inputs["name"])


@removes("aws:lambda/layerVersion:LayerVersion")
def layer_version(it: Standing) -> None:
    it.client("lambda").delete_layer_version(LayerName=it.inputs["layerName"], VersionNumber=int(it.outputs["version"]))


@removes("aws:lambda/permission:Permission")
def permission(it: Standing) -> None:
    qualifier = {"Qualifier": it.inputs["qualifier"]} if it.inputs.get("qualifier") else {}
    it.client("lambda").remove_permission(FunctionName=it.inputs["function"], StatementId=it.id, **qualifier)


@removes("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm")
def alarm(it: Standing) -> None:
    it.client("cloudwatch").delete_alarms(AlarmNames=[it.id])


@removes("aws:cloudwatch/dashboard:Dashboard")
def dashboard(it: Standing) -> None:
    it.client("cloudwatch").delete_dashboards(DashboardNames=[it.id])


@removes("aws:cloudwatch/eventTarget:EventTarget")
def event_target(it: Standing) -> None:
    it.client("events").remove_targets(Rule=it.inputs["rule"], Ids=[it.inputs["targetId"]])


@removes("aws:budgets/budget:Budget")
def budget(it: Standing) -> None:
    account, _, name = it.id.partition(":")
    it.client("budgets").delete_budget(AccountId=account, BudgetName=name)


@removes("aws:ec2/internetGateway:InternetGateway")
def internet_gateway(it: Standing) -> None:
    ec2 = it.client("ec2")
    if it.inputs.get("vpcId"):
        with contextlib.suppress(ClientError):  # not attached any more: all the same
            ec2.detach_internet_gateway(InternetGatewayId=it.id, VpcId=it.inputs["vpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=it.id)


@removes("aws:ec2/route:Route")
def route(it: Standing) -> None:
    to: dict[str, Any] = {"DestinationCidrBlock": it.inputs.get("destinationCidrBlock")}
    if not to["DestinationCidrBlock"]:
        to = {"DestinationIpv6CidrBlock": it.inputs["destinationIpv6CidrBlock"]}
    it.client("ec2").delete_route(RouteTableId=it.inputs["routeTableId"], **to)


@removes("aws:ec2/vpcEndpoint:VpcEndpoint")
def vpc_endpoint(it: Standing) -> None:
    it.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[it.id])


@removes("aws:ec2/flowLog:FlowLog")
def flow_log(it: Standing) -> None:
    it.client("ec2").delete_flow_logs(FlowLogIds=[it.id])
