"""What the world sees: certificates, names, the load balancer, its instances' groups, and web ACLs."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

from local.types import Declared, Made, creates, given, pascal, put_again


@creates("aws:acm/certificate:Certificate")
def certificate(it: Declared) -> Made:
    acm = it.client("acm")
    arn = acm.request_certificate(
        DomainName=it.inputs["domainName"],
        ValidationMethod=it.inputs["validationMethod"],
        Tags=it.tags(),
        **given(it.inputs, SubjectAlternativeNames="subjectAlternativeNames"),
    )["CertificateArn"]
    asked = []
    for option in acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]:
        record = option["ResourceRecord"]
        asked.append(
            {
                "domainName": option["DomainName"],
                "resourceRecordName": record["Name"],
                "resourceRecordType": record["Type"],
                "resourceRecordValue": record["Value"],
            }
        )
    return Made(arn, {"arn": arn, "domainValidationOptions": asked})


@creates("aws:acm/certificateValidation:CertificateValidation")
def certificate_validation(it: Declared) -> Made:
    """The emulator issues a certificate at once."""
    return Made(it.inputs["certificateArn"])


@creates("aws:route53/zone:Zone")
def zone(it: Declared) -> Made:
    made = it.client("route53").create_hosted_zone(
        Name=it.physical(), CallerReference=_new(it), HostedZoneConfig={"Comment": it.inputs.get("comment") or ""}
    )
    id_ = made["HostedZone"]["Id"].rpartition("/")[2]
    servers = made["DelegationSet"]["NameServers"]
    return Made(id_, {"zoneId": id_, "arn": f"arn:aws:route53:::hostedzone/{id_}", "nameServers": servers})


def _new(it: Declared) -> str:
    """A reference that was never used: by one that was, Route 53 answers with the old one, which is to be replaced."""
    return f"{it.name}-{uuid4()}"


@creates("aws:route53/record:Record")
def record(it: Declared) -> Made:
    wanted: dict[str, Any] = {"Name": it.inputs["name"], "Type": it.inputs["type"]}
    if it.inputs.get("aliases"):
        (alias,) = it.inputs["aliases"]
        wanted["AliasTarget"] = {
            "DNSName": alias["name"],
            "HostedZoneId": alias["zoneId"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        }
    else:
        wanted["TTL"] = int(it.inputs["ttl"])
        wanted["ResourceRecords"] = [{"Value": value} for value in it.inputs["records"]]
    for policy in it.inputs.get("failoverRoutingPolicies") or []:
        wanted["Failover"] = policy["type"]
    wanted |= given(it.inputs, SetIdentifier="setIdentifier", HealthCheckId="healthCheckId")
    change = {"Action": "CREATE", "ResourceRecordSet": wanted}
    it.client("route53").change_resource_record_sets(
        HostedZoneId=it.inputs["zoneId"], ChangeBatch={"Changes": [change]}
    )
    return Made(f"{it.inputs['zoneId']}_{it.inputs['name']}_{it.inputs['type']}", {"fqdn": it.inputs["name"]})


@creates("aws:route53/healthCheck:HealthCheck")
def health_check(it: Declared) -> Made:
    config = given(
        it.inputs, Type="type", FullyQualifiedDomainName="fqdn", Port="port", ResourcePath="resourcePath",
        EnableSNI="enableSni", RequestInterval="requestInterval", FailureThreshold="failureThreshold",
        MeasureLatency="measureLatency",
    )  # fmt: skip
    made = it.client("route53").create_health_check(CallerReference=_new(it), HealthCheckConfig=config)
    id_ = made["HealthCheck"]["Id"]
    return Made(id_, {"arn": f"arn:aws:route53:::healthcheck/{id_}"})


@creates("aws:lb/loadBalancer:LoadBalancer")
def load_balancer(it: Declared) -> Made:
    elb, inputs = it.client("elbv2"), it.inputs
    (made,) = elb.create_load_balancer(
        Name=it.physical(),
        Subnets=inputs["subnets"],
        SecurityGroups=inputs["securityGroups"],
        Scheme="internal" if inputs.get("internal") else "internet-facing",
        Type=inputs["loadBalancerType"],
        Tags=it.tags(),
        **given(inputs, IpAddressType="ipAddressType"),
    )["LoadBalancers"]
    logs = inputs.get("accessLogs") or {}
    attributes = {
        "routing.http.drop_invalid_header_fields.enabled": inputs.get("dropInvalidHeaderFields"),
        "routing.http.desync_mitigation_mode": inputs.get("desyncMitigationMode"),
        "idle_timeout.timeout_seconds": inputs.get("idleTimeout"),
        "access_logs.s3.enabled": logs.get("enabled"),
        "access_logs.s3.bucket": logs.get("bucket"),
        "access_logs.s3.prefix": logs.get("prefix"),
    }
    written = [{"Key": key, "Value": str(v).lower()} for key, v in attributes.items() if v is not None]
    elb.modify_load_balancer_attributes(LoadBalancerArn=made["LoadBalancerArn"], Attributes=written)
    arn = made["LoadBalancerArn"]
    return Made(arn, {"arn": arn, "dnsName": made["DNSName"], "zoneId": made["CanonicalHostedZoneId"]})


@creates("aws:lb/targetGroup:TargetGroup")
def target_group(it: Declared) -> Made:
    check = it.inputs["healthCheck"]
    (made,) = it.client("elbv2").create_target_group(
        Name=it.physical(),
        Matcher={"HttpCode": check["matcher"]},
        Tags=it.tags(),
        **given(
            it.inputs, Port="port", Protocol="protocol", ProtocolVersion="protocolVersion", TargetType="targetType",
            IpAddressType="ipAddressType", VpcId="vpcId",
        ),
        **given(
            check, HealthCheckEnabled="enabled", HealthCheckPath="path", HealthCheckPort="port",
            HealthCheckProtocol="protocol", HealthCheckIntervalSeconds="interval", HealthCheckTimeoutSeconds="timeout",
            HealthyThresholdCount="healthyThreshold", UnhealthyThresholdCount="unhealthyThreshold",
        ),
    )["TargetGroups"]  # fmt: skip
    return Made(made["TargetGroupArn"], {"arn": made["TargetGroupArn"]})


@creates("aws:lb/listener:Listener")
def listener(it: Declared) -> Made:
    certificates = [{"CertificateArn": it.inputs["certificateArn"]}] if it.inputs.get("certificateArn") else []
    (made,) = it.client("elbv2").create_listener(
        LoadBalancerArn=it.inputs["loadBalancerArn"],
        DefaultActions=[_action(action) for action in it.inputs["defaultActions"]],
        Certificates=certificates,
        Tags=it.tags(),
        **given(it.inputs, Port="port", Protocol="protocol", SslPolicy="sslPolicy"),
    )["Listeners"]
    return Made(made["ListenerArn"], {"arn": made["ListenerArn"]})


@creates("aws:lb/listenerRule:ListenerRule")
def listener_rule(it: Declared) -> Made:
    conditions = [
        {"Field": "host-header", "HostHeaderConfig": {"Values": condition["hostHeader"]["values"]}}
        for condition in it.inputs["conditions"]
    ]
    (made,) = it.client("elbv2").create_rule(
        ListenerArn=it.inputs["listenerArn"],
        Priority=int(it.inputs["priority"]),
        Conditions=conditions,
        Actions=[_action(action) for action in it.inputs["actions"]],
        Tags=it.tags(),
    )["Rules"]
    return Made(made["RuleArn"], {"arn": made["RuleArn"]})


def _action(action: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"Type": action["type"]}
    if action.get("redirect"):
        made["RedirectConfig"] = pascal(action["redirect"])
    if action.get("fixedResponse"):
        made["FixedResponseConfig"] = pascal(action["fixedResponse"])
    if action.get("forward"):
        groups = [{"TargetGroupArn": g["arn"], "Weight": int(g["weight"])} for g in action["forward"]["targetGroups"]]
        made["ForwardConfig"] = {"TargetGroups": groups}
    return made


@creates("aws:ec2/launchTemplate:LaunchTemplate")
def launch_template(it: Declared) -> Made:
    inputs = it.inputs
    data: dict[str, Any] = {
        **given(inputs, ImageId="imageId", InstanceType="instanceType", UserData="userData"),
        "IamInstanceProfile": {"Arn": inputs["iamInstanceProfile"]["arn"]},
        "MetadataOptions": pascal(inputs["metadataOptions"]),
        "Monitoring": pascal(inputs["monitoring"]),
        "BlockDeviceMappings": [
            {"DeviceName": mapping["deviceName"], "Ebs": _volume(mapping["ebs"])}
            for mapping in inputs["blockDeviceMappings"]
        ],
        "NetworkInterfaces": [_interface(interface) for interface in inputs["networkInterfaces"]],
        "TagSpecifications": [
            {"ResourceType": s["resourceType"], "Tags": [{"Key": k, "Value": v} for k, v in sorted(s["tags"].items())]}
            for s in inputs["tagSpecifications"]
        ],
    }
    base64.b64decode(data["UserData"], validate=True)
    own = {"ResourceType": "launch-template", "Tags": it.tags()}
    made = it.client("ec2").create_launch_template(
        LaunchTemplateName=it.physical(), LaunchTemplateData=data, TagSpecifications=[own]
    )["LaunchTemplate"]
    version = made["LatestVersionNumber"]
    return Made(made["LaunchTemplateId"], {"name": it.physical(), "latestVersion": version})


def _volume(ebs: Any) -> dict[str, Any]:
    made = given(ebs, VolumeType="volumeType", VolumeSize="volumeSize", KmsKeyId="kmsKeyId")
    truths = {"Encrypted": ebs["encrypted"], "DeleteOnTermination": ebs["deleteOnTermination"]}
    return {**made, **{name: given_text == "true" for name, given_text in truths.items()}}


def _interface(interface: Any) -> dict[str, Any]:
    made = given(interface, DeviceIndex="deviceIndex", Groups="securityGroups", Ipv6AddressCount="ipv6AddressCount")
    return {**made, "AssociatePublicIpAddress": interface["associatePublicIpAddress"] == "true"}


@creates("aws:autoscaling/group:Group")
def group(it: Declared) -> Made:
    inputs, name = it.inputs, it.physical()
    template = inputs["launchTemplate"]
    tags = [
        {"Key": t["key"], "Value": t["value"], "PropagateAtLaunch": t["propagateAtLaunch"],
         "ResourceId": name, "ResourceType": "auto-scaling-group"}
        for t in inputs["tags"]
    ]  # fmt: skip
    it.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateId": template["id"], "Version": template["version"]},
        VPCZoneIdentifier=",".join(inputs["vpcZoneIdentifiers"]),
        Tags=tags,
        **given(
            inputs, MinSize="minSize", MaxSize="maxSize", DesiredCapacity="desiredCapacity",
            TargetGroupARNs="targetGroupArns",
            HealthCheckType="healthCheckType", HealthCheckGracePeriod="healthCheckGracePeriod",
            DefaultInstanceWarmup="defaultInstanceWarmup", DefaultCooldown="defaultCooldown",
            MaxInstanceLifetime="maxInstanceLifetime", ServiceLinkedRoleARN="serviceLinkedRoleArn",
        ),
    )  # fmt: skip
    return Made(name, {"name": name, "arn": it.arn("autoscaling", f"autoScalingGroup::autoScalingGroupName/{name}")})


@creates("aws:autoscaling/policy:Policy", update=put_again)
def scaling_policy(it: Declared) -> Made:
    wanted = it.inputs["targetTrackingConfiguration"]
    made = it.client("autoscaling").put_scaling_policy(
        AutoScalingGroupName=it.inputs["autoscalingGroupName"],
        PolicyName=it.physical(),
        PolicyType=it.inputs["policyType"],
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": pascal(wanted["predefinedMetricSpecification"]),
            "TargetValue": float(wanted["targetValue"]),
        },
    )
    return Made(it.physical(), {"arn": made["PolicyARN"], "name": it.physical()})


@creates("aws:wafv2/webAcl:WebAcl")
def web_acl(it: Declared) -> Made:
    made = it.client("wafv2").create_web_acl(
        Name=it.physical(),
        Scope=it.inputs["scope"],
        DefaultAction=pascal(it.inputs["defaultAction"]),
        VisibilityConfig=_seen(it.inputs["visibilityConfig"]),
        Rules=[_rule(rule) for rule in it.inputs["rules"]],
        Tags=it.tags(),
        **given(it.inputs, Description="description"),
    )["Summary"]
    return Made(made["Id"], {"arn": made["ARN"], "name": it.physical()})


def _rule(rule: Any) -> dict[str, Any]:
    made = pascal({name: value for name, value in rule.items() if name != "visibilityConfig"})
    made["Priority"] = int(made["Priority"])
    limit = made["Statement"].get("RateBasedStatement")
    if limit and "ForwardedIpConfig" in limit:
        limit["ForwardedIPConfig"] = limit.pop("ForwardedIpConfig")
    return {**made, "VisibilityConfig": _seen(rule["visibilityConfig"])}


def _seen(config: Any) -> dict[str, Any]:
    return {
        "SampledRequestsEnabled": config["sampledRequestsEnabled"],
        "CloudWatchMetricsEnabled": config["cloudwatchMetricsEnabled"],
        "MetricName": config["metricName"],
    }


@creates("aws:wafv2/webAclAssociation:WebAclAssociation")
def web_acl_association(it: Declared) -> Made:
    it.client("wafv2").associate_web_acl(WebACLArn=it.inputs["webAclArn"], ResourceArn=it.inputs["resourceArn"])
    return Made(f"{it.inputs['webAclArn']},{it.inputs['resourceArn']}")
