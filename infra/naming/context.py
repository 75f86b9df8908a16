"""Where a stack stands, and what everything in it is called and tagged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import pulumi
import pulumi_aws as aws
from pulumi import Output

from infra.settings import Settings

PROJECT = "infrafabric"


class DataClass(StrEnum):
    """What a resource holds: the word that access reviews and data-protection audits filter by."""

    NONE = "none"  # holds no data: a route, a rule, a schedule
    INTERNAL = "internal"  # logs, metrics, code
    CONFIDENTIAL = "confidential"  # goals, tasks, findings, reports
    SECRET = "secret"  # keys and credentials  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class StackContext:
    """One stack in one region of one account; components derive their names, ARNs and tags from it.

    Names carry the stack because IAM and bucket names are unique per account or per world, and two stacks may share an
    account.
    """

    stack: str
    environment: str
    region: str
    cost_center: str
    account_id: Output[str]

    @classmethod
    def of(cls, settings: Settings, provider: aws.Provider) -> StackContext:
        """The place that ``provider`` reaches with the deployer's credentials."""
        identity = aws.get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider))
        return cls(
            stack=pulumi.get_stack(),
            environment=settings.environment,
            region=settings.region,
            cost_center=settings.tags.cost_center,
            account_id=identity.account_id,
        )

    def in_region(self, region: str) -> StackContext:
        """The same stack in another region."""
        return replace(self, region=region)

    @property
    def prod(self) -> bool:
        return self.environment == "prod"

    @property
    def partition(self) -> str:
        prefix = self.region.split("-")[0]
        return {"cn": "aws-cn"}.get(prefix, "aws-us-gov" if self.region.startswith("us-gov-") else "aws")

    def physical_name(self, label: str) -> str:
        """The physical name of ``what`` in this stack."""
        return f"{PROJECT}-{self.stack}-{label}"

    def bucket_name(self, label: str) -> Output[str]:
        """A bucket name that nobody else in the world has; see ``settings.LONGEST_STACK_NAME`` on its length."""
        return self.account_id.apply(lambda account: f"{self.physical_name(label)}-{account}-{self.region}")

    def arn(self, service: str, resource: str) -> Output[str]:
        """The ARN of ``resource`` in this account and region, known before the resource exists."""
        return self.account_id.apply(
            lambda account: f"arn:{self.partition}:{service}:{self.region}:{account}:{resource}"
        )

    def tags(self, component: str, data: DataClass, name: str | None = None) -> dict[str, str]:
        """The tags of a resource. Explicit on each one: a provider's default tags get lost with the provider."""
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
