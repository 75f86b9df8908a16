"""An upgrade with the real engine: the last release is deployed, and this checkout is previewed over it."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from infra.packager import build as packager
from infra.preview.data_loss import losses
from infra.settings import stackfile
from tests.engine.workspace import NO_CLI, Workspace

pytestmark = NO_CLI
CHANGELOG = (stackfile.ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the last release, whose commit CHANGELOG.md names."""
    found = re.search(r"Commit `([0-9a-f]{40})`", CHANGELOG)
    assert found, "CHANGELOG.md names no commit of a release"
    command = ["git", "archive", "--format=tar", found[1]]
    done = subprocess.run(command, cwd=stackfile.ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this clone has no commit {found[1][:7]}, the last release: fetch the whole history")
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_an_upgrade_from_the_last_release_deletes_no_data_that_the_changelog_does_not_name(
    workspace: Workspace, release: Path, tmp_path: Path
) -> None:
    built = packager.build(packager.Target.here())
    packager.build_code(packager.Target.here(), tmp_path / "code", release)
    (tmp_path / "layer").symlink_to(built.layer, target_is_directory=True)
    reference = release / "tests" / "stacks"
    before = workspace.running(release, tmp_path, reference if reference.exists() else release)
    before.stack("dev", fleet__size=2).up(parallel=8)

    now = workspace.running(stackfile.ROOT, built.code.parent, stackfile.REFERENCE)
    now.stack("dev", fleet__size=2)
    preview = now.preview("dev")
    assert preview.succeeded, preview.errors
    assert preview.changes, "the release is this checkout: name the next one in CHANGELOG.md"
    unreleased = CHANGELOG.split("\n## ")[1]
    found = [loss.change.name for loss in losses(preview)]
    assert [name for name in found if f"`{name}`" not in unreleased] == []
