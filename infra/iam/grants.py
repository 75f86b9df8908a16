"""Roles that start with nothing: what one may do is what owners granted it, written down once.

A component that owns a resource offers ``grant_…(role)``, which calls ``Role.allow``. The component that needs the role
collects its grants, and ``settle`` writes them as one inline policy, so that a preview shows the whole of it and the
function can wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi_aws as aws
from pulumi import Input, Output, ResourceOptions

from infra.iam import policies


@dataclass
class _Grant:
    actions: tuple[str, ...]
    when: Mapping[str, Any] | None
    resources: list[Input[str]] = field(default_factory=list)

    def statement(self, sid: str) -> dict[str, Any]:
        condition = {"Condition": self.when} if self.when else {}
        return {"Sid": sid, "Effect": "Allow", "Action": list(self.actions), "Resource": self.resources, **condition}


class Role:
    """A role for one principal of AWS, and the grants it has been given so far."""

    def __init__(
        self,
        name: str,
        tags: Mapping[str, str],
        opts: ResourceOptions,
        *,
        service: str | None = None,
        trust: Input[str] | None = None,
    ) -> None:
        """``name`` is the logical prefix; the role is called after ``tags["Name"]``, which carries the stack.

        Either ``service`` may take the role, or whom the trust policy ``trust`` names.
        """
        if (service is None) == (trust is None):
            raise ValueError(f"{name}: a role is trusted by a service or by a policy, and by one of them")
        self.name = name
        self._opts = opts
        self._granted: dict[str, _Grant] = {}
        self._settled = False
        self._role = aws.iam.Role(
            f"{name}-role",
            name=tags["Name"],
            assume_role_policy=trust if trust is not None else policies.trust_policy(str(service)),
            tags=tags,
            opts=opts,
        )
        self.arn: Output[str] = self._role.arn
        self.role_name: Output[str] = self._role.name

    def allow(
        self,
        sid: str,
        *actions: str,
        on: Input[str] | list[Output[str]] | list[Input[str]],
        when: Mapping[str, Any] | None = None,
    ) -> None:
        """Allow ``actions`` on ``on``. Granting the same ``sid`` again adds resources to its statement.

        Raises:
            RuntimeError: the policy is already written: grant before the function is made.
            ValueError: ``sid`` stands for other actions or another condition already.
        """
        if self._settled:
            raise RuntimeError(f"{sid} was granted to {self.name} after its policy was written: grant it earlier")
        granted = self._granted.setdefault(sid, _Grant(actions, when))
        if (granted.actions, granted.when) != (actions, when):
            raise ValueError(f"{sid} means {granted.actions} for {self.name} already, and now {actions}")
        for resource in on if isinstance(on, list) else [on]:
            if not any(resource is known for known in granted.resources):
                granted.resources.append(resource)

    def write_policy(self) -> aws.iam.RolePolicy:
        """Write the grants; what acts with this role depends on the result, or AWS would refuse its first calls."""
        self._settled = True
        statements = [granted.statement(sid) for sid, granted in self._granted.items()]
        return aws.iam.RolePolicy(
            f"{self.name}-policy",
            name="granted",
            role=self._role.name,
            policy=policies.document(*statements),
            opts=self._opts,
        )
