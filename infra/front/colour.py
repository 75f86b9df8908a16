"""Colour of the blue/green deployment: instances of one release across the zones, in an Auto Scaling group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.foundation import Foundation
from infra.front import user_data
from infra.naming.context import DataClass
from infra.network.network import Network

# EC2 resolves the newest image at each instance start: no lookup in the program, and no diff after a new image.
IMAGE = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
WARMUP_S = 120
LONGEST_LIFE_S = 14 * 24 * 3600  # every instance is replaced within two weeks, from a patched image
_Metric = aws.autoscaling.Metric
_METRICS = (
    _Metric.GROUP_DESIRED_CAPACITY,
    _Metric.GROUP_IN_SERVICE_INSTANCES,
    _Metric.GROUP_MAX_SIZE,
    _Metric.GROUP_MIN_SIZE,
    _Metric.GROUP_TOTAL_INSTANCES,
)


@dataclass(frozen=True, kw_only=True)
class ColourArgs:
    foundation: Foundation
    network: Network
    settings: settings.AppSettings
    colour: str
    artifact_key: Input[str]
    sha256: str
    environment: Mapping[str, Input[str]]
    instance_profile_arn: Input[str]
    security_group_id: Input[str]
    target_group_arn: Input[str]
    depends_on: tuple[Resource, ...]  # needed by an instance's first health checks; an idle group empties after them


class Colour(ComponentResource):
    """Launch template and Auto Scaling group of one colour; an idle group is empty and costs nothing."""

    group_name: Output[str]

    def __init__(self, name: str, args: ColourArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Colour", name, opts=opts)
        self._name, self._args = name, args
        group = self._group(self._template())
        self.group_name = group.name
        aws.autoscaling.Policy(
            f"{name}-cpu",
            name=self._physical_name("-cpu"),
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "ASGAverageCPUUtilization"},
                "target_value": args.settings.cpu_target,
            },
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"group_name": self.group_name})

    def _template(self) -> aws.ec2.LaunchTemplate:
        args, context = self._args, self._args.foundation.context
        tags = self._tags()
        return aws.ec2.LaunchTemplate(
            f"{self._name}-template",
            name=self._physical_name(),
            description=f"The application, {args.colour}",
            image_id=IMAGE.format(architecture=args.settings.architecture),
            instance_type=args.settings.instance_type,
            iam_instance_profile={"arn": args.instance_profile_arn},
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,  # containers on the instance cannot reach the instance's role
                "instance_metadata_tags": "disabled",
            },
            block_device_mappings=[{"device_name": "/dev/xvda", "ebs": self._volume()}],
            network_interfaces=[self._interface()],
            monitoring={"enabled": True},  # metrics per minute; the default of five minutes delays scaling
            update_default_version=True,
            user_data=self._user_data(),
            # The group tags instances; the template tags their network interfaces and volumes.
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("network-interface", "volume")],
            tags=context.tags("front", DataClass.NONE, f"app-{args.colour}"),
            opts=ResourceOptions(parent=self),
        )

    def _volume(self) -> aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgsDict:
        return {
            "volume_type": "gp3",
            "volume_size": self._args.settings.volume_gb,
            "encrypted": "true",
            "kms_key_id": self._args.foundation.keys.data_arn,
            "delete_on_termination": "true",
        }

    def _interface(self) -> aws.ec2.LaunchTemplateNetworkInterfaceArgsDict:
        interface: aws.ec2.LaunchTemplateNetworkInterfaceArgsDict = {
            "device_index": 0,
            "associate_public_ip_address": "false",
            "delete_on_termination": "true",
            "security_groups": [self._args.security_group_id],
        }
        if self._args.network.ipv6:
            interface["ipv6_address_count"] = 1
        return interface

    def _user_data(self) -> Output[str]:
        args, context = self._args, self._args.foundation.context
        known = Output.all(
            bucket=args.foundation.storage.assets_bucket, key=args.artifact_key, environment=dict(args.environment)
        )
        return known.apply(
            lambda resolved: user_data.render(
                region=context.region,
                bucket=resolved["bucket"],
                key=resolved["key"],
                sha256=args.sha256,
                environment={"COLOUR": args.colour, **resolved["environment"]},
                over_ipv6=args.network.ipv6,
            )
        )

    def _group(self, template: aws.ec2.LaunchTemplate) -> aws.autoscaling.Group:
        args = self._args
        runs = args.settings.runs(args.colour)
        propagated: list[aws.autoscaling.GroupTagArgsDict] = [
            {"key": key, "value": value, "propagate_at_launch": True} for key, value in sorted(self._tags().items())
        ]
        return aws.autoscaling.Group(
            f"{self._name}-group",
            name=self._physical_name(),
            min_size=args.settings.instances if runs else 0,
            max_size=args.settings.max_instances if runs else 0,
            # The scaling policy sets the capacity between minimum and maximum, and a number here would reset the
            # capacity at every update. An empty group needs the 0: the provider waits for the last known capacity.
            desired_capacity=None if runs else 0,
            wait_for_elb_capacity=args.settings.instances if runs else None,  # healthy before traffic shifts
            vpc_zone_identifiers=args.network.private_subnet_ids,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            target_group_arns=[args.target_group_arn],
            health_check_type="ELB",
            health_check_grace_period=WARMUP_S,
            default_instance_warmup=WARMUP_S,
            default_cooldown=WARMUP_S,
            max_instance_lifetime=LONGEST_LIFE_S,
            service_linked_role_arn=args.foundation.keys.auto_scaling_role_arn,
            # No automatic rollback: AWS has none for a template that resolves its image. Shift the weights instead.
            instance_refresh={
                "strategy": "Rolling",
                "preferences": {
                    "instance_warmup": str(WARMUP_S),
                    "min_healthy_percentage": 100,
                    "max_healthy_percentage": 200,
                },
            },
            enabled_metrics=list(_METRICS),
            metrics_granularity="1Minute",
            wait_for_capacity_timeout="10m",
            tags=propagated,
            opts=ResourceOptions(parent=self, depends_on=list(args.depends_on)),
        )

    def _physical_name(self, suffix: str = "") -> str:
        return self._args.foundation.context.physical_name(f"app-{self._args.colour}{suffix}")

    def _tags(self) -> dict[str, str]:
        return self._args.foundation.context.tags("front", DataClass.CONFIDENTIAL, f"app-{self._args.colour}")
