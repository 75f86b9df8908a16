"""The real engine, driven by the Automation API: the repository's program in its own workspace, state in a folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto

from infra.foundation import packages
from infra.preview.data_loss import losses
from infra.preview.events import Operation
from local import platform as local_platform
from tests.engine.remaining import remaining_resources
from tests.engine.workspace import NO_CLI, Workspace

pytestmark = NO_CLI
_PARALLEL = 8


def _counts(changes: Mapping[Any, int] | None) -> dict[str, int]:
    """Count the operations by name, without operations that change nothing."""
    counts = {getattr(operation, "value", operation): count for operation, count in (changes or {}).items()}
    return {operation: count for operation, count in counts.items() if operation not in ("same", "read") and count}


def test_dev_comes_changes_and_goes(workspace: Workspace) -> None:
    """One stack from creation to removal; each step needs the previous step."""
    dev, platform = workspace.stack("dev", fleet__size=3), workspace.platform

    planned = _counts(dev.preview(parallel=_PARALLEL).change_summary)
    assert set(planned) == {"create"}
    assert not remaining_resources(platform)["functions"], "a preview creates nothing"
    workspace.fault.calls = 200
    with pytest.raises(auto.CommandError, match="update failed"):
        dev.up(parallel=_PARALLEL)
    assert workspace.fault.struck
    assert 100 < _resources(dev) < planned["create"]
    result = dev.up(parallel=_PARALLEL, policy_packs=[str(workspace.folder / "policy")])  # rules read the state, too
    assert _resources(dev) == planned["create"]
    assert result.outputs["api_key"].secret
    state = workspace.backend_text()
    assert result.outputs["bus_topic_arn"].value in state
    assert result.outputs["api_key"].value not in state
    dev.preview(parallel=_PARALLEL, expect_no_changes=True)

    dev = workspace.stack("dev", fleet__size=3, fleet__memoryMb=768)
    assert set(_counts(dev.up(parallel=_PARALLEL).summary.resource_changes)) == {"update"}
    agent = platform.client("lambda").get_function_configuration(
        FunctionName=dev.outputs()["agents"].value["h01"]["function_name"]
    )
    assert agent["MemorySize"] == 768

    dev = workspace.stack("dev", fleet__size=3, fleet__memoryMb=768, network__endpointZones=2)
    replaced = _counts(dev.up(parallel=_PARALLEL).summary.resource_changes)
    assert replaced["replace"] > 0, "the emulator cannot change the subnets of an endpoint"

    dev = workspace.stack("dev", fleet__size=2, fleet__memoryMb=768, network__endpointZones=2)
    announced = workspace.preview("dev")
    removed = _counts(dev.up(parallel=_PARALLEL).summary.resource_changes)
    assert {operation: announced.count(Operation(operation)) for operation in removed} == removed
    assert removed["delete"] > 0, "h03 is removed"
    assert {loss.change.name for loss in losses(announced)} >= {"keys-h03", "bus-h03-queue"}
    assert announced.violations == ()
    dev.preview(parallel=_PARALLEL, expect_no_changes=True)

    _delete_a_queue(dev, platform)
    _change_an_alarm(platform)
    seen = _counts(dev.refresh(parallel=_PARALLEL).summary.resource_changes)
    assert seen == {"delete": 3, "update": 1}, "the queue with its policy and redrive allow policy, and the alarm"
    dev.up(parallel=_PARALLEL)
    dev.preview(parallel=_PARALLEL, expect_no_changes=True)
    assert all(alarm["ActionsEnabled"] for alarm in _alarms(platform)), "the update undoes what was done by hand"

    dev.destroy(parallel=_PARALLEL)
    assert {kind: names for kind, names in remaining_resources(platform).items() if names} == {}


def test_a_standby_reads_from_the_backend_what_its_primary_hands_over(workspace: Workspace) -> None:
    """No destroy at the end: prod protects its resources."""
    for name, region in (("prod", "us-east-1"), ("prod-secondary", "us-west-2")):
        one_stack = workspace.stack(name, fleet__size=1)
        one_stack.set_config("infrafabric:databasePassword", auto.ConfigValue("correct-horse-battery", secret=True))
        one_stack.up(parallel=_PARALLEL)
        one_stack.preview(parallel=_PARALLEL, expect_no_changes=True)
        assert one_stack.outputs()["results_bucket"].value.endswith(region)
        state = workspace.backend_text()
        assert one_stack.outputs()["bus_topic_arn"].value in state
        assert "correct-horse-battery" not in state


def test_the_engine_asks_the_policy_pack_which_lets_dev_pass_unless_it_is_told_otherwise(workspace: Workspace) -> None:
    dev, packs = workspace.stack("dev", fleet__size=1), [str(workspace.folder / "policy")]
    stricter = workspace.folder / "policy-config.json"
    stricter.write_text(json.dumps({"class-allowed": {"classes": ["large"]}}))

    dev.preview(parallel=_PARALLEL, policy_packs=packs)
    with pytest.raises(auto.CommandError, match="class-allowed"):
        dev.preview(parallel=_PARALLEL, policy_packs=packs, policy_pack_configs=[str(stricter)])


def test_missing_packages_stop_the_engine_before_anything_is_created(workspace: Workspace, tmp_path: Path) -> None:
    without = dataclasses.replace(workspace, environment={**workspace.environment, packages.OVERRIDE: str(tmp_path)})
    dev = without.stack("dev", fleet__size=1)
    for command in (dev.preview, dev.up):
        with pytest.raises(auto.CommandError) as failed:
            command(parallel=_PARALLEL)
        text = str(failed.value)
        assert "run make package" in text
        assert "Traceback" not in text
    resources = (dev.export_stack().deployment or {}).get("resources") or []
    assert {resource["type"] for resource in resources} <= {"pulumi:pulumi:Stack"}


def _resources(dev: auto.Stack) -> int:
    return len((dev.export_stack().deployment or {})["resources"])


def _alarms(platform: local_platform.Platform) -> list[dict[str, Any]]:
    return platform.client("cloudwatch").describe_alarms()["MetricAlarms"]


def _change_an_alarm(platform: local_platform.Platform) -> None:
    """Switch the actions of an alarm off without Pulumi."""
    platform.client("cloudwatch").disable_alarm_actions(AlarmNames=[_alarms(platform)[0]["AlarmName"]])


def _delete_a_queue(dev: auto.Stack, platform: local_platform.Platform) -> None:
    """Delete an agent's dead-letter queue without Pulumi."""
    platform.client("sqs").delete_queue(QueueUrl=dev.outputs()["agents"].value["h01"]["dlq_url"])
