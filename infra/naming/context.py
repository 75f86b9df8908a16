"""Stack context: stack name, region and account, and the physical names, ARNs and tags that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import pulumi
import pulumi_aws as aws
from pulumi import Output

from infra.settings import Settings

PROJECT = "infrafabric"
STACK_TAG = "Stack"  # of roles alone: it tells prod's roles from those of prod-secondary, whose names begin alike


class DataClass(StrEnum):
    """Class of the data that a resource holds; access reviews and data-protection audits filter by it."""

    NONE = "none"  # no data: a route, a rule, a schedule
    INTERNAL = "internal"  # logs, metrics, code
    CONFIDENTIAL = "confidential"  # goals, tasks, findings, reports
    SECRET = "secret"  # keys and credentials  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class StackContext:
    """Stack, region and account, from which components derive names, ARNs and tags.

    Physical names carry the stack name, because IAM role names are unique per account, bucket names are unique
    worldwide, and two stacks may share an account.
    """

    stack: str
    environment: str
    region: str
    cost_center: str
    account_id: Output[str]

    @classmethod
    def of(cls, settings: Settings, provider: aws.Provider) -> StackContext:
        """Return the context of the stack that runs; the account is the one of ``provider``'s credentials."""
        identity = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider))
        return cls(
            stack=pulumi.get_stack(),
            environment=settings.environment,
            region=settings.region,
            cost_center=settings.tags.cost_center,
            account_id=identity.account_id,
        )

    def in_region(self, region: str) -> StackContext:
        """Return the context of the same stack in ``region``."""
        return replace(self, region=region)

    @property
    def prod(self) -> bool:
        return self.environment == "prod"

    @property
    def partition(self) -> str:
        prefix = self.region.split("-")[0]
        return {"cn": "aws-cn"}.get(prefix, "aws-us-gov" if self.region.startswith("us-gov-") else "aws")

    def physical_name(self, label: str) -> str:
        """Return the physical name of ``label`` in this stack: ``infrafabric-<stack>-<label>``."""
        return f"{PROJECT}-{self.stack}-{label}"

    def bucket_name(self, label: str) -> Output[str]:
        """Return a bucket name that is unique worldwide; ``settings.LONGEST_STACK_NAME`` keeps it below S3's limit."""
        return self.account_id.apply(lambda account: f"{self.physical_name(label)}-{account}-{self.region}")

    def arn(self, service: str, resource: str) -> Output[str]:
        """Return the ARN of ``resource`` in this account and region, known before the resource exists."""
        return self.account_id.apply(
            lambda account: f"arn:{self.partition}:{service}:{self.region}:{account}:{resource}"
        )

    def tags(self, component: str, data: DataClass, name: str | None = None) -> dict[str, str]:
        """Return the tags of a resource.

        Every resource names its tags, because default tags of a provider are lost with the provider.
        """
        name_tag = {"Name": self.physical_name(name)} if name else {}
        return {
            **name_tag,
            "Project": PROJECT,
            "Environment": self.environment,
            "Component": component,
            "ManagedBy": "pulumi",
            "CostCenter": self.cost_center,
            "DataClass": data.value,
        }
