"""Application Load Balancer: public HTTPS, distributed to two colours by weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.foundation.foundation import Foundation
from infra.foundation.storage import LOAD_BALANCER_LOGS
from infra.naming.context import DataClass
from infra.network.network import Network

HTTP, HTTPS, APP_PORT = 80, 443, 8080
HEALTH_PATH = "/healthz"
# At least TLS 1.2 with forward secrecy, and hybrid post-quantum key exchange if the client can: recommended by Elastic
# Load Balancing ("Security policies for your Application Load Balancer").
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
_ALL_ADDRESSES = {"v4": "0.0.0.0/0", "v6": "::/0"}


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    foundation: Foundation
    network: Network
    certificate_arn: Input[str]
    names: Sequence[str]  # requests for other host names get 404
    weights: Mapping[str, int]  # by colour; the sum is 100


class LoadBalancer(ComponentResource):
    """Application Load Balancer with public ingress, a TLS listener, and one target group per colour."""

    arn: Output[str]
    dns_name: Output[str]
    zone_id: Output[str]
    security_group_id: Output[str]
    target_group_arns: dict[str, Output[str]]  # by colour
    health_check_rule: aws.lb.ListenerRule  # starts the health checks of both target groups

    def __init__(self, name: str, args: LoadBalancerArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:LoadBalancer", name, opts=opts)
        self._name, self._args = name, args
        self._child = ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=args.foundation.context.physical_name("app-front"),
            description="The load balancer of the application: web from everywhere",
            vpc_id=args.network.vpc_id,
            tags=self._tags("app-front"),
            opts=self._child,
        )
        self.security_group_id = group.id
        self._public_ingress()
        balancer = self._balancer()
        self.arn, self.dns_name, self.zone_id = balancer.arn, balancer.dns_name, balancer.zone_id
        self.target_group_arns = {colour: self._target_group(colour) for colour in args.weights}
        self._redirect(balancer)
        self._https = self._listener(balancer)
        self.health_check_rule = self._rule("checked", 20, dict.fromkeys(args.weights, 1), "app-checked")
        self.register_outputs({"arn": self.arn, "dns_name": self.dns_name})

    def _public_ingress(self) -> None:
        """Open the public ports of the application: HTTPS, and HTTP for the redirect to HTTPS."""
        ranges = _ALL_ADDRESSES if self._args.network.ipv6 else {"v4": _ALL_ADDRESSES["v4"]}
        for family, address_range in ranges.items():
            for port in (HTTP, HTTPS):
                aws.vpc.SecurityGroupIngressRule(
                    f"{self._name}-from-world-{port}-{family}",
                    security_group_id=self.security_group_id,
                    cidr_ipv4=address_range if family == "v4" else None,
                    cidr_ipv6=address_range if family == "v6" else None,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    description="From everywhere",
                    tags=self._args.foundation.context.tags("front", DataClass.NONE),
                    opts=self._child,
                )

    def _balancer(self) -> aws.lb.LoadBalancer:
        args, context = self._args, self._args.foundation.context
        return aws.lb.LoadBalancer(
            f"{self._name}-balancer",
            name=context.physical_name("app"),  # at most 31 characters; AWS allows 32
            load_balancer_type="application",
            internal=False,
            ip_address_type="dualstack" if args.network.ipv6 else "ipv4",
            subnets=args.network.public_subnet_ids,
            security_groups=[self.security_group_id],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            enable_http2=True,
            enable_deletion_protection=context.prod,
            idle_timeout=60,
            access_logs={
                "bucket": args.foundation.storage.logs.bucket_id,
                "prefix": LOAD_BALANCER_LOGS,
                "enabled": True,
            },
            tags=self._tags("app"),
            # AWS writes a test object into the log bucket, and requires a VPC with an internet route.
            opts=ResourceOptions(
                parent=self,
                depends_on=[args.foundation.storage.logs.resource_policy, args.network.public_route],
                # AWS refuses the deletion in prod; with the protection the preview stops before other deletions.
                protect=context.prod,
            ),
        )

    def _target_group(self, colour: str) -> Output[str]:
        context = self._args.foundation.context
        target_group = aws.lb.TargetGroup(
            f"{self._name}-{colour}",
            name=f"if-{context.stack}-app-{colour}",  # AWS allows 32 characters, too few for the project's name
            port=APP_PORT,
            protocol="HTTP",  # inside the VPC, between the two security groups only
            protocol_version="HTTP1",
            target_type="instance",
            ip_address_type="ipv4",
            vpc_id=self._args.network.vpc_id,
            deregistration_delay=60,
            health_check={
                "enabled": True,
                "path": HEALTH_PATH,
                "port": "traffic-port",
                "protocol": "HTTP",
                "matcher": "200",
                "interval": 15,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
            tags=self._tags(f"app-{colour}"),
            opts=self._child,
        )
        return target_group.arn

    def _redirect(self, balancer: aws.lb.LoadBalancer) -> None:
        aws.lb.Listener(
            f"{self._name}-http",
            load_balancer_arn=balancer.arn,
            port=HTTP,
            protocol="HTTP",
            default_actions=[
                {
                    "type": "redirect",
                    "redirect": {"port": str(HTTPS), "protocol": "HTTPS", "status_code": "HTTP_301"},
                }
            ],
            tags=self._tags("app-http"),
            opts=self._child,
        )

    def _listener(self, balancer: aws.lb.LoadBalancer) -> aws.lb.Listener:
        return aws.lb.Listener(
            f"{self._name}-https",
            load_balancer_arn=balancer.arn,
            port=HTTPS,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self._args.certificate_arn,
            default_actions=[
                {
                    "type": "fixed-response",
                    "fixed_response": {
                        "content_type": "text/plain",
                        "message_body": "not found",
                        "status_code": "404",
                    },
                }
            ],
            tags=self._tags("app-https"),
            opts=self._child,
        )

    def set_weights(self, after: Sequence[Resource]) -> aws.lb.ListenerRule:
        """Declare the rule that distributes requests to the colours by weight; a release changes only this rule.

        Args:
            after: resources that must be ready to receive traffic.
        """
        return self._rule("weights", 10, self._args.weights, "app-weights", after)

    def _rule(
        self, name: str, priority: int, weights: Mapping[str, int], label: str, after: Sequence[Resource] = ()
    ) -> aws.lb.ListenerRule:
        """Declare a forwarding rule.

        The rule ``checked`` has a lower priority than ``weights``, so no request reaches it; it attaches both target
        groups to the listener early, because AWS checks the health of attached groups only.
        """
        shares: list[aws.lb.ListenerRuleActionForwardTargetGroupArgsDict] = [
            {"arn": self.target_group_arns[colour], "weight": weight} for colour, weight in weights.items()
        ]
        return aws.lb.ListenerRule(
            f"{self._name}-{name}",
            listener_arn=self._https.arn,
            priority=priority,
            conditions=[{"host_header": {"values": list(self._args.names)}}],
            actions=[{"type": "forward", "forward": {"target_groups": shares}}],
            tags=self._tags(label),
            opts=ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _tags(self, label: str) -> dict[str, str]:
        return self._args.foundation.context.tags("front", DataClass.NONE, label)
