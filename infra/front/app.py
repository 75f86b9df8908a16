"""First application next to the swarm (NaviDocs): two colours behind one load balancer."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.foundation import Foundation
from infra.foundation.storage import APP_ARTIFACTS
from infra.front import user_data
from infra.front.certificate import Certificate, CertificateArgs
from infra.front.colour import Colour, ColourArgs
from infra.front.dns import Dns
from infra.front.load_balancer import APP_PORT, HTTPS, LoadBalancer, LoadBalancerArgs
from infra.front.public_name import AliasTarget
from infra.front.tenants import Tenants, TenantsArgs
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.network import Network


@dataclass(frozen=True, kw_only=True)
class AppArgs:
    foundation: Foundation
    network: Network
    dns: Dns
    settings: settings.AppSettings
    standby: bool = False


class App(ComponentResource):
    """Application at ``app.<domain>``: load balancer, tenants' role, and two colours of instances."""

    target: AliasTarget  # target of the application's DNS records
    balancer: LoadBalancer
    tenants: Tenants

    def __init__(self, name: str, args: AppArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:App", name, opts=opts)
        self._name, self._args = name, args
        child = ResourceOptions(parent=self)
        names = (args.dns.regional_name("app"), args.dns.shared_name("app"))
        certificate = Certificate(
            f"{name}-tls",
            CertificateArgs(
                context=args.foundation.context,
                label="app",
                zone_id=args.dns.zone_id,
                names=names,
                validated_elsewhere=names[1:] if args.standby else (),
            ),
            child,
        )
        self.balancer = LoadBalancer(
            f"{name}-front",
            LoadBalancerArgs(
                foundation=args.foundation,
                network=args.network,
                certificate_arn=certificate.arn,
                names=names,
                weights=args.settings.weights,
            ),
            child,
        )
        role = Role(
            name, args.foundation.context.tags("front", DataClass.NONE, "app"), child, service="ec2.amazonaws.com"
        )
        self.tenants = Tenants(f"{name}-tenant", TenantsArgs(foundation=args.foundation, application_role=role), child)
        args.foundation.storage.grant_read_app_artifacts(role)
        profile = self._profile(role)
        group, rules = self._instance_group()
        self._release(profile, group, (*rules, self.balancer.health_check_rule, role.write_policy()))
        self.target = AliasTarget(name=self.balancer.dns_name, zone_id=self.balancer.zone_id)
        self.register_outputs({"target_group_arns": self.balancer.target_group_arns})

    def _profile(self, role: Role) -> aws.iam.InstanceProfile:
        context, child = self._args.foundation.context, ResourceOptions(parent=self)
        attached = aws.iam.RolePolicyAttachment(
            f"{self._name}-session-manager",
            role=role.role_name,
            # AWS managed policy: Session Manager instead of SSH; AWS adds permissions as the agent needs them.
            policy_arn=f"arn:{context.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
            opts=child,
        )
        return aws.iam.InstanceProfile(
            f"{self._name}-profile",
            name=context.physical_name("app"),
            role=role.role_name,
            tags=context.tags("front", DataClass.NONE, "app"),
            opts=ResourceOptions(parent=self, depends_on=[attached]),
        )

    def _instance_group(self) -> tuple[Output[str], list[Resource]]:
        """Declare the security group of the instances, and its rules.

        Ingress: the application's port, from the load balancer. Egress: HTTPS to S3, and to AWS by IPv6 or NAT.
        """
        network, context = self._args.network, self._args.foundation.context
        group = aws.ec2.SecurityGroup(
            f"{self._name}-instances",
            name=context.physical_name("app-instances"),
            description="Instances of the application: from the load balancer alone",
            vpc_id=network.vpc_id,
            tags=context.tags("front", DataClass.NONE, "app-instances"),
            opts=ResourceOptions(parent=self),
        )
        front = self.balancer.security_group_id
        rules: list[Resource] = [
            self._security_group_rule("in", group.id, APP_PORT, inwards=True, referenced_security_group_id=front),
            self._security_group_rule(
                "front-out", front, APP_PORT, inwards=False, referenced_security_group_id=group.id
            ),
            self._security_group_rule(
                "to-s3", group.id, HTTPS, inwards=False, prefix_list_id=network.endpoints.s3_prefix_list_id
            ),
        ]
        # Systems Manager and STS have no prefix lists, so HTTPS is open to all addresses; no other port is.
        if network.ipv6:
            rules.append(self._security_group_rule("to-aws", group.id, HTTPS, inwards=False, cidr_ipv6="::/0"))
        if network.nat:
            rules.append(
                self._security_group_rule("to-aws-by-nat", group.id, HTTPS, inwards=False, cidr_ipv4="0.0.0.0/0")
            )
        return group.id, rules

    def _security_group_rule(
        self, label: str, security_group_id: Input[str], port: int, *, inwards: bool, **other: Input[str]
    ) -> Resource:
        rule_type = aws.vpc.SecurityGroupIngressRule if inwards else aws.vpc.SecurityGroupEgressRule
        return rule_type(
            f"{self._name}-{label}",
            security_group_id=security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description="Port of the application" if port == APP_PORT else "HTTPS to AWS",
            tags=self._args.foundation.context.tags("front", DataClass.NONE),
            opts=ResourceOptions(parent=self),
            **other,
        )

    def _artifacts(self) -> dict[str, tuple[Input[str], str]]:
        """Return object key and SHA-256 per colour: the release, or the placeholder until the first release."""
        artifacts: dict[str, tuple[Input[str], str]] = {}
        placeholder: tuple[Input[str], str] | None = None
        for colour, release in self._args.settings.releases.items():
            if release.artifact_key and release.sha256:
                artifacts[colour] = (release.artifact_key, release.sha256)
            else:
                placeholder = placeholder or self._placeholder()
                artifacts[colour] = placeholder
        return artifacts

    def _placeholder(self) -> tuple[Input[str], str]:
        foundation, digest = self._args.foundation, user_data.placeholder_digest()
        key = f"{APP_ARTIFACTS}placeholder-{digest[:16]}.tar"
        if self._args.standby:
            return key, digest  # the primary's placeholder, replicated to this region
        placeholder_object = aws.s3.BucketObjectv2(
            f"{self._name}-placeholder",
            bucket=foundation.storage.assets_bucket,
            key=key,
            content_base64=base64.b64encode(user_data.placeholder()).decode(),
            content_type="application/x-tar",
            server_side_encryption="aws:kms",
            kms_key_id=foundation.keys.data_arn,
            tags=foundation.context.tags("front", DataClass.INTERNAL),
            opts=ResourceOptions(parent=self),
        )
        return placeholder_object.key, digest

    def _release(self, profile: aws.iam.InstanceProfile, group: Output[str], depends_on: tuple[Resource, ...]) -> None:
        """Declare the colours.

        Weights change after the running colours are healthy; an idle colour empties after the change of weights.
        """
        args, artifacts = self._args, self._artifacts()
        environment = {
            "AWS_REGION": args.foundation.context.region,
            "PORT": str(APP_PORT),
            "TENANT_BUCKET": args.foundation.storage.results_bucket,
            "TENANT_ROLE_ARN": self.tenants.role_arn,
        }
        if args.network.ipv6:
            # SDKs call STS at an IPv4-only name by default, which is unreachable without NAT.
            environment["AWS_ENDPOINT_URL_STS"] = f"https://sts.{args.foundation.context.region}.api.aws"

        def colour(colour_name: str, *after: Resource) -> Colour:
            key, sha256 = artifacts[colour_name]
            return Colour(
                f"{self._name}-{colour_name}",
                ColourArgs(
                    foundation=args.foundation,
                    network=args.network,
                    settings=args.settings,
                    colour=colour_name,
                    artifact_key=key,
                    sha256=sha256,
                    environment=environment,
                    instance_profile_arn=profile.arn,
                    security_group_id=group,
                    target_group_arn=self.balancer.target_group_arns[colour_name],
                    depends_on=(*depends_on, *after),
                ),
                ResourceOptions(parent=self),
            )

        weights_rule = self.balancer.set_weights(
            [colour(colour_name) for colour_name in artifacts if args.settings.runs(colour_name)]
        )
        for colour_name in artifacts:
            if not args.settings.runs(colour_name):
                colour(colour_name, weights_rule)
