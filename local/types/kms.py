"""KMS: keys, replicas and aliases."""

from __future__ import annotations

from local.types.arguments import arguments, json_text
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:kms/key:Key", replaced_by=("customerMasterKeySpec", "keyUsage", "multiRegion"))
class KmsKey(ResourceType):
    """KMS key."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        kms = request.client("kms")
        metadata = kms.create_key(
            Tags=request.tag_list("TagKey", "TagValue"),
            **arguments(
                request.inputs,
                Description="description",
                KeyUsage="keyUsage",
                KeySpec="customerMasterKeySpec",
                MultiRegion="multiRegion",
            ),
            **({"Policy": json_text(request.inputs["policy"])} if request.inputs.get("policy") else {}),
        )["KeyMetadata"]
        request.exists_as(metadata["KeyId"])
        if request.inputs.get("enableKeyRotation"):
            kms.enable_key_rotation(KeyId=metadata["KeyId"])
        return CreatedResource(metadata["KeyId"], {"arn": metadata["Arn"], "keyId": metadata["KeyId"]})

    def change(self, resource: ExistingResource) -> None:
        kms = resource.client("kms")
        if resource.inputs.get("policy"):
            kms.put_key_policy(KeyId=resource.id, PolicyName="default", Policy=json_text(resource.inputs["policy"]))
        if "description" in resource.changed:
            kms.update_key_description(KeyId=resource.id, Description=resource.inputs.get("description") or "")
        if "enableKeyRotation" in resource.changed:
            switch = kms.enable_key_rotation if resource.inputs.get("enableKeyRotation") else kms.disable_key_rotation
            switch(KeyId=resource.id)

    def remove(self, resource: ExistingResource) -> None:
        days = int(resource.inputs.get("deletionWindowInDays") or 30)
        resource.client("kms").schedule_key_deletion(KeyId=resource.id, PendingWindowInDays=days)


@resource("aws:kms/replicaKey:ReplicaKey", replaced_by=("primaryKeyArn",))
class KmsReplicaKey(KmsKey):
    """Replica of a multi-Region KMS key; changed and removed like a key."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        primary = request.inputs["primaryKeyArn"]
        primary_kms = request.context.client("kms", primary.split(":")[3])
        metadata = primary_kms.replicate_key(
            KeyId=primary,
            ReplicaRegion=request.region,
            Tags=request.tag_list("TagKey", "TagValue"),
            **arguments(request.inputs, Description="description"),
        )["ReplicaKeyMetadata"]
        request.exists_as(metadata["KeyId"])
        if request.inputs.get("policy"):
            request.client("kms").put_key_policy(
                KeyId=metadata["KeyId"], PolicyName="default", Policy=request.inputs["policy"]
            )
        return CreatedResource(metadata["KeyId"], {"arn": metadata["Arn"], "keyId": metadata["KeyId"]})


@resource("aws:kms/alias:Alias", replaced_by=("name", "namePrefix"))
class KmsAlias(ResourceType):
    """Alias of a KMS key."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        request.client("kms").create_alias(AliasName=name, TargetKeyId=request.inputs["targetKeyId"])
        return CreatedResource(name, {"name": name, "arn": request.arn("kms", name)})

    def change(self, resource: ExistingResource) -> None:
        resource.client("kms").update_alias(AliasName=resource.id, TargetKeyId=resource.inputs["targetKeyId"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("kms").delete_alias(AliasName=resource.id)
