"""DynamoDB: tables."""

from __future__ import annotations

from typing import Any

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource, succeeds
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:dynamodb/table:Table", replaced_by=("hashKey", "name", "rangeKey"))
class DynamoDbTable(ResourceType):
    """DynamoDB table with its indexes, stream, TTL, backups and replicas."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        dynamodb, name = request.client("dynamodb"), request.physical_name()
        indexes = [_index(index) for index in request.inputs.get("globalSecondaryIndexes") or []]
        stream = {"StreamEnabled": True, "StreamViewType": request.inputs.get("streamViewType")}
        response = dynamodb.create_table(
            TableName=name,
            BillingMode=request.inputs.get("billingMode") or "PROVISIONED",
            KeySchema=_key_schema(request.inputs),
            AttributeDefinitions=_attribute_definitions(request),
            Tags=request.tag_list(),
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
            **({"StreamSpecification": stream} if request.inputs.get("streamEnabled") else {}),
        )["TableDescription"]
        request.exists_as(name)
        ttl = request.inputs.get("ttl")
        if ttl and ttl.get("enabled"):
            dynamodb.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl["attributeName"]}
            )
        recovery = request.inputs.get("pointInTimeRecovery")
        if recovery and recovery.get("enabled"):
            dynamodb.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
        last = arguments(request.inputs, DeletionProtectionEnabled="deletionProtectionEnabled")
        if request.inputs.get("replicas"):
            last["ReplicaUpdates"] = _replica_creations(request.inputs["replicas"])
        if last:  # neither would let a failed creation remove the table again
            dynamodb.update_table(TableName=name, **last)
        return CreatedResource(name, {"arn": response["TableArn"], "name": name})

    def change(self, resource: ExistingResource) -> None:
        dynamodb = resource.client("dynamodb")
        if "deletionProtectionEnabled" in resource.changed:
            protected = bool(resource.inputs.get("deletionProtectionEnabled"))
            dynamodb.update_table(TableName=resource.id, DeletionProtectionEnabled=protected)
        if "pointInTimeRecovery" in resource.changed:
            enabled = bool((resource.inputs.get("pointInTimeRecovery") or {}).get("enabled"))
            dynamodb.update_continuous_backups(
                TableName=resource.id, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled}
            )
        if "ttl" in resource.changed and resource.inputs.get("ttl"):
            ttl = {
                "Enabled": bool(resource.inputs["ttl"].get("enabled")),
                "AttributeName": resource.inputs["ttl"]["attributeName"],
            }
            dynamodb.update_time_to_live(TableName=resource.id, TimeToLiveSpecification=ttl)
        for update in _index_updates(resource):  # AWS creates or deletes one index at a time
            dynamodb.update_table(
                TableName=resource.id,
                AttributeDefinitions=_attribute_definitions(resource),
                GlobalSecondaryIndexUpdates=[update],
            )
        for update in _replica_updates(resource):
            dynamodb.update_table(TableName=resource.id, ReplicaUpdates=[update])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("dynamodb").delete_table(TableName=resource.id)

    def exists(self, resource: ExistingResource) -> bool:
        return succeeds(resource.client("dynamodb").describe_table, TableName=resource.id)


def _attribute_definitions(request: ResourceRequest) -> list[dict[str, str]]:
    return [{"AttributeName": a["name"], "AttributeType": a["type"]} for a in request.inputs.get("attributes") or []]


def _index(index: Any) -> dict[str, Any]:
    """Return a global secondary index as DynamoDB's "create" calls take it."""
    projection = {
        "ProjectionType": index["projectionType"],
        **({"NonKeyAttributes": index["nonKeyAttributes"]} if index.get("nonKeyAttributes") else {}),
    }
    return {"IndexName": index["name"], "KeySchema": _key_schema(index), "Projection": projection}


def _index_updates(resource: ExistingResource) -> list[dict[str, Any]]:
    """Return the deletions and creations of indexes that lead from the old inputs to the new ones, by name."""
    if "globalSecondaryIndexes" not in resource.changed:
        return []
    before = {index["name"] for index in resource.outputs.get("globalSecondaryIndexes") or []}
    after = {index["name"]: index for index in resource.inputs.get("globalSecondaryIndexes") or []}
    removed = [{"Delete": {"IndexName": name}} for name in sorted(before - set(after))]
    return [*removed, *({"Create": _index(index)} for name, index in after.items() if name not in before)]


def _replica_updates(resource: ExistingResource) -> list[dict[str, Any]]:
    """Return the creations and deletions of replicas that lead from the old inputs to the new ones."""
    before, after = resource.outputs.get("replicas") or [], resource.inputs.get("replicas") or []
    regions_before = {replica["regionName"] for replica in before}
    regions_after = {replica["regionName"] for replica in after}
    added = [replica for replica in after if replica["regionName"] not in regions_before]
    removed = sorted(regions_before - regions_after)
    return [*_replica_creations(added), *({"Delete": {"RegionName": region}} for region in removed)]


def _replica_creations(replicas: list[Any]) -> list[dict[str, Any]]:
    return [{"Create": arguments(replica, RegionName="regionName", KMSMasterKeyId="kmsKeyArn")} for replica in replicas]


def _key_schema(spec: Any) -> list[dict[str, str]]:
    if spec.get("keySchemas"):
        return [{"AttributeName": part["attributeName"], "KeyType": part["keyType"]} for part in spec["keySchemas"]]
    keys = [("HASH", spec["hashKey"]), ("RANGE", spec.get("rangeKey"))]
    return [{"AttributeName": name, "KeyType": kind} for kind, name in keys if name]
