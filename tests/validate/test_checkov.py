"""Checkov on a weakened graph: the Terraform plan of ``make validate`` shows the defects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.graph import Graph
from infra.graph.terraform.plan import plan as plan_of
from policy import scan


def weakened(graph: Graph, type_: str, removed_type: str | None, **changes: Any) -> Graph:
    """Return the graph without resource types that end in ``gone``, and with changed inputs on all of ``type_``."""
    remaining = [r for r in graph.resources if not (removed_type and r.type.endswith(removed_type))]
    changed = [replace(r, inputs={**r.inputs, **changes}) if r.type == f"aws:{type_}" else r for r in remaining]
    return replace(graph, resources=tuple(changed))


@pytest.mark.skipif(not scan.CHECKOV.exists(), reason="checkov is not installed: make validate installs it")
def test_checkov_sees_through_the_plan_what_is_wrong_with_a_graph(dev):
    bad = weakened(dev.graph("dev"), "rds/instance:Instance", ":BucketPublicAccessBlock", storageEncrypted=False)
    bad = weakened(bad, "sqs/queue:Queue", ":BucketVersioning", sqsManagedSseEnabled=False)
    plan = plan_of(bad, "us-east-1")
    unaccepted, _ = scan.compare(scan.scan({"dev": plan}), scan.accepted(), {"dev": scan.addresses(plan)})
    unlisted = {(finding.check, finding.resource) for finding in unaccepted}
    assert unlisted >= {
        ("CKV_AWS_16", "aws_db_instance.database-instance"),  # encryption
        ("CKV_AWS_21", "aws_s3_bucket.storage-results-bucket"),  # versioning: by reference
        ("CKV_AWS_27", "aws_sqs_queue.bus-h01-queue"),  # encryption
        ("CKV2_AWS_6", "aws_s3_bucket.storage-results-bucket"),  # public access block: by reference
    }
