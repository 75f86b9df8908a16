"""ACM certificate, validated by DNS records in the hosted zone, and renewed by AWS while the records exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.naming.context import DataClass, StackContext


@dataclass(frozen=True, kw_only=True)
class CertificateArgs:
    context: StackContext
    label: str  # api, app, edge: part of the tags
    zone_id: Input[str]
    names: Sequence[str]  # the first is the certificate's domain name
    # Names that another stack validates: all certificates of an account for one name share a validation record, and
    # two stacks cannot own one record.
    validated_elsewhere: Sequence[str] = ()
    region: str | None = None  # None: the stack's region; CloudFront accepts certificates from us-east-1 only


class Certificate(ComponentResource):
    """ACM certificate with DNS validation; ``arn`` resolves after ACM has issued the certificate."""

    arn: Output[str]

    def __init__(self, name: str, args: CertificateArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Certificate", name, opts=opts)
        child = ResourceOptions(parent=self)
        certificate = aws.acm.Certificate(
            f"{name}-certificate",
            domain_name=args.names[0],
            subject_alternative_names=list(args.names),  # ACM lists the domain name among the alternative names
            validation_method="DNS",
            options={"certificate_transparency_logging_preference": "ENABLED"},
            region=args.region,
            tags=args.context.tags("front", DataClass.NONE, args.label),
            opts=child,
        )
        records = [
            self._validation_record(f"{name}-proof-{index}", args, certificate, domain_name)
            for index, domain_name in enumerate(args.names)
            if domain_name not in args.validated_elsewhere
        ]
        issued = aws.acm.CertificateValidation(
            f"{name}-issued",
            certificate_arn=certificate.arn,
            region=args.region,
            opts=ResourceOptions(parent=self, depends_on=records),
        )
        self.arn = issued.certificate_arn
        self.register_outputs({"arn": self.arn})

    def _validation_record(
        self, name: str, args: CertificateArgs, certificate: aws.acm.Certificate, domain_name: str
    ) -> aws.route53.Record:
        # Matched by name, because ACM guarantees no order.
        validation = certificate.domain_validation_options.apply(
            lambda options: next(option for option in options if option.domain_name == domain_name)
        )
        return aws.route53.Record(
            name,
            zone_id=args.zone_id,
            name=validation.apply(lambda option: str(option.resource_record_name)),
            type=validation.apply(lambda option: str(option.resource_record_type)),
            records=[validation.apply(lambda option: str(option.resource_record_value))],
            ttl=300,
            opts=ResourceOptions(parent=self),
        )
