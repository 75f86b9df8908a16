"""Meters of buckets, tables, databases, keys, secrets and backups."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import Month, line, meter
from infra.cost.prices import HOURS
from infra.cost.traffic import (
    LEASE_WRITES_PER_TASK,
    ROUND_WRITES_PER_TASK,
    SESSION_WRITES_PER_TASK,
    SIGNATURES_PER_TASK,
    TABLE_READS_PER_TASK,
)
from infra.graph import Resource
from infrafabric.bus.uris import COORDINATOR

MILLION = 1_000_000
# Shares of the stored gigabytes and requests; the other buckets hold little data.
STORAGE_SHARES = {"storage-assets-bucket": 0.8, "storage-results-bucket": 0.2}


@meter("aws:s3/bucket:Bucket")
def bucket(resource: Resource, month: Month) -> Iterator[Line]:
    traffic = month.traffic
    share = STORAGE_SHARES.get(resource.name.replace("-copy-bucket", "-bucket"), 0.0)
    yield line(resource, "GB", traffic.stored_gb * share, "s3.gb")
    yield line(resource, "thousand PUT", traffic.s3_puts * share / 1000, "s3.put_thousand")
    if "-copy-" in resource.name:
        yield line(resource, "GB to the other region", traffic.stored_gb * share / 12, "region.gb_transferred")
        return
    yield line(resource, "thousand GET", traffic.s3_gets * share / 1000, "s3.get_thousand")


@meter("aws:dynamodb/table:Table")
def table(resource: Resource, month: Month) -> Iterator[Line]:
    traffic, copies = month.traffic, 1 + len(resource.inputs.get("replicas") or [])
    if _holds_leases(resource):
        agents = sum(map(_holds_leases, month.graph.custom))
        writes = traffic.tasks * LEASE_WRITES_PER_TASK / agents
        yield line(resource, "million writes", writes / MILLION, "dynamodb.writes_million")
        return
    # An update of the session's item also updates its entry in each index.
    indexed = 1 + len(resource.inputs.get("globalSecondaryIndexes") or [])
    writes = ROUND_WRITES_PER_TASK + SESSION_WRITES_PER_TASK * indexed
    yield line(resource, "million writes", traffic.tasks * writes * copies / MILLION, "dynamodb.writes_million")
    yield line(
        resource,
        "million reads",
        (traffic.tasks * TABLE_READS_PER_TASK + traffic.api_requests) / MILLION,
        "dynamodb.reads_million",
    )
    yield line(resource, "GB", traffic.table_gb * copies, "dynamodb.gb")
    yield line(resource, "GB with point-in-time recovery", traffic.table_gb * copies, "dynamodb.pitr_gb")


def _holds_leases(resource: Resource) -> bool:
    """Tell whether a resource is an agent's table of leases, which has no sort key."""
    return resource.type == "aws:dynamodb/table:Table" and not resource.inputs.get("rangeKey")


@meter("aws:rds/instance:Instance")
def database(resource: Resource, month: Month) -> Iterator[Line]:
    kind, zones = resource.inputs["instanceClass"], 2 if resource.inputs.get("multiAz") else 1
    yield line(resource, f"hours of {kind}", HOURS * zones, f"rds.{kind}")
    source = resource.inputs.get("replicateSourceDb")
    size = resource.inputs.get("allocatedStorage") or (PRIMARY_GB if source else 0)
    yield line(resource, "GB of gp3", size, "rds.gb_multi_az" if zones == 2 else "rds.gb_single_az")


PRIMARY_GB = 20  # a replica has its source's size, which is not among its inputs; a test compares


@meter("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey")
def key(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "keys", 1, "kms.key")
    if _signs(resource):
        # One half of the signatures is the coordinator's, the other half all agents'. A principal has two keys during a
        # rotation.
        half = [k for k in _keys(month) if _signs(k) and _of_coordinator(k) == _of_coordinator(resource)]
        yield line(
            resource,
            "ten thousand signatures",
            month.traffic.tasks * SIGNATURES_PER_TASK / 2 / len(half) / 10_000,
            "kms.sign_10k",
        )
    elif resource.name == "keys-data":
        yield line(resource, "ten thousand requests", month.traffic.tasks * 20 / 10_000, "kms.requests_10k")


def _signs(key: Resource) -> bool:
    return key.inputs.get("customerMasterKeySpec") == "ECC_NIST_EDWARDS25519"


def _of_coordinator(key: Resource) -> bool:
    return COORDINATOR in (key.inputs.get("description") or "")


def _keys(month: Month) -> list[Resource]:
    return list(month.graph.of("kms/key:Key").values())


@meter("aws:secretsmanager/secret:Secret")
def secret(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "secrets", 1 + len(resource.inputs.get("replicas") or []), "secrets.secret")


@meter("aws:backup/plan:Plan")
def backups(resource: Resource, month: Month) -> Iterator[Line]:
    # RDS's own snapshots are free up to the instance's size; snapshots in AWS Backup are billed.
    databases = month.graph.of("rds/instance:Instance").values()
    stored_gb = sum(d.inputs.get("allocatedStorage") or 0 for d in databases) * 0.1 + month.traffic.table_gb
    yield line(resource, "GB of recovery points", stored_gb, "backup.gb")
