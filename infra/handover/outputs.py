"""Handover from a primary stack to its standby: identifiers that the standby cannot compute.

A standby reads the handover by StackReference. The handover has a version; if the primary was deployed with an older
program, the standby stops with an error that names the primary and the command to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pulumi
from pulumi import Output

from infra.settings import ClientSettings, PrimarySettings

EXPORT = "handover"
VERSION = 1
API_KEYS = "api_keys"  # a separate output, because a secret member would make the whole handover secret
# Members that a primary may lack. Pulumi drops null members of an output, so a lacking member is absent.
OPTIONAL = frozenset({"database_arn", "database_secret_arn", "model_api_key_secret_arn", "alerts_topic_arn", "zone_id"})


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Identifiers for a standby; None if the primary has no such resource.

    Resources are in the standby's region unless a comment says otherwise.
    """

    data_key_arn: Output[str]
    results_bucket: Output[str]
    assets_bucket: Output[str]
    sessions_table: Output[str]
    model_api_key_secret_arn: Output[str | None]
    database_arn: Output[str | None]  # in the primary's region
    database_secret_arn: Output[str | None]
    # In us-east-1, the region of Route 53's alarms; None if the primary is elsewhere.
    alerts_topic_arn: Output[str | None]
    zone_id: Output[str | None]  # of the hosted zone; Route 53 is global

    def export(self) -> None:
        """Export the handover as a stack output."""
        members = {field.name: getattr(self, field.name) for field in fields(self)}
        pulumi.export(EXPORT, {"version": VERSION, **members})


@dataclass(frozen=True, kw_only=True)
class ReceivedHandover(Handover):
    """Handover as a standby reads it, with the primary's API keys."""

    # A secret: client → label → key. After a failover clients reach this stack with the primary's keys.
    api_keys: Output[Mapping[str, Mapping[str, str]]]

    @classmethod
    def read(cls, primary: PrimarySettings, clients: Mapping[str, ClientSettings]) -> ReceivedHandover:
        """Read the handover of ``primary``.

        Args:
            clients: the standby's own clients, which must have the same keys as the primary's.

        Raises:
            pulumi.RunError: once the outputs are known, if the handover is missing or has another version or shape.
        """
        stack = pulumi.StackReference(primary.stack)
        validated = stack.get_output(EXPORT).apply(lambda output: _validated(output, primary.stack))
        keys = stack.get_output(API_KEYS).apply(lambda output: _keys(output, clients, primary.stack))
        members = {field.name: validated.apply(_member(field.name)) for field in fields(Handover)}
        return cls(**members, api_keys=Output.secret(keys))


def _member(name: str) -> Any:
    return lambda validated: validated.get(name)


def _validated(output: Any, stack: str) -> Mapping[str, Any]:
    where, remedy = _source_and_remedy(stack)
    if not isinstance(output, Mapping):
        raise pulumi.RunError(f"{where} has no output {EXPORT!r}: set recovery.region there, and {remedy}")
    version = output.get("version")
    if version != VERSION:
        number = int(version) if isinstance(version, float) else version  # Pulumi transfers numbers as floats
        raise pulumi.RunError(f"{where}: {EXPORT} has version {number!r}, but this program reads {VERSION}: {remedy}")
    missing = sorted(field.name for field in fields(Handover) if field.name not in {*output, *OPTIONAL})
    if missing:
        raise pulumi.RunError(f"{where}: {EXPORT} lacks {', '.join(missing)}: {remedy}")
    return output


def _keys(output: Any, clients: Mapping[str, ClientSettings], stack: str) -> Mapping[str, Mapping[str, str]]:
    where, remedy = _source_and_remedy(stack)
    if not isinstance(output, Mapping):
        raise pulumi.RunError(f"{where} has no output {API_KEYS!r}: {remedy}")
    theirs = {(client, label) for client, keys in output.items() for label in keys}
    ours = {(client, label) for client, limits in clients.items() for label in limits.key_labels}
    if theirs != ours:
        named = ", ".join(f"{client} ({label})" for client, label in sorted(theirs ^ ours))
        raise pulumi.RunError(
            f"settings.api.clients must name the clients and keys of {where}, because clients keep their keys after a "
            f"failover; only one of the two has {named}: change the settings of one, and {remedy}"
        )
    return output


def _source_and_remedy(stack: str) -> tuple[str, str]:
    return f"stack {stack!r} (settings.primary.stack)", f"run pulumi up --stack {stack} with this program first"
