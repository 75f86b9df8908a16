"""ACM: certificates."""

from __future__ import annotations

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:acm/certificate:Certificate")
class AcmCertificate(ResourceType):
    """TLS certificate with the DNS records that validate it."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        acm = request.client("acm")
        arn = acm.request_certificate(
            DomainName=request.inputs["domainName"],
            ValidationMethod=request.inputs["validationMethod"],
            Tags=request.tag_list(),
            **arguments(request.inputs, SubjectAlternativeNames="subjectAlternativeNames"),
        )["CertificateArn"]
        request.exists_as(arn)
        validation = []
        for option in acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]:
            record = option["ResourceRecord"]
            validation.append(
                {
                    "domainName": option["DomainName"],
                    "resourceRecordName": record["Name"],
                    "resourceRecordType": record["Type"],
                    "resourceRecordValue": record["Value"],
                }
            )
        return CreatedResource(arn, {"arn": arn, "domainValidationOptions": validation})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("acm").delete_certificate(CertificateArn=resource.id)


@resource("aws:acm/certificateValidation:CertificateValidation")
class AcmCertificateValidation(ResourceType):
    """Wait for the validation of a certificate. The emulator issues certificates at once, so nothing waits."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        return CreatedResource(request.inputs["certificateArn"])
