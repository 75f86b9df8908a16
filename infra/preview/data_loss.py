"""Data that a preview would delete: resources that hold data, replaced or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.preview.events import Change, Operation, Preview

# Type → what is lost with a resource of the type; the worst first.
HOLDS = {
    "aws:rds/instance:Instance": "the database's rows",
    "aws:dynamodb/table:Table": "items",
    "aws:s3/bucket:Bucket": "objects",
    "aws:backup/vault:Vault": "recovery points",
    "aws:kms/key:Key": "whatever only this key decrypts or verifies, once its waiting period is over",
    "aws:kms/replicaKey:ReplicaKey": "whatever is encrypted in this Region, once the waiting period is over",
    "aws:route53/zone:Zone": "records, and the name servers that the registrar knows",
    "aws:secretsmanager/secret:Secret": "the secret's value, which has to be stored again",
    "aws:apigateway/apiKey:ApiKey": "the API key, so clients need the new one",
    "aws:sqs/queue:Queue": "messages that wait",
    "aws:sns/topic:Topic": "subscriptions, which their recipients have to confirm again",
    "aws:cloudwatch/logGroup:LogGroup": "log events",
}
_RANK = {type_: rank for rank, type_ in enumerate(HOLDS)}
_DATABASE = "aws:rds/instance:Instance"


@dataclass(frozen=True)
class DataLoss:
    """Replacement or deletion of a resource that holds data."""

    change: Change
    lost: str
    reason: str


def losses(preview: Preview) -> Iterator[DataLoss]:
    """Yield the changes that delete data, the worst first. A resource that stays in AWS loses none."""
    for change in sorted(preview.changes, key=lambda change: _RANK.get(change.type, len(_RANK))):
        lost = HOLDS.get(change.type)
        if lost and change.operation in (Operation.REPLACE, Operation.DELETE) and not change.retained:
            yield DataLoss(change, lost + _last_snapshot(change), _reason(change))


def _last_snapshot(change: Change) -> str:
    if change.type != _DATABASE:
        return ""
    return ", without a last snapshot" if change.old.get("skipFinalSnapshot") else "; a last snapshot stays"


def _reason(change: Change) -> str:
    if change.operation is Operation.DELETE:
        return "the program declares it no longer"
    keys = change.replacing or change.changed
    if not keys:
        return "something that it depends on is replaced"
    return f"AWS cannot change {', '.join(keys)} in place"
