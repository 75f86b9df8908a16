"""Which inputs a resource cannot change in place: it would be another resource, so the engine replaces it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.types import CHANGES, table

# What AWS knows a thing by: two cannot hold the same one at once.
_NAMES = frozenset({
    "name", "bucket", "identifier", "alarmName", "dashboardName", "policyName", "statementId", "layerName", "stageName",
    "domainName", "key", "targetId",
})  # fmt: skip
# What else a thing is, where its type does not say otherwise below.
_FIXED = _NAMES | {
    "region", "namePrefix", "path", "cidrBlock", "availabilityZone", "vpcId", "subnetId", "restApi", "restApiId",
    "parentId", "pathPart", "resourceId", "httpMethod", "statusCode", "responseType", "queueUrl", "topic", "protocol",
    "endpoint", "role", "policyArn", "functionName", "function", "qualifier", "eventSourceArn", "engine", "dbName",
    "username", "dbSubnetGroupName", "storageEncrypted", "kmsKeyId", "family", "hashKey", "rangeKey", "fifoQueue",
    "fifoTopic", "objectLockEnabled", "customerMasterKeySpec", "keyUsage", "multiRegion", "secretId", "logGroupName",
    "usagePlanId", "keyId", "routeTableId", "destinationCidrBlock", "destinationIpv6CidrBlock", "securityGroupId",
}  # fmt: skip
# Inputs of that spelling which their type can change, or does not know by it.
_IN_PLACE: Mapping[str, frozenset[str]] = {
    "aws:apigateway/apiKey:ApiKey": frozenset({"name"}),
    "aws:apigateway/restApi:RestApi": frozenset({"name"}),
    "aws:apigateway/usagePlan:UsagePlan": frozenset({"name"}),
    "aws:cloudwatch/logGroup:LogGroup": frozenset({"kmsKeyId"}),
    "aws:lambda/eventSourceMapping:EventSourceMapping": frozenset({"functionName"}),
    "aws:lambda/function:Function": frozenset({"role"}),
    "aws:secretsmanager/secret:Secret": frozenset({"kmsKeyId"}),
}
# Inputs of one type alone that make another resource of it.
_ALSO: Mapping[str, frozenset[str]] = {
    "aws:apigateway/deployment:Deployment": frozenset({"triggers"}),
    "aws:cloudwatch/eventTarget:EventTarget": frozenset({"rule"}),
    "aws:ec2/securityGroup:SecurityGroup": frozenset({"description"}),
    "aws:kms/replicaKey:ReplicaKey": frozenset({"primaryKeyArn"}),
    "aws:lambda/function:Function": frozenset({"durableConfig"}),
    "aws:sns/topicPolicy:TopicPolicy": frozenset({"arn"}),
}
TAGS = frozenset({"tags", "tagsAll"})
# What steers the provider and is no property of the resource.
ONLY_TOLD = frozenset({
    "applyImmediately", "deletionWindowInDays", "forceDestroy", "recoveryWindowInDays",
    "replaceSecurityGroupsOnDestroy", "skipDestroy", "skipFinalSnapshot", "finalSnapshotIdentifier",
})  # fmt: skip


def replacing(token: str, changed: frozenset[str]) -> frozenset[str]:
    """Those of the ``changed`` inputs that make another resource of it.

    A type that can be created here but not changed is replaced for any of them but tags; one that is only recorded
    changes as freely as a record.
    """
    fixed = (_FIXED - _IN_PLACE.get(token, frozenset())) | _ALSO.get(token, frozenset())
    if token in table() and token not in CHANGES:
        return changed - TAGS - ONLY_TOLD
    return changed & fixed


def makes_way(changed: frozenset[str], inputs: Mapping[str, Any]) -> bool:
    """Whether the old one must be gone before its replacement comes: both would have the same name."""
    return not changed & _NAMES and any(name in inputs for name in _NAMES)
