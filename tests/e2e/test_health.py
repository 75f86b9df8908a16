"""``/health`` of the deployed API: it fails with what sessions need, and names it."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import Stage, until

API_ROLE = "infrafabric-dev-api"


def health(stage: Stage) -> tuple[int, Any]:
    status, _, document = stage.call("GET", "/health", key=None)
    return status, document


def test_health_needs_no_key_and_follows_what_a_session_needs(stage: Stage) -> None:
    """The API function loses its rights on table and key, which looks like a region without them."""
    assert health(stage) == (200, {"status": "ok"})
    iam = stage.platform.client("iam")
    denied = {"Effect": "Deny", "Action": ["dynamodb:GetItem", "kms:DescribeKey"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    iam.put_role_policy(RoleName=API_ROLE, PolicyName="denied", PolicyDocument=document)
    try:
        _, found = until(lambda: (h := health(stage))[0] == 503 and h, "the cached result to end")
        assert found == {"status": "unavailable", "failed": ["sessions-table", "signing-key"]}
    finally:
        iam.delete_role_policy(RoleName=API_ROLE, PolicyName="denied")
    until(lambda: health(stage) == (200, {"status": "ok"}), "the region to be healthy again")


def test_health_asks_no_model(stage: Stage) -> None:
    stage.model("POST", "/_fabric/rules", {"match": "", "do": "hang"})
    assert health(stage) == (200, {"status": "ok"})
