"""EC2 Auto Scaling: launch templates, groups and scaling policies."""

from __future__ import annotations

import base64
from typing import Any

from local.types.arguments import arguments, pascal_case
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ResourceRequest


@resource("aws:ec2/launchTemplate:LaunchTemplate")
class Ec2LaunchTemplate(ResourceType):
    """EC2 launch template."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        inputs = request.inputs
        data: dict[str, Any] = {
            **arguments(inputs, ImageId="imageId", InstanceType="instanceType", UserData="userData"),
            "IamInstanceProfile": {"Arn": inputs["iamInstanceProfile"]["arn"]},
            "MetadataOptions": pascal_case(inputs["metadataOptions"]),
            "Monitoring": pascal_case(inputs["monitoring"]),
            "BlockDeviceMappings": [
                {"DeviceName": mapping["deviceName"], "Ebs": _volume(mapping["ebs"])}
                for mapping in inputs["blockDeviceMappings"]
            ],
            "NetworkInterfaces": [_interface(interface) for interface in inputs["networkInterfaces"]],
            "TagSpecifications": [
                {
                    "ResourceType": s["resourceType"],
                    "Tags": [{"Key": k, "Value": v} for k, v in sorted(s["tags"].items())],
                }
                for s in inputs["tagSpecifications"]
            ],
        }
        base64.b64decode(data["UserData"], validate=True)
        template_tags = {"ResourceType": "launch-template", "Tags": request.tag_list()}
        template = request.client("ec2").create_launch_template(
            LaunchTemplateName=request.physical_name(), LaunchTemplateData=data, TagSpecifications=[template_tags]
        )["LaunchTemplate"]
        version = template["LatestVersionNumber"]
        return CreatedResource(
            template["LaunchTemplateId"], {"name": request.physical_name(), "latestVersion": version}
        )


@resource("aws:autoscaling/group:Group")
class AutoScalingGroup(ResourceType):
    """Auto Scaling group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        inputs, name = request.inputs, request.physical_name()
        template = inputs["launchTemplate"]
        tags = [
            {
                "Key": t["key"],
                "Value": t["value"],
                "PropagateAtLaunch": t["propagateAtLaunch"],
                "ResourceId": name,
                "ResourceType": "auto-scaling-group",
            }
            for t in inputs["tags"]
        ]
        request.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateId": template["id"], "Version": template["version"]},
            VPCZoneIdentifier=",".join(inputs["vpcZoneIdentifiers"]),
            Tags=tags,
            **arguments(
                inputs,
                MinSize="minSize",
                MaxSize="maxSize",
                DesiredCapacity="desiredCapacity",
                TargetGroupARNs="targetGroupArns",
                HealthCheckType="healthCheckType",
                HealthCheckGracePeriod="healthCheckGracePeriod",
                DefaultInstanceWarmup="defaultInstanceWarmup",
                DefaultCooldown="defaultCooldown",
                MaxInstanceLifetime="maxInstanceLifetime",
                ServiceLinkedRoleARN="serviceLinkedRoleArn",
            ),
        )
        return CreatedResource(
            name, {"name": name, "arn": request.arn("autoscaling", f"autoScalingGroup::autoScalingGroupName/{name}")}
        )


@resource("aws:autoscaling/policy:Policy", replaced_by=("name",))
class AutoScalingPolicy(PutResource):
    """Target tracking policy of an Auto Scaling group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        target = request.inputs["targetTrackingConfiguration"]
        response = request.client("autoscaling").put_scaling_policy(
            AutoScalingGroupName=request.inputs["autoscalingGroupName"],
            PolicyName=request.physical_name(),
            PolicyType=request.inputs["policyType"],
            TargetTrackingConfiguration={
                "PredefinedMetricSpecification": pascal_case(target["predefinedMetricSpecification"]),
                "TargetValue": float(target["targetValue"]),
            },
        )
        return CreatedResource(request.physical_name(), {"arn": response["PolicyARN"], "name": request.physical_name()})


def _volume(ebs: Any) -> dict[str, Any]:
    return {
        **arguments(ebs, VolumeType="volumeType", VolumeSize="volumeSize", KmsKeyId="kmsKeyId"),
        "Encrypted": ebs["encrypted"] == "true",
        "DeleteOnTermination": ebs["deleteOnTermination"] == "true",
    }


def _interface(interface: Any) -> dict[str, Any]:
    return {
        **arguments(interface, DeviceIndex="deviceIndex", Groups="securityGroups", Ipv6AddressCount="ipv6AddressCount"),
        "AssociatePublicIpAddress": interface["associatePublicIpAddress"] == "true",
    }
