"""Secrets Manager: secrets and their values."""

from __future__ import annotations

from typing import Any

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:secretsmanager/secret:Secret", replaced_by=("name", "namePrefix"))
class ManagedSecret(ResourceType):
    """Secret with its replicas."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("secretsmanager").create_secret(
            Name=request.physical_name(),
            Tags=request.tag_list(),
            **arguments(request.inputs, Description="description", KmsKeyId="kmsKeyId"),
        )
        request.exists_as(response["ARN"])
        if request.inputs.get("replicas"):  # the emulator ignores replicas in create_secret
            regions = _replica_regions(request.inputs["replicas"])
            request.client("secretsmanager").replicate_secret_to_regions(
                SecretId=response["ARN"], AddReplicaRegions=regions
            )
        return CreatedResource(response["ARN"], {"arn": response["ARN"], "name": request.physical_name()})

    def change(self, resource: ExistingResource) -> None:
        resource.client("secretsmanager").update_secret(
            SecretId=resource.id, **arguments(resource.inputs, Description="description", KmsKeyId="kmsKeyId")
        )
        regions_before = {replica["region"] for replica in resource.outputs.get("replicas") or []}
        added = [r for r in resource.inputs.get("replicas") or [] if r["region"] not in regions_before]
        if added:  # a replica cannot be removed again: the emulator has no call for a removal
            regions = _replica_regions(added)
            resource.client("secretsmanager").replicate_secret_to_regions(
                SecretId=resource.id, AddReplicaRegions=regions
            )

    def remove(self, resource: ExistingResource) -> None:
        days = resource.inputs.get("recoveryWindowInDays")
        recovery = {"ForceDeleteWithoutRecovery": True} if days == 0 else {"RecoveryWindowInDays": int(days or 30)}
        resource.client("secretsmanager").delete_secret(SecretId=resource.id, **recovery)


@resource("aws:secretsmanager/secretVersion:SecretVersion")
class ManagedSecretVersion(ResourceType):
    """Value of a secret."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("secretsmanager").put_secret_value(
            SecretId=request.inputs["secretId"], SecretString=request.inputs["secretString"]
        )
        outputs = {"versionId": response["VersionId"], "secretArn": response["ARN"], "arn": response["ARN"]}
        return CreatedResource(f"{response['ARN']}|{response['VersionId']}", outputs)


def _replica_regions(replicas: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [arguments(replica, Region="region", KmsKeyId="kmsKeyId") for replica in replicas]
