"""The real engine, driven by the Automation API: the repository's program in its own workspace, state in a folder.

The provider runs in this process; the engine connects to it by ``PULUMI_DEBUG_PROVIDERS`` and needs no plugin. The
workspace has links to the program and to the tests' environment, so that Pulumi's changes of a stack file do not affect
the repository.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation as auto

from infra.foundation import packages
from infra.packager import build as packager
from infra.preview.data_loss import losses
from infra.preview.events import Operation, Preview, parse
from infra.settings import stackfile
from local import platform as local_platform
from local import provider, stack
from tests.engine.remaining import remaining_resources

pytestmark = pytest.mark.skipif(
    shutil.which("pulumi") is None,
    reason="the Pulumi CLI is not on the PATH: install 3.272 or newer (https://www.pulumi.com/docs/install/)",
)
_PARALLEL = 8


@dataclass(frozen=True)
class Workspace:
    """Pulumi project with links to this repository, and with stack files for this machine."""

    folder: Path
    state: Path
    platform: local_platform.Platform
    environment: Mapping[str, str]

    def stack(self, name: str, **changes: Any) -> auto.Stack:
        """Write the stack's file and select the stack; ``fleet__size=2`` overrides a setting."""
        settings = {
            **stack.local_settings(self.platform),
            **{path.replace("__", "."): v for path, v in changes.items()},
        }
        file = self.folder / f"Pulumi.{name}.yaml"
        previous = yaml.safe_load(file.read_text()) if file.exists() else {}  # has the salt of the secrets
        config = {key: _value(text) for key, text in stackfile.read(name, settings, stackfile.REFERENCE).items()}
        file.write_text(yaml.safe_dump({**previous, "config": config}))
        options = auto.LocalWorkspaceOptions(env_vars=self.environment)
        return auto.create_or_select_stack(name, work_dir=str(self.folder), opts=options)

    def backend_text(self) -> str:
        """Return all files of the backend as text. (``Stack.export_stack`` would decrypt secrets.)"""
        files = (path for path in self.state.rglob("*") if path.is_file())
        return "\n".join(path.read_text(errors="replace") for path in files)


def _value(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text


@pytest.fixture(scope="module")
def workspace(full_platform: local_platform.Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder, state = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("state")
    shutil.copy(stackfile.ROOT / "Pulumi.yaml", folder)
    for linked in ("infra", "policy"):
        (folder / linked).symlink_to(stackfile.ROOT / linked, target_is_directory=True)
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    package = packager.build(packager.Target.here())
    with provider.serving(stack.emulator_context(full_platform)) as port:
        environment = {
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "correct-horse-battery",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{port}",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # the engine would download the AWS plugin
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_ERROR_OUTPUT_STRING": "true",
            packages.OVERRIDE: str(package.code.parent),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(stackfile.ROOT), os.environ.get("PYTHONPATH")))),
        }
        yield Workspace(folder, state, full_platform, environment)


def _counts(changes: Mapping[Any, int] | None) -> dict[str, int]:
    """Count the operations by name, without operations that change nothing."""
    counts = {getattr(operation, "value", operation): count for operation, count in (changes or {}).items()}
    return {operation: count for operation, count in counts.items() if operation not in ("same", "read") and count}


def _summarized(workspace: Workspace, name: str) -> Preview:
    """Return what ``fabric preview summarize`` reads of a preview, with the verdict of the policy pack."""
    command = ["pulumi", "preview", "--stack", name, "--json", "--non-interactive", "--policy-pack", "policy"]
    environment = {**os.environ, **workspace.environment, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
    done = subprocess.run(command, cwd=workspace.folder, env=environment, capture_output=True, text=True, check=False)
    return parse(done.stdout, name)


def test_dev_comes_changes_and_goes(workspace: Workspace) -> None:
    """One stack from creation to removal; each step needs the previous step."""
    dev, platform = workspace.stack("dev", fleet__size=3), workspace.platform

    planned = _counts(dev.preview(parallel=_PARALLEL).change_summary)
    assert set(planned) == {"create"}
    assert not remaining_resources(platform)["functions"], "a preview creates nothing"
    result = dev.up(parallel=_PARALLEL, policy_packs=[str(workspace.folder / "policy")])  # rules read the state, too
    assert _counts(result.summary.resource_changes) == planned
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
    announced = _summarized(workspace, "dev")
    removed = _counts(dev.up(parallel=_PARALLEL).summary.resource_changes)
    assert {operation: announced.count(Operation(operation)) for operation in removed} == removed
    assert removed["delete"] > 0, "h03 is removed"
    assert {loss.change.name for loss in losses(announced)} >= {"keys-h03", "bus-h03-queue"}
    assert announced.violations == ()
    dev.preview(parallel=_PARALLEL, expect_no_changes=True)

    _delete_a_queue(dev, platform)
    assert _counts(dev.refresh(parallel=_PARALLEL).summary.resource_changes)["delete"] == 1
    dev.up(parallel=_PARALLEL)
    dev.preview(parallel=_PARALLEL, expect_no_changes=True)

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


def _delete_a_queue(dev: auto.Stack, platform: local_platform.Platform) -> None:
    """Delete an agent's dead-letter queue without Pulumi."""
    platform.client("sqs").delete_queue(QueueUrl=dev.outputs()["agents"].value["h01"]["dlq_url"])
