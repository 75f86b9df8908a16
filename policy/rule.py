"""Rules: pure functions of resources, with description, severity, remediation and supported controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pulumi_policy.proxy import UnknownValueError

from policy.config import Config

PROVIDER = "pulumi:providers:aws"  # its region is the region of resources without one
Severity = Literal["low", "medium", "high", "critical"]
Controls = Mapping[str, tuple[str, ...]]  # by profile: soc2, hipaa, gdpr


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Resource as rules see it."""

    type: str  # token, such as aws:sqs/queue:Queue
    name: str  # logical name
    props: Mapping[str, Any]  # inputs; in checks of a whole stack, outputs, whose unset properties may be ""
    urn: str = ""

    def value(self, *path: str) -> Any:
        """Return the property at ``path``; None if a key is missing."""
        return value_at(self.props, *path)

    def has(self, key: str) -> bool:
        """Return whether a property is set, also to a value that a preview does not know yet."""
        return is_set(self.props, key)


Violation = tuple[Subject, str]  # resource and text
Check = Callable[[Subject, Config], Iterator[str]]  # yields texts that continue "<resource name> …"
StackCheck = Callable[[Sequence[Subject], Config], Iterator[Violation]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Rule with one check: ``check`` for single resources, or ``check_stack`` for the resources of a whole stack."""

    name: str
    description: str
    severity: Severity
    remediation: str
    controls: Controls
    types: frozenset[str] = frozenset()  # resource types for ``check``; empty: all types
    mandatory: bool = True  # False: advisory
    prod_only: bool = False
    check: Check | None = None
    check_stack: StackCheck | None = None

    def applies_to(self, config: Config) -> bool:
        """Return whether the rule applies to the stack: its environment and the selected profile."""
        in_profile = config.profile is None or config.profile in self.controls
        return in_profile and (config.prod or not self.prod_only)

    def resource_violations(self, resource: Subject, config: Config) -> Iterator[str]:
        """Yield the texts of one resource's violations."""
        if self.check and self.applies_to(config) and (not self.types or resource.type in self.types):
            yield from self.check(resource, config)

    def violations(self, subjects: Sequence[Subject], config: Config) -> Iterator[Violation]:
        """Yield the violations of a stack's resources, by either kind of check."""
        if not self.applies_to(config):
            return
        if self.check_stack:
            yield from self.check_stack(subjects, config)
        for resource in subjects:
            yield from ((resource, text) for text in self.resource_violations(resource, config))


def failure_text(error: Exception) -> str:
    """Return the violation's text for a rule that failed with ``error``: an error of the rule, not of the stack."""
    return f"could not be checked: the rule itself failed ({type(error).__name__}: {error})"


def of_type(subjects: Sequence[Subject], *kinds: str) -> list[Subject]:
    """Return the resources of the types ``kinds``, such as ``s3/bucket:Bucket``."""
    tokens = {f"aws:{kind}" for kind in kinds}
    return [resource for resource in subjects if resource.type in tokens]


def is_set(props: Mapping[str, Any], key: str) -> bool:
    """Return whether ``key`` is set and not empty; a value that a preview does not know yet counts as set.

    pulumi-aws writes many unset properties into the state as ``""``, ``[]`` or ``{}`` (its recorded states under
    provider/testdata/recorded: ``redrivePolicy: ""``, ``webAclId: ""``), and rules over a whole stack read that state.
    """
    if key not in list(props):
        return False
    try:
        return not is_empty(props[key])
    except UnknownValueError:
        return True


def is_empty(value: Any) -> bool:
    """Return whether a value is how pulumi-aws writes an unset property; False and 0 are values."""
    return value is None or (isinstance(value, str | Mapping | Sequence) and len(value) == 0)


def value_at(props: Mapping[str, Any], *path: str) -> Any:
    """Return the value at ``path``; None if a key is missing."""
    value: Any = props
    for key in path:
        if not isinstance(value, Mapping) or key not in list(value):
            return None
        value = value[key]
    return value


def as_list(value: Any) -> list[Any]:
    """Return a list for a list, a single value, or an unset value."""
    if is_empty(value):
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
