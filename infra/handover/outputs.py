"""What a primary stack hands over to its standby: only what the standby could not know by itself.

A standby reads it by StackReference. The shape has a version, so that a standby never works with half of it: a primary
that was deployed with an older program is named, with what to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pulumi
from pulumi import Output

from infra.settings import PrimarySettings

EXPORT = "handover"
VERSION = 1
API_KEY = "api_key"  # an output by itself: a secret within the other would make a secret of all of it
# A primary may do without these. An output that is null is no output, so they are simply not there.
OPTIONAL = frozenset({"database_arn", "database_secret_arn", "model_api_key_secret_arn", "alerts_topic_arn", "zone_id"})


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Everything lies in the standby's region, unless said otherwise. ``None``: the primary has no such thing."""

    data_key_arn: Output[str]
    results_bucket: Output[str]
    assets_bucket: Output[str]
    sessions_table: Output[str]
    model_api_key_secret_arn: Output[str | None]
    database_arn: Output[str | None]  # in the primary's region
    database_secret_arn: Output[str | None]
    alerts_topic_arn: Output[str | None]  # where Route 53's alarms are (us-east-1), if the primary speaks there
    zone_id: Output[str | None]  # of the hosted zone; Route 53 is global

    def export(self) -> None:
        """Make it an output of the stack."""
        members = {field.name: getattr(self, field.name) for field in fields(self)}
        pulumi.export(EXPORT, {"version": VERSION, **members})


@dataclass(frozen=True, kw_only=True)
class ReceivedHandover(Handover):
    """What a standby is given."""

    api_key: Output[str]  # a secret: a name that fails over leads clients here with the one key that they have

    @classmethod
    def read(cls, primary: PrimarySettings) -> ReceivedHandover:
        """What the stack of ``primary`` hands over.

        Raises:
            pulumi.RunError: when it is known: the stack has no such output, or one of another shape.
        """
        stack = pulumi.StackReference(primary.stack)
        checked = stack.get_output(EXPORT).apply(lambda found: _checked(found, primary.stack))
        key = stack.get_output(API_KEY).apply(lambda found: _key(found, primary.stack))
        members = {field.name: checked.apply(_member(field.name)) for field in fields(Handover)}
        return cls(**members, api_key=Output.secret(key))


def _member(name: str) -> Any:
    return lambda checked: checked.get(name)


def _checked(found: Any, stack: str) -> Mapping[str, Any]:
    where, remedy = _source_and_remedy(stack)
    if not isinstance(found, Mapping):
        raise pulumi.RunError(f"{where} has no output {EXPORT!r}: set recovery.region there, and {remedy}")
    version = found.get("version")
    if version != VERSION:
        shown = int(version) if isinstance(version, float) else version  # numbers travel as floats
        raise pulumi.RunError(f"{where}: {EXPORT} is of version {shown!r}, and this program reads {VERSION}: {remedy}")
    missing = sorted(field.name for field in fields(Handover) if field.name not in {*found, *OPTIONAL})
    if missing:
        raise pulumi.RunError(f"{where}: {EXPORT} lacks {', '.join(missing)}: {remedy}")
    return found


def _key(found: Any, stack: str) -> str:
    where, remedy = _source_and_remedy(stack)
    if not isinstance(found, str):
        raise pulumi.RunError(f"{where} has no output {API_KEY!r}: {remedy}")
    return found


def _source_and_remedy(stack: str) -> tuple[str, str]:
    return f"stack {stack!r} (settings.primary.stack)", f"run pulumi up --stack {stack} with this program first"
