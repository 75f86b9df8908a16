"""IAM role without permissions; components that own resources grant access, and all grants end in one inline policy.

A component that owns a resource offers ``grant_…(role)``, which calls ``Role.allow``. The component that needs the role
collects the grants, and ``write_policy`` writes one inline policy, so that a preview shows all rights of the role and
the function can depend on the policy.
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
    """IAM role for one AWS service or trust policy, and the grants collected so far."""

    def __init__(
        self,
        name: str,
        tags: Mapping[str, str],
        opts: ResourceOptions,
        *,
        service: str | None = None,
        trust: Input[str] | None = None,
    ) -> None:
        """Declare the role without permissions.

        Args:
            name: prefix of the logical names.
            tags: the tag ``Name`` is the physical name of the role, and carries the stack.
            service: AWS service that may assume the role; exactly one of ``service`` and ``trust`` must be set.
            trust: trust policy as JSON.
        """
        if (service is None) == (trust is None):
            raise ValueError(f"{name}: a role takes either service or trust; pass exactly one of the two")
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
        """Allow ``actions`` on ``on``; granting the same ``sid`` again adds resources to the statement.

        Raises:
            RuntimeError: the policy is already written; grant before the function is declared.
            ValueError: ``sid`` already stands for other actions or another condition.
        """
        if self._settled:
            raise RuntimeError(f"{sid} was granted to role {self.name} after write_policy(): grant it earlier")
        granted = self._granted.setdefault(sid, _Grant(actions, when))
        if (granted.actions, granted.when) != (actions, when):
            raise ValueError(
                f"{sid} means {granted.actions} for role {self.name} already, not {actions}: use another sid"
            )
        for resource in on if isinstance(on, list) else [on]:
            if not any(resource is known for known in granted.resources):
                granted.resources.append(resource)

    def write_policy(self) -> aws.iam.RolePolicy:
        """Write all grants as one inline policy.

        A function that uses the role depends on the returned policy; without the dependency AWS would refuse the first
        calls.
        """
        self._settled = True
        statements = [granted.statement(sid) for sid, granted in self._granted.items()]
        return aws.iam.RolePolicy(
            f"{self.name}-policy",
            name="granted",
            role=self._role.name,
            policy=policies.document(*statements),
            opts=self._opts,
        )
