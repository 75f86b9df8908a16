"""The real engine, driven by the Automation API: the repository's program in a workspace of its own, state in a folder.

The provider runs in this process; the engine finds it by ``PULUMI_DEBUG_PROVIDERS`` and needs no plugin. The workspace
links to the program and to the environment that runs the tests, so that what Pulumi writes into a stack file stays out
of the repository's.
"""

from __future__ import annotations

import json
import os
import shutil
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
from infra.settings import stackfile
from local import platform as local_platform
from local import provider, stack
from tests.engine.left import left_behind

pytestmark = pytest.mark.skipif(
    shutil.which("pulumi") is None,
    reason="the Pulumi CLI is not on the PATH: install 3.272 or newer (https://www.pulumi.com/docs/install/)",
)
_AT_ONCE = 8


@dataclass(frozen=True)
class Workspace:
    """A Pulumi project that is this repository, with stack files for this machine."""

    folder: Path
    state: Path
    platform: local_platform.Platform
    environment: Mapping[str, str]

    def stack(self, name: str, **changes: Any) -> auto.Stack:
        """The stack, its file written anew: ``fleet__size=2`` changes a setting."""
        wanted = {**stack.local_settings(self.platform), **{path.replace("__", "."): v for path, v in changes.items()}}
        file = self.folder / f"Pulumi.{name}.yaml"
        kept = yaml.safe_load(file.read_text()) if file.exists() else {}  # the salt of its secrets
        config = {key: _value(text) for key, text in stackfile.read(name, wanted).items()}
        file.write_text(yaml.safe_dump({**kept, "config": config}))
        options = auto.LocalWorkspaceOptions(env_vars=self.environment)
        return auto.create_or_select_stack(name, work_dir=str(self.folder), opts=options)

    def kept(self) -> str:
        """Everything in the backend, as it lies there: ``Stack.export_stack`` would show secrets in clear."""
        files = (path for path in self.state.rglob("*") if path.is_file())
        return "\n".join(path.read_text(errors="replace") for path in files)


def _value(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text


@pytest.fixture(scope="module")
def workspace(whole: local_platform.Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder, state = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("state")
    shutil.copy(stackfile.ROOT / "Pulumi.yaml", folder)
    for linked in ("infra", "policy"):
        (folder / linked).symlink_to(stackfile.ROOT / linked, target_is_directory=True)
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    built = packager.build(packager.Target.here())
    with provider.serving(stack.emulator_context(whole)) as port:
        environment = {
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "correct-horse-battery",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{port}",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # it would look for aws in the network
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_ERROR_OUTPUT_STRING": "true",
            packages.OVERRIDE: str(built.code.parent),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(stackfile.ROOT), os.environ.get("PYTHONPATH")))),
        }
        yield Workspace(folder, state, whole, environment)


def _counts(changes: Mapping[Any, int] | None) -> dict[str, int]:
    """How often each operation was done, those that change nothing left out."""
    named = {getattr(operation, "value", operation): count for operation, count in (changes or {}).items()}
    return {operation: count for operation, count in named.items() if operation not in ("same", "read") and count}


def test_dev_comes_changes_and_goes(workspace: Workspace) -> None:
    """One life of a stack; each step needs the one before."""
    dev, platform = workspace.stack("dev", fleet__size=3), workspace.platform

    planned = _counts(dev.preview(parallel=_AT_ONCE).change_summary)
    assert set(planned) == {"create"}
    assert not left_behind(platform)["functions"], "a preview makes nothing"
    done = dev.up(parallel=_AT_ONCE)
    assert _counts(done.summary.resource_changes) == planned
    assert done.outputs["api_key"].secret
    kept = workspace.kept()
    assert done.outputs["bus_topic_arn"].value in kept
    assert done.outputs["api_key"].value not in kept
    dev.preview(parallel=_AT_ONCE, expect_no_changes=True)

    dev = workspace.stack("dev", fleet__size=3, fleet__memoryMb=768)
    assert set(_counts(dev.up(parallel=_AT_ONCE).summary.resource_changes)) == {"update"}
    agent = platform.client("lambda").get_function_configuration(
        FunctionName=dev.outputs()["agents"].value["h01"]["function_name"]
    )
    assert agent["MemorySize"] == 768

    dev = workspace.stack("dev", fleet__size=3, fleet__memoryMb=768, network__endpointZones=2)
    replaced = _counts(dev.up(parallel=_AT_ONCE).summary.resource_changes)
    assert replaced["replace"] > 0, "an endpoint's subnets cannot be changed on the emulator"

    dev = workspace.stack("dev", fleet__size=2, fleet__memoryMb=768, network__endpointZones=2)
    assert _counts(dev.up(parallel=_AT_ONCE).summary.resource_changes)["delete"] > 0, "h03 is no more"
    dev.preview(parallel=_AT_ONCE, expect_no_changes=True)

    _lose_a_queue(dev, platform)
    assert _counts(dev.refresh(parallel=_AT_ONCE).summary.resource_changes)["delete"] == 1
    dev.up(parallel=_AT_ONCE)
    dev.preview(parallel=_AT_ONCE, expect_no_changes=True)

    dev.destroy(parallel=_AT_ONCE)
    assert {kind: names for kind, names in left_behind(platform).items() if names} == {}


def test_a_standby_reads_from_the_backend_what_its_primary_hands_over(workspace: Workspace) -> None:
    """Both stay: what prod protects, a destroy refuses to touch."""
    for name, region in (("prod", "us-east-1"), ("prod-secondary", "us-west-2")):
        of_two = workspace.stack(name, fleet__size=1)
        of_two.set_config("infrafabric:databasePassword", auto.ConfigValue("correct-horse-battery", secret=True))
        of_two.up(parallel=_AT_ONCE)
        of_two.preview(parallel=_AT_ONCE, expect_no_changes=True)
        assert of_two.outputs()["results_bucket"].value.endswith(region)
        kept = workspace.kept()
        assert of_two.outputs()["bus_topic_arn"].value in kept
        assert "correct-horse-battery" not in kept


def test_the_engine_asks_the_policy_pack_which_lets_dev_pass_unless_it_is_told_otherwise(workspace: Workspace) -> None:
    dev, packs = workspace.stack("dev", fleet__size=1), [str(workspace.folder / "policy")]
    stricter = workspace.folder / "policy-config.json"
    stricter.write_text(json.dumps({"class-allowed": {"classes": ["large"]}}))

    dev.preview(parallel=_AT_ONCE, policy_packs=packs)
    with pytest.raises(auto.CommandError, match="class-allowed"):
        dev.preview(parallel=_AT_ONCE, policy_packs=packs, policy_pack_configs=[str(stricter)])


def _lose_a_queue(dev: auto.Stack, platform: local_platform.Platform) -> None:
    """Someone deletes an agent's dead-letter queue by hand."""
    platform.client("sqs").delete_queue(QueueUrl=dev.outputs()["agents"].value["h01"]["dlq_url"])
