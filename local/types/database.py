"""RDS. The emulator keeps the instance's record; PostgreSQL itself is a process of the platform."""

from __future__ import annotations

import json
import secrets
from typing import Any

from local.types import Declared, Made, creates, given


@creates("aws:rds/subnetGroup:SubnetGroup")
def subnet_group(it: Declared) -> Made:
    name = it.physical()
    it.client("rds").create_db_subnet_group(
        DBSubnetGroupName=name,
        DBSubnetGroupDescription=it.inputs.get("description") or name,
        SubnetIds=list(it.inputs["subnetIds"]),
        Tags=it.tags(),
    )
    return Made(name, {"name": name, "arn": it.arn("rds", f"subgrp:{name}")})


@creates("aws:rds/parameterGroup:ParameterGroup")
def parameter_group(it: Declared) -> Made:
    name, rds = it.physical(), it.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=name,
        DBParameterGroupFamily=it.inputs["family"],
        Description=it.inputs.get("description") or name,
        Tags=it.tags(),
    )
    parameters = [
        {"ParameterName": p["name"], "ParameterValue": p["value"], "ApplyMethod": p.get("applyMethod") or "immediate"}
        for p in it.inputs.get("parameters") or []
    ]
    if parameters:
        rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=parameters)
    return Made(name, {"name": name, "arn": it.arn("rds", f"pg:{name}")})


@creates("aws:rds/instance:Instance")
def instance(it: Declared) -> Made:
    """A replica, promoted or not, is an instance of its own: the emulator knows none across regions.

    Behind it stands the one PostgreSQL of the platform, as behind its source: both show the same rows.
    """
    inputs, name = it.inputs, it.inputs.get("identifier") or it.name
    user = inputs.get("username") or "postgres"
    managed = bool(inputs.get("manageMasterUserPassword"))
    copied = "username" not in inputs  # what came with the source is not set again, also once it is promoted
    password = secrets.token_urlsafe(24) if managed or copied else inputs["password"]
    made = it.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        Engine=inputs.get("engine") or "postgres",  # a replica has its source's
        DBInstanceClass=inputs["instanceClass"],
        MasterUsername=user,
        MasterUserPassword=password,
        Port=it.at.database_port,
        Tags=it.tags(),
        **given(
            inputs, DBName="dbName", AllocatedStorage="allocatedStorage", EngineVersion="engineVersion",
            MultiAZ="multiAz", StorageEncrypted="storageEncrypted", DBSubnetGroupName="dbSubnetGroupName",
            VpcSecurityGroupIds="vpcSecurityGroupIds", DBParameterGroupName="parameterGroupName",
            EnableIAMDatabaseAuthentication="iamDatabaseAuthenticationEnabled", DeletionProtection="deletionProtection",
            BackupRetentionPeriod="backupRetentionPeriod",
        ),
    )["DBInstance"]  # fmt: skip
    if not copied:
        it.at.on_database(inputs.get("dbName") or "postgres", user, password)
    resource_id = made.get("DbiResourceId") or f"db-{name}"
    address = "localhost"  # the name in the certificate of the platform's PostgreSQL
    outputs: dict[str, Any] = {
        "arn": made["DBInstanceArn"],
        "identifier": name,
        "address": address,
        "port": it.at.database_port,
        "endpoint": f"{address}:{it.at.database_port}",
        "resourceId": resource_id,
        "username": user,
    }
    if managed:
        secret = it.client("secretsmanager").create_secret(
            Name=f"rds!{resource_id}", SecretString=json.dumps({"username": user, "password": password})
        )
        outputs["masterUserSecrets"] = [{"secretArn": secret["ARN"], "secretStatus": "active", "kmsKeyId": ""}]
    return Made(resource_id, outputs)
