"""IAM, KMS and Secrets Manager."""

from __future__ import annotations

import json
from typing import Any

from local.types import Declared, Made, creates, given, put_again


@creates("aws:iam/role:Role")
def role(it: Declared) -> Made:
    name = it.physical()
    iam = it.client("iam")
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=_document(it.inputs["assumeRolePolicy"]),
        Tags=it.tags(),
        **given(it.inputs, Path="path", Description="description", PermissionsBoundary="permissionsBoundary"),
    )["Role"]
    for policy in it.inputs.get("inlinePolicies") or []:
        iam.put_role_policy(RoleName=name, PolicyName=policy["name"], PolicyDocument=policy["policy"])
    for arn in it.inputs.get("managedPolicyArns") or []:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    return Made(name, {"arn": made["Arn"], "name": name, "uniqueId": made["RoleId"]})


@creates("aws:iam/rolePolicy:RolePolicy", update=put_again)
def role_policy(it: Declared) -> Made:
    name = it.physical()
    it.client("iam").put_role_policy(
        RoleName=it.inputs["role"], PolicyName=name, PolicyDocument=_document(it.inputs["policy"])
    )
    return Made(f"{it.inputs['role']}:{name}", {"name": name})


@creates("aws:iam/policy:Policy")
def policy(it: Declared) -> Made:
    made = it.client("iam").create_policy(
        PolicyName=it.physical(), PolicyDocument=_document(it.inputs["policy"]), Tags=it.tags()
    )
    return Made(made["Policy"]["Arn"], {"arn": made["Policy"]["Arn"], "name": it.physical()})


@creates("aws:iam/serviceLinkedRole:ServiceLinkedRole")
def service_linked_role(it: Declared) -> Made:
    made = it.client("iam").create_service_linked_role(
        AWSServiceName=it.inputs["awsServiceName"], **given(it.inputs, CustomSuffix="customSuffix")
    )["Role"]
    return Made(made["Arn"], {"arn": made["Arn"], "name": made["RoleName"]})


@creates("aws:iam/instanceProfile:InstanceProfile")
def instance_profile(it: Declared) -> Made:
    iam, name = it.client("iam"), it.physical()
    made = iam.create_instance_profile(InstanceProfileName=name, Tags=it.tags())["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=it.inputs["role"])
    return Made(name, {"arn": made["Arn"], "name": name})


@creates("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
def role_policy_attachment(it: Declared) -> Made:
    it.client("iam").attach_role_policy(RoleName=it.inputs["role"], PolicyArn=it.inputs["policyArn"])
    return Made(f"{it.inputs['role']}-{it.inputs['policyArn']}")


@creates("aws:iam/accountPasswordPolicy:AccountPasswordPolicy")
def password_policy(it: Declared) -> Made:
    it.client("iam").update_account_password_policy(
        **given(
            it.inputs, MinimumPasswordLength="minimumPasswordLength", RequireSymbols="requireSymbols",
            RequireNumbers="requireNumbers", RequireUppercaseCharacters="requireUppercaseCharacters",
            RequireLowercaseCharacters="requireLowercaseCharacters", MaxPasswordAge="maxPasswordAge",
            AllowUsersToChangePassword="allowUsersToChangePassword", HardExpiry="hardExpiry",
            PasswordReusePrevention="passwordReusePrevention",
        )
    )  # fmt: skip
    return Made("iam-account-password-policy")


@creates("aws:kms/key:Key")
def key(it: Declared) -> Made:
    kms = it.client("kms")
    made = kms.create_key(
        Tags=it.tags("TagKey", "TagValue"),
        **given(
            it.inputs, Description="description", KeyUsage="keyUsage", KeySpec="customerMasterKeySpec",
            MultiRegion="multiRegion",
        ),
        **({"Policy": _document(it.inputs["policy"])} if it.inputs.get("policy") else {}),
    )["KeyMetadata"]  # fmt: skip
    if it.inputs.get("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return Made(made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]})


@creates("aws:kms/replicaKey:ReplicaKey")
def replica_key(it: Declared) -> Made:
    primary = it.inputs["primaryKeyArn"]
    home = it.at.client("kms", primary.split(":")[3])
    made = home.replicate_key(
        KeyId=primary, ReplicaRegion=it.region, Tags=it.tags("TagKey", "TagValue"),
        **given(it.inputs, Description="description"),
    )["ReplicaKeyMetadata"]  # fmt: skip
    if it.inputs.get("policy"):
        it.client("kms").put_key_policy(KeyId=made["KeyId"], PolicyName="default", Policy=it.inputs["policy"])
    return Made(made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]})


@creates("aws:kms/alias:Alias")
def alias(it: Declared) -> Made:
    name = it.physical()
    it.client("kms").create_alias(AliasName=name, TargetKeyId=it.inputs["targetKeyId"])
    return Made(name, {"name": name, "arn": it.arn("kms", name)})


@creates("aws:secretsmanager/secret:Secret")
def secret(it: Declared) -> Made:
    made = it.client("secretsmanager").create_secret(
        Name=it.physical(),
        Tags=it.tags(),
        **given(it.inputs, Description="description", KmsKeyId="kmsKeyId"),
    )
    if it.inputs.get("replicas"):  # the emulator knows them only in a call of their own
        regions = secret_replicas(it.inputs["replicas"])
        it.client("secretsmanager").replicate_secret_to_regions(SecretId=made["ARN"], AddReplicaRegions=regions)
    return Made(made["ARN"], {"arn": made["ARN"], "name": it.physical()})


@creates("aws:secretsmanager/secretVersion:SecretVersion")
def secret_version(it: Declared) -> Made:
    made = it.client("secretsmanager").put_secret_value(
        SecretId=it.inputs["secretId"], SecretString=it.inputs["secretString"]
    )
    outputs = {"versionId": made["VersionId"], "secretArn": made["ARN"], "arn": made["ARN"]}
    return Made(f"{made['ARN']}|{made['VersionId']}", outputs)


def secret_replicas(wanted: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [given(replica, Region="region", KmsKeyId="kmsKeyId") for replica in wanted]


def _document(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
