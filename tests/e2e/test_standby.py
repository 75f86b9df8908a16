"""A standby in the second region, with its primary beside it on a platform of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from infra.settings import stackfile
from local import platform as local_platform
from local import stack
from tests.e2e.conftest import Stage, own, until

SMALL = {"fleet.size": 1}


@dataclass(frozen=True)
class Pair:
    standby: Stage
    deployed: stack.DeployedStack
    session: dict[str, Any]
    report: dict[str, Any]

    @property
    def primary(self) -> stack.DeployedStack:
        assert self.deployed.primary
        return self.deployed.primary


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two stacks with one agent each, and a session that the standby has worked."""
    with local_platform.running(tmp_path_factory.mktemp("standby")) as platform:
        deployed = stack.deploy_stack(
            platform, "prod-secondary", SMALL, primary_overrides=SMALL, folder=stackfile.REFERENCE
        )
        stage = Stage(platform, deployed.outputs)
        stage.start(session_id="moved", tasks=["Describe the move"])
        session = stage.ended("moved")
        yield Pair(stage, deployed, session, stage.report("moved"))


def test_the_second_region_works_a_session_with_what_the_first_hands_over(pair: Pair) -> None:
    assert (pair.primary.region, pair.deployed.region) == ("us-east-1", "us-west-2")
    assert (pair.session["status"], pair.session["tasks"]["done"]) == ("COMPLETE", 1)
    assert pair.deployed.outputs["api_key"] == pair.primary.outputs["api_key"], "clients have one key"
    assert pair.deployed.outputs["api_keys"] == pair.primary.outputs["api_keys"]


def test_its_results_come_back_to_the_first_region(pair: Pair) -> None:
    (result,) = pair.report["results"]
    s3 = pair.standby.platform.client("s3", pair.primary.region)
    bucket = pair.primary.outputs["results_bucket"]
    assert bucket != pair.deployed.outputs["results_bucket"]
    until(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=result["s3_key"])["KeyCount"], "the result to be copied")
    stored = s3.get_object(Bucket=bucket, Key=result["s3_key"])["Body"].read()
    assert result["evidence_hash"] == f"sha256:{hashlib.sha256(stored).hexdigest()}"


def test_both_regions_see_the_session(pair: Pair) -> None:
    assert pair.primary.outputs["sessions_table"] == pair.deployed.outputs["sessions_table"]
    table = pair.standby.platform.client("dynamodb", pair.primary.region)
    items = table.scan(TableName=pair.primary.outputs["sessions_table"])["Items"]
    assert any("moved" in str(item) for item in items)


def test_history_waits_in_its_queue_and_is_written_once_the_recorder_may(pair: Pair) -> None:
    """As when the database is promoted: the recorder's event source is switched on."""
    platform, region = pair.standby.platform, pair.deployed.region
    asked = {"QueueUrl": pair.deployed.outputs["record_queue_url"], "AttributeNames": ["ApproximateNumberOfMessages"]}
    waiting = platform.client("sqs", region).get_queue_attributes(**asked)["Attributes"]["ApproximateNumberOfMessages"]
    assert int(waiting) >= 2, "the task's, and the session's"

    functions = platform.client("lambda", region)
    (feed,) = functions.list_event_source_mappings(FunctionName="infrafabric-prod-secondary-recorder:live")[
        "EventSourceMappings"
    ]
    functions.update_event_source_mapping(UUID=feed["UUID"], Enabled=True)

    assert platform.database_url
    with psycopg.connect(platform.database_url, autocommit=True) as connection:
        wanted = "SELECT status FROM sessions WHERE session_id = %s"
        assert until(lambda: connection.execute(wanted, [own("moved")]).fetchall(), "the session's row") == [
            ("COMPLETE",)
        ]
