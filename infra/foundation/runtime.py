"""Runtime of the functions: one code archive and one dependency layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.foundation import packages
from infra.naming.context import StackContext


@dataclass(frozen=True, kw_only=True)
class RuntimeArgs:
    context: StackContext
    settings: settings.RuntimeSettings
    reserved_concurrency: Mapping[str, int] = field(default_factory=dict)  # by function's label
    unreserved_reason: str | None = None  # warning of the preview


class Runtime(ComponentResource):
    """Code archive, dependency layer and Python version shared by all functions."""

    layer_arn: Output[str]
    code: pulumi.Archive
    python: str
    architecture: str
    reserved_concurrency: Mapping[str, int]  # by function's label
    by_steps: bool  # fabric release shifts the aliases, not the deployment

    def __init__(self, name: str, args: RuntimeArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:compute:Runtime", name, opts=opts)
        self.code = packages.code(args.settings)
        self.python, self.architecture = args.settings.python, args.settings.architecture
        self.reserved_concurrency = args.reserved_concurrency
        if args.unreserved_reason:
            pulumi.log.warn(args.unreserved_reason, self)
        self.by_steps = args.settings.rollout == "by-steps"
        layer = aws.lambda_.LayerVersion(
            f"{name}-layer",
            layer_name=args.context.physical_name("dependencies"),
            description="Locked dependencies of the functions, with byte code",
            code=packages.layer(args.settings),
            compatible_runtimes=[self.python],
            compatible_architectures=[self.architecture],
            opts=ResourceOptions(parent=self),
        )
        self.layer_arn = layer.arn
        self.register_outputs({"layer_arn": self.layer_arn})
