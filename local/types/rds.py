"""RDS: subnet groups, parameter groups and instances.

The emulator stores an instance's properties; a PostgreSQL process of the platform serves its database.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:rds/subnetGroup:SubnetGroup")
class RdsSubnetGroup(ResourceType):
    """DB subnet group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        request.client("rds").create_db_subnet_group(
            DBSubnetGroupName=name,
            DBSubnetGroupDescription=request.inputs.get("description") or name,
            SubnetIds=list(request.inputs["subnetIds"]),
            Tags=request.tag_list(),
        )
        return CreatedResource(name, {"name": name, "arn": request.arn("rds", f"subgrp:{name}")})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("rds").delete_db_subnet_group(DBSubnetGroupName=resource.id)


@resource("aws:rds/parameterGroup:ParameterGroup")
class RdsParameterGroup(ResourceType):
    """DB parameter group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, rds = request.physical_name(), request.client("rds")
        rds.create_db_parameter_group(
            DBParameterGroupName=name,
            DBParameterGroupFamily=request.inputs["family"],
            Description=request.inputs.get("description") or name,
            Tags=request.tag_list(),
        )
        request.exists_as(name)
        parameters = [
            {
                "ParameterName": p["name"],
                "ParameterValue": p["value"],
                "ApplyMethod": p.get("applyMethod") or "immediate",
            }
            for p in request.inputs.get("parameters") or []
        ]
        if parameters:
            rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=parameters)
        return CreatedResource(name, {"name": name, "arn": request.arn("rds", f"pg:{name}")})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("rds").delete_db_parameter_group(DBParameterGroupName=resource.id)


@resource(
    "aws:rds/instance:Instance",
    replaced_by=(
        "availabilityZone",
        "dbName",
        "dbSubnetGroupName",
        "engine",
        "identifier",
        "kmsKeyId",
        "storageEncrypted",
        "username",
    ),
)
class RdsInstance(ResourceType):
    """DB instance, read replica or promoted replica.

    The emulator has no replicas across Regions, so a replica is created as an independent instance. All instances are
    served by the platform's one PostgreSQL: a replica and its source show the same rows.
    """

    def create(self, request: ResourceRequest) -> CreatedResource:
        inputs, name = request.inputs, request.inputs.get("identifier") or request.name
        user = inputs.get("username") or "postgres"
        managed = bool(inputs.get("manageMasterUserPassword"))
        # A replica has its source's user and password; the program sets neither, also after the promotion.
        replica = "username" not in inputs
        password = secrets.token_urlsafe(24) if managed or replica else inputs["password"]
        instance = request.client("rds").create_db_instance(
            DBInstanceIdentifier=name,
            Engine=inputs.get("engine") or "postgres",  # a replica has the engine of its source
            DBInstanceClass=inputs["instanceClass"],
            MasterUsername=user,
            MasterUserPassword=password,
            Port=request.context.database_port,
            Tags=request.tag_list(),
            **arguments(
                inputs,
                DBName="dbName",
                AllocatedStorage="allocatedStorage",
                EngineVersion="engineVersion",
                MultiAZ="multiAz",
                StorageEncrypted="storageEncrypted",
                DBSubnetGroupName="dbSubnetGroupName",
                VpcSecurityGroupIds="vpcSecurityGroupIds",
                DBParameterGroupName="parameterGroupName",
                EnableIAMDatabaseAuthentication="iamDatabaseAuthenticationEnabled",
                BackupRetentionPeriod="backupRetentionPeriod",
            ),
        )["DBInstance"]
        request.exists_as(instance["DbiResourceId"], {"identifier": name})
        if not replica:
            request.context.on_database(inputs.get("dbName") or "postgres", user, password)
        resource_id = instance["DbiResourceId"]
        address = "localhost"  # name in the certificate of the platform's PostgreSQL
        outputs: dict[str, Any] = {
            "arn": instance["DBInstanceArn"],
            "identifier": name,
            "address": address,
            "port": request.context.database_port,
            "endpoint": f"{address}:{request.context.database_port}",
            "resourceId": resource_id,
            "username": user,
        }
        if managed:
            secret = request.client("secretsmanager").create_secret(
                Name=f"rds!{resource_id}", SecretString=json.dumps({"username": user, "password": password})
            )
            outputs["masterUserSecrets"] = [{"secretArn": secret["ARN"], "secretStatus": "active", "kmsKeyId": ""}]
            request.exists_as(resource_id, outputs)
        if inputs.get("deletionProtection"):  # last, as a failed creation removes the instance again
            request.client("rds").modify_db_instance(
                DBInstanceIdentifier=name, DeletionProtection=True, ApplyImmediately=True
            )
        return CreatedResource(resource_id, outputs)

    def change(self, resource: ExistingResource) -> None:
        resource.client("rds").modify_db_instance(
            DBInstanceIdentifier=resource.outputs["identifier"],
            ApplyImmediately=bool(resource.inputs.get("applyImmediately")),
            **arguments(
                resource.inputs,
                DBInstanceClass="instanceClass",
                AllocatedStorage="allocatedStorage",
                MultiAZ="multiAz",
                EngineVersion="engineVersion",
                BackupRetentionPeriod="backupRetentionPeriod",
                DeletionProtection="deletionProtection",
                DBParameterGroupName="parameterGroupName",
                VpcSecurityGroupIds="vpcSecurityGroupIds",
            ),
        )

    def remove(self, resource: ExistingResource) -> None:
        snapshot = resource.inputs.get("finalSnapshotIdentifier")
        option = {"FinalDBSnapshotIdentifier": snapshot} if snapshot else {"SkipFinalSnapshot": True}
        resource.client("rds").delete_db_instance(DBInstanceIdentifier=resource.outputs["identifier"], **option)
        for secret in resource.outputs.get("masterUserSecrets") or []:
            resource.client("secretsmanager").delete_secret(
                SecretId=secret["secretArn"], ForceDeleteWithoutRecovery=True
            )
