"""Hosted zone: CAA records, query logs, delegation, and DNSSEC if the settings switch signing on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra import settings
from infra.foundation.foundation import Foundation
from infra.foundation.keys import DELETION_WINDOW_DAYS, iam_delegation
from infra.iam import policies
from infra.naming.context import DataClass, StackContext

GLOBAL_REGION = "us-east-1"  # region of Route 53's keys, log groups and metrics
CAA_TTL_S = 3600
DELEGATION_TTL_S = 172_800  # usual TTL of a registry


@dataclass(frozen=True, kw_only=True)
class DnsArgs:
    foundation: Foundation
    settings: settings.DnsSettings
    log_queries: bool = True  # Route 53 logs queries, with resolvers' addresses, only in us-east-1
    primary_zone_id: Output[str] | None = None  # standby only: the primary owns the zone and its records

    @property
    def standby(self) -> bool:
        return self.primary_zone_id is not None


class Dns(ComponentResource):
    """Hosted zone, new or existing, with CAA records, query logs and DNSSEC; other components add their names."""

    domain: str
    zone_id: Output[str]
    name_servers: Output[Sequence[str]] | None  # of a new zone; the registrar needs these names

    def __init__(self, name: str, args: DnsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Dns", name, opts=opts)
        self._name, self._args = name, args
        self.domain = args.settings.domain
        if args.primary_zone_id is not None:
            self.zone_id, self.name_servers = args.primary_zone_id, None
        elif args.settings.zone_id is None:
            zone = self._zone()
            self.zone_id, self.name_servers = zone.zone_id, zone.name_servers
            if args.log_queries:
                self._log_queries(zone)
            if args.settings.parent_zone_id:
                self._delegate(args.settings.parent_zone_id, zone)
            if args.settings.dnssec:
                self._sign(zone)
        else:
            self.zone_id, self.name_servers = Output.from_input(args.settings.zone_id), None
        if args.settings.caa and not args.standby:
            self._caa_record()
        self.register_outputs({"zone_id": self.zone_id, "name_servers": self.name_servers})

    def regional_name(self, label: str) -> str:
        """Return the name of ``label`` in this stack's region, such as api-eu-central-1.<domain>."""
        return regional_name(label, self._args.foundation.context.region, self.domain)

    def shared_name(self, label: str) -> str:
        """Return the name that clients use, independent of the region that answers."""
        return f"{label}.{self.domain}"

    def _zone(self) -> aws.route53.Zone:
        context = self._args.foundation.context
        return aws.route53.Zone(
            f"{self._name}-zone",
            name=self.domain,
            comment=f"InfraFabric {context.stack}",
            force_destroy=False,
            tags=context.tags("front", DataClass.NONE, "zone"),
            # A new zone has other name servers, and the registrar must be updated. Pulumi would delete a named resource
            # and its records before the replacement; here the replacement has another name and comes first.
            opts=ResourceOptions(parent=self, protect=context.prod, delete_before_replace=False),
        )

    def _caa_record(self) -> None:
        aws.route53.Record(
            f"{self._name}-caa",
            zone_id=self.zone_id,
            name=self.domain,
            type="CAA",
            records=['0 issue "amazon.com"', '0 issuewild "amazon.com"'],
            ttl=CAA_TTL_S,
            opts=ResourceOptions(parent=self),
        )

    def _delegate(self, parent_zone_id: Input[str], zone: aws.route53.Zone) -> None:
        aws.route53.Record(
            f"{self._name}-delegation",
            zone_id=parent_zone_id,
            name=self.domain,
            type="NS",
            records=zone.name_servers,
            ttl=DELEGATION_TTL_S,
            opts=ResourceOptions(parent=self),
        )

    def _log_queries(self, zone: aws.route53.Zone) -> None:
        foundation, child = self._args.foundation, ResourceOptions(parent=self)
        group = aws.cloudwatch.LogGroup(
            f"{self._name}-queries",
            name=f"/aws/route53/{foundation.context.physical_name('queries')}",
            retention_in_days=foundation.log_retention_days,
            kms_key_id=foundation.keys.data_arn_in(GLOBAL_REGION),
            region=GLOBAL_REGION,
            tags=foundation.context.tags("front", DataClass.INTERNAL, "queries"),
            opts=child,
        )
        write = policies.document(
            {
                "Sid": "QueriesOfOurZone",
                "Effect": "Allow",
                "Principal": {"Service": "route53.amazonaws.com"},
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": Output.concat(group.arn, ":*"),
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": foundation.context.account_id},
                    "ArnLike": {"aws:SourceArn": zone.arn},
                },
            }
        )
        allowed = aws.cloudwatch.LogResourcePolicy(
            f"{self._name}-queries-policy",
            policy_name=foundation.context.physical_name("route53-queries"),
            policy_document=write,
            region=GLOBAL_REGION,
            opts=child,
        )
        aws.route53.QueryLog(
            f"{self._name}-query-log",
            zone_id=zone.zone_id,
            cloudwatch_log_group_arn=group.arn,
            # Route 53 tests a write before it accepts the configuration, and allows one configuration per zone.
            opts=ResourceOptions(parent=self, depends_on=[allowed], delete_before_replace=True),
        )

    def _sign(self, zone: aws.route53.Zone) -> None:
        """Sign the zone with DNSSEC.

        The chain of trust starts when the parent zone has the DS record, which Route 53 shows after signing.
        """
        context, child = self._args.foundation.context, ResourceOptions(parent=self)
        key = aws.kms.Key(
            f"{self._name}-signing",
            description=f"InfraFabric {context.stack}: signs the keys of zone {self.domain}",
            customer_master_key_spec="ECC_NIST_P256",
            key_usage="SIGN_VERIFY",
            enable_key_rotation=False,  # KMS rotates symmetric keys only
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            policy=_signing_policy(context),
            region=GLOBAL_REGION,
            tags=context.tags("front", DataClass.SECRET, "dnssec"),
            opts=ResourceOptions(parent=self, protect=context.prod),  # without the key the whole zone stops resolving
        )
        signer = aws.route53.KeySigningKey(
            f"{self._name}-signer",
            hosted_zone_id=zone.zone_id,
            key_management_service_arn=key.arn,
            name=context.physical_name("ksk").replace("-", "_"),
            status="ACTIVE",
            opts=child,
        )
        aws.route53.HostedZoneDnsSec(
            f"{self._name}-signed",
            hosted_zone_id=signer.hosted_zone_id,
            signing_status="SIGNING",
            opts=ResourceOptions(parent=self, depends_on=[signer]),
        )


def regional_name(label: str, region: str, domain: str) -> str:
    """Return the name of ``label`` in ``region``, such as api-eu-central-1.<domain>."""
    return f"{label}-{region}.{domain}"


def _signing_policy(context: StackContext) -> Output[str]:
    """Return the key policy that Route 53 requires of a key for signing keys.

    Source: Route 53 Developer Guide, "Working with customer managed keys for DNSSEC".
    """
    # In a key policy the resource "*" means the key itself.
    grantee = {"Effect": "Allow", "Principal": {"Service": "dnssec-route53.amazonaws.com"}, "Resource": "*"}
    condition = {
        "StringEquals": {"aws:SourceAccount": context.account_id},
        "ArnLike": {"aws:SourceArn": f"arn:{context.partition}:route53:::hostedzone/*"},
    }
    return policies.document(
        iam_delegation(context, "kms:GetPublicKey", "kms:Sign", "kms:Verify"),
        {
            "Sid": "Sign",
            "Action": ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
            "Condition": condition,
            **grantee,
        },
        {
            "Sid": "Lend",
            "Action": "kms:CreateGrant",
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            **grantee,
        },
    )
