"""Regions of a stack and its copies, and the pairing of primary and standby."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section

REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"


class RecoverySettings(Section):
    """Recovery region of a primary: the region of the data copies that a standby works with."""

    region: str = Field(pattern=REGION)


class PrimarySettings(Section):
    """Primary of a standby: the stack that the standby takes over from."""

    # Full name for a StackReference: organization/project/stack. With state in a bucket or a folder the organization is
    # the word "organization".
    stack: str = Field(pattern=r"^[\w.-]+/[\w.-]+/[\w.-]+$")
    region: str = Field(pattern=REGION)

    @property
    def name(self) -> str:
        """Stack name without organization and project."""
        return self.stack.rpartition("/")[2]
