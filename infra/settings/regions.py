"""Which regions a stack and its data may be in, and which stack stands by for which."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"


class RecoverySettings(Section):
    """In a primary: where copies of its data are kept, for a standby to work with."""

    region: str = Field(pattern=REGION)


class PrimarySettings(Section):
    """In a standby: the stack that it stands by for."""

    # As StackReference takes it: organization/project/stack; the organization is literally "organization" where the
    # state lies in a bucket or a folder.
    stack: str = Field(pattern=r"^[\w.-]+/[\w.-]+/[\w.-]+$")
    region: str = Field(pattern=REGION)

    @property
    def name(self) -> str:
        """The stack's own, without organization and project."""
        return self.stack.rpartition("/")[2]
