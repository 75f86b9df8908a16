"""Schema migrations, applied by the deployment through a Lambda function in the VPC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Resource, ResourceOptions

from infra.compute.function import Function, FunctionArgs
from infra.foundation import packages
from infra.foundation.foundation import Foundation
from infra.history.database import MASTER_USER, RECORDER_USER, Database
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.attachment import Attachment, AttachmentArgs
from infra.network.network import Network
from infrafabric.environment import MigratorEnvironment

TIMEOUT_S = 300
MEMORY_MB = 256


@dataclass(frozen=True, kw_only=True)
class MigratorArgs:
    foundation: Foundation
    network: Network
    database: Database
    runs: bool = True  # False for a replica, which receives the schema from its source


class Migrator(ComponentResource):
    """Lambda function that migrates the database schema, and its invocation by the deployment.

    A standby declares the function before a promotion needs it: IAM creates roles only through its control plane in
    us-east-1 (AWS Fault Isolation Boundaries), and a promotion may follow the loss of exactly that region.
    """

    called_services = ("secretsmanager",)  # AWS services that the function calls from the VPC
    invocation: aws.lambda_.Invocation | None  # users of the schema depend on it; ``result`` is JSON

    def __init__(self, name: str, args: MigratorArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Migrator", name, opts=opts)
        child = ResourceOptions(parent=self)
        tags = args.foundation.context.tags("migrator", DataClass.NONE, "migrator")
        role = Role(name, tags, child, service="lambda.amazonaws.com")
        attachment = Attachment(
            f"{name}-vpc",
            AttachmentArgs(foundation=args.foundation, network=args.network, role=role, label="migrator"),
            child,
        )
        args.database.allow_from(attachment, self)
        args.database.grant_read_master_secret(role)
        function = Function(name, self._function_args(role, attachment, args), child)
        depends_on = [*attachment.rules, args.database.instance]
        self.invocation = self._invocation(name, function, depends_on) if args.runs else None
        self.register_outputs({"result": self.invocation and self.invocation.result})

    def _invocation(self, name: str, function: Function, depends_on: Sequence[Resource]) -> aws.lambda_.Invocation:
        digest = {"migrations": packages.migrations_digest()}  # a changed digest runs the migrations again
        return aws.lambda_.Invocation(
            f"{name}-run",
            function_name=function.function_name,
            # $LATEST, not the alias: the provider waits until $LATEST is active, while the published version may
            # still be pending, and Lambda refuses to invoke a pending version.
            input=json.dumps(digest),
            triggers=digest,
            opts=ResourceOptions(parent=self, depends_on=depends_on),
        )

    def _function_args(self, role: Role, attachment: Attachment, args: MigratorArgs) -> FunctionArgs:
        return FunctionArgs(
            foundation=args.foundation,
            role=role,
            label="migrator",
            component="migrator",
            handler="lambdas.migrator.handler.handler",
            environment=MigratorEnvironment.render(
                **args.database.environment(MASTER_USER),
                master_secret_arn=args.database.master_secret_arn,
                recorder_user=RECORDER_USER,
            ),
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            attachment=attachment,
            called_by_deployment=True,
        )
