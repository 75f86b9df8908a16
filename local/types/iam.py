"""IAM: roles, policies, instance profiles and identity providers."""

from __future__ import annotations

from typing import ClassVar

from botocore.exceptions import ClientError

from local.types.arguments import arguments, inputs_of, json_text
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest


@resource("aws:iam/role:Role", replaced_by=("name", "namePrefix", "path"))
class IamRole(ResourceType):
    """IAM role."""

    reads: ClassVar = {"assumeRolePolicy": None, "description": "", "permissionsBoundary": ""}

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        iam = request.client("iam")
        role = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json_text(request.inputs["assumeRolePolicy"]),
            Tags=request.tag_list(),
            **arguments(
                request.inputs, Path="path", Description="description", PermissionsBoundary="permissionsBoundary"
            ),
        )["Role"]
        request.exists_as(name)
        for policy in request.inputs.get("inlinePolicies") or []:
            iam.put_role_policy(RoleName=name, PolicyName=policy["name"], PolicyDocument=policy["policy"])
        for arn in request.inputs.get("managedPolicyArns") or []:
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        return CreatedResource(name, {"arn": role["Arn"], "name": name, "uniqueId": role["RoleId"]})

    def change(self, resource: ExistingResource) -> None:
        iam = resource.client("iam")
        iam.update_assume_role_policy(RoleName=resource.id, PolicyDocument=resource.inputs["assumeRolePolicy"])
        if "permissionsBoundary" in resource.changed:
            boundary = resource.inputs.get("permissionsBoundary")
            if boundary:
                iam.put_role_permissions_boundary(RoleName=resource.id, PermissionsBoundary=boundary)
            else:
                iam.delete_role_permissions_boundary(RoleName=resource.id)
        if "description" in resource.changed:
            # UpdateRole of the emulator keeps the description if the new one is empty.
            iam.update_role_description(RoleName=resource.id, Description=resource.inputs.get("description") or "")

    def remove(self, resource: ExistingResource) -> None:
        iam = resource.client("iam")
        for name in iam.list_role_policies(RoleName=resource.id)["PolicyNames"]:
            iam.delete_role_policy(RoleName=resource.id, PolicyName=name)
        for attached in iam.list_attached_role_policies(RoleName=resource.id)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=resource.id, PolicyArn=attached["PolicyArn"])
        iam.delete_role(RoleName=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        role = resource.client("iam").get_role(RoleName=resource.id)["Role"]
        inputs = {
            "name": resource.id,
            "assumeRolePolicy": json_text(role["AssumeRolePolicyDocument"]),
            "permissionsBoundary": (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn"),
            **inputs_of(role, Description="description"),
        }
        return FoundResource(inputs, {"arn": role["Arn"], "uniqueId": role["RoleId"]})


@resource("aws:iam/rolePolicy:RolePolicy", replaced_by=("name", "namePrefix", "role"))
class IamRolePolicy(PutResource):
    """Inline policy of an IAM role."""

    reads: ClassVar = {"policy": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        request.client("iam").put_role_policy(
            RoleName=request.inputs["role"], PolicyName=name, PolicyDocument=json_text(request.inputs["policy"])
        )
        return CreatedResource(f"{request.inputs['role']}:{name}", {"name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("iam").delete_role_policy(RoleName=resource.value("role"), PolicyName=resource.value("name"))

    def read(self, resource: ExistingResource) -> FoundResource:
        role, _, name = resource.id.partition(":")
        found = resource.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return FoundResource({"role": role, "name": name, "policy": json_text(found["PolicyDocument"])})


@resource("aws:iam/policy:Policy", replaced_by=("name", "namePrefix", "path"))
class IamPolicy(ResourceType):
    """Customer managed IAM policy."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("iam").create_policy(
            PolicyName=request.physical_name(),
            PolicyDocument=json_text(request.inputs["policy"]),
            Tags=request.tag_list(),
        )
        return CreatedResource(
            response["Policy"]["Arn"], {"arn": response["Policy"]["Arn"], "name": request.physical_name()}
        )

    def change(self, resource: ExistingResource) -> None:
        iam = resource.client("iam")
        older = [v for v in iam.list_policy_versions(PolicyArn=resource.id)["Versions"] if not v["IsDefaultVersion"]]
        if len(older) >= 4:  # a policy may have five
            oldest = min(older, key=lambda version: version["CreateDate"])
            iam.delete_policy_version(PolicyArn=resource.id, VersionId=oldest["VersionId"])
        iam.create_policy_version(
            PolicyArn=resource.id, PolicyDocument=json_text(resource.inputs["policy"]), SetAsDefault=True
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("iam").delete_policy(PolicyArn=resource.id)


@resource("aws:iam/serviceLinkedRole:ServiceLinkedRole")
class IamServiceLinkedRole(ResourceType):
    """Service-linked role."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        role = request.client("iam").create_service_linked_role(
            AWSServiceName=request.inputs["awsServiceName"], **arguments(request.inputs, CustomSuffix="customSuffix")
        )["Role"]
        return CreatedResource(role["Arn"], {"arn": role["Arn"], "name": role["RoleName"]})


@resource("aws:iam/instanceProfile:InstanceProfile")
class IamInstanceProfile(ResourceType):
    """Instance profile with its role."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        iam, name = request.client("iam"), request.physical_name()
        profile = iam.create_instance_profile(InstanceProfileName=name, Tags=request.tag_list())["InstanceProfile"]
        request.exists_as(name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=request.inputs["role"])
        return CreatedResource(name, {"arn": profile["Arn"], "name": name})

    def remove(self, resource: ExistingResource) -> None:
        iam = resource.client("iam")
        for role in iam.get_instance_profile(InstanceProfileName=resource.id)["InstanceProfile"]["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=resource.id, RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=resource.id)


@resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
class IamRolePolicyAttachment(ResourceType):
    """Attachment of a managed policy to an IAM role."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("iam").attach_role_policy(RoleName=request.inputs["role"], PolicyArn=request.inputs["policyArn"])
        return CreatedResource(f"{request.inputs['role']}-{request.inputs['policyArn']}")

    def remove(self, resource: ExistingResource) -> None:
        resource.client("iam").detach_role_policy(
            RoleName=resource.value("role"), PolicyArn=resource.value("policyArn")
        )


@resource("aws:iam/accountPasswordPolicy:AccountPasswordPolicy")
class IamPasswordPolicy(ResourceType):
    """Password policy of the account."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("iam").update_account_password_policy(
            **arguments(
                request.inputs,
                MinimumPasswordLength="minimumPasswordLength",
                RequireSymbols="requireSymbols",
                RequireNumbers="requireNumbers",
                RequireUppercaseCharacters="requireUppercaseCharacters",
                RequireLowercaseCharacters="requireLowercaseCharacters",
                MaxPasswordAge="maxPasswordAge",
                AllowUsersToChangePassword="allowUsersToChangePassword",
                HardExpiry="hardExpiry",
                PasswordReusePrevention="passwordReusePrevention",
            )
        )
        return CreatedResource("iam-account-password-policy")


@resource("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
class IamOidcProvider(ResourceType):
    """OpenID Connect identity provider; an existing one of the same URL is adopted."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        iam, url = request.client("iam"), request.inputs["url"]
        try:
            response = iam.create_open_id_connect_provider(
                Url=url, ClientIDList=request.inputs["clientIdLists"], Tags=request.tag_list()
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityAlreadyExists":
                raise
            response = {
                "OpenIDConnectProviderArn": request.arn("iam", f"oidc-provider/{url.split('//')[-1]}", regional=False)
            }
        return CreatedResource(response["OpenIDConnectProviderArn"], {"arn": response["OpenIDConnectProviderArn"]})
