"""What a rule is: a pure function of resources, with everything that a reader of its violation needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from policy.config import Config

PROVIDER = "pulumi:providers:aws"  # its region is where everything is that names none
Severity = Literal["low", "medium", "high", "critical"]
Controls = Mapping[str, tuple[str, ...]]  # by profile: soc2, hipaa, gdpr


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A resource, as far as rules look at it."""

    type: str  # aws:sqs/queue:Queue
    name: str  # logical
    props: Mapping[str, Any]  # inputs; for a rule over the stack, outputs too
    urn: str = ""


Violation = tuple[Subject, str]
Check = Callable[[Subject, Config], Iterator[str]]  # texts that go on after the resource's name
StackCheck = Callable[[Sequence[Subject], Config], Iterator[Violation]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule. ``check`` looks at a resource at a time, ``check_stack`` at how those of a stack belong together."""

    name: str
    description: str
    severity: Severity
    remediation: str
    controls: Controls
    types: frozenset[str] = frozenset()  # that ``check`` is shown; none named: all
    mandatory: bool = True  # or advisory
    prod_only: bool = False
    check: Check | None = None
    check_stack: StackCheck | None = None

    def counts(self, config: Config) -> bool:
        """Whether the rule is asked at all of this kind of stack."""
        in_profile = config.profile is None or config.profile in self.controls
        return in_profile and (config.prod or not self.prod_only)

    def texts(self, it: Subject, config: Config) -> Iterator[str]:
        """What is wrong with one resource."""
        if self.check and self.counts(config) and (not self.types or it.type in self.types):
            yield from self.check(it, config)

    def over(self, subjects: Sequence[Subject], config: Config) -> Iterator[Violation]:
        """What is wrong with a whole stack: of either kind of check."""
        if not self.counts(config):
            return
        if self.check_stack:
            yield from self.check_stack(subjects, config)
        for it in subjects:
            yield from ((it, text) for text in self.texts(it, config))


def of(subjects: Sequence[Subject], *kinds: str) -> list[Subject]:
    """Those of ``s3/bucket:Bucket`` and the like."""
    tokens = {f"aws:{kind}" for kind in kinds}
    return [it for it in subjects if it.type in tokens]


def given(it: Mapping[str, Any], key: str) -> bool:
    """Whether ``key`` is set: to a value, or to one that a preview cannot know yet. Asking for that one raises."""
    return key in list(it)


def inner(it: Mapping[str, Any], *path: str) -> Any:
    """The value at ``path``; None where it ends early."""
    value: Any = it
    for key in path:
        if not isinstance(value, Mapping) or key not in list(value):
            return None
        value = value[key]
    return value


def items(value: Any) -> list[Any]:
    """A list, or what could have been one of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
