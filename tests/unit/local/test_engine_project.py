"""Stack files of a rehearsal: changes of the checkout's file are taken over, changes by ``pulumi config`` stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import stackfile
from local.engine.project import Project

MACHINE = {"model.provider": "offline"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.below(tmp_path / "home")
    project.create()
    return project


def _write(project: Project, fleet: dict[str, Any], **changes: Any) -> None:
    """Write the project's stack file from a checkout's with a section ``fleet``."""
    source = project.folder.parent / "checkout"
    source.mkdir(exist_ok=True)
    config = {"infrafabric:settings": {"region": "us-east-1", "fleet": fleet}}
    (source / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    project.write_stack("dev", MACHINE, source, changes)


def _edit(project: Project, edit: Any) -> None:
    """Change the configuration in the project's stack file, as ``pulumi config`` does."""
    file = project.folder / "Pulumi.dev.yaml"
    document = yaml.safe_load(file.read_text())
    edit(document["config"])
    file.write_text(yaml.safe_dump(document))


def _settings(project: Project) -> dict[str, Any]:
    return yaml.safe_load((project.folder / "Pulumi.dev.yaml").read_text())["config"]["infrafabric:settings"]


def test_a_setting_of_pulumi_config_stays_beside_what_changes_in_the_checkout(project: Project) -> None:
    _write(project, {"size": 10, "memoryMb": 512})
    _edit(project, lambda config: config["infrafabric:settings"]["fleet"].update(size=3))

    _write(project, {"size": 10, "memoryMb": 1024})
    _write(project, {"size": 10, "memoryMb": 1024})

    assert _settings(project)["fleet"] == {"size": 3, "memoryMb": 1024}


def test_a_setting_that_pulumi_config_removes_stays_away(project: Project) -> None:
    _write(project, {"size": 10}, **{"fleet.bogus": 1})
    assert _settings(project)["fleet"] == {"size": 10, "bogus": 1}
    _edit(project, lambda config: config["infrafabric:settings"]["fleet"].pop("bogus"))

    _write(project, {"size": 10})

    assert _settings(project)["fleet"] == {"size": 10}


def test_a_changed_setting_wins_over_one_of_pulumi_config_and_stays(project: Project) -> None:
    _write(project, {"size": 10})
    _edit(project, lambda config: config["infrafabric:settings"]["fleet"].update(size=3))

    _write(project, {"size": 10}, **{"fleet.size": 5})
    _write(project, {"size": 20})

    assert _settings(project)["fleet"] == {"size": 5}


def test_a_setting_that_leaves_the_checkout_leaves_the_project(project: Project) -> None:
    _write(project, {"size": 10, "memoryMb": 512})
    _edit(project, lambda config: config.update({"infrafabric:token": {"secure": "v1:abc"}}))

    _write(project, {"size": 10})

    assert _settings(project) == {"region": "us-east-1", "fleet": {"size": 10}, "model": {"provider": "offline"}}
    assert "infrafabric:token" in yaml.safe_load((project.folder / "Pulumi.dev.yaml").read_text())["config"]


def test_a_stack_file_that_pulumi_deleted_is_written_anew(project: Project) -> None:
    _write(project, {"size": 10})
    (project.folder / "Pulumi.dev.yaml").unlink()

    _write(project, {"size": 10})

    assert _settings(project)["fleet"] == {"size": 10}


def test_a_missing_stack_file_is_refused_with_the_stacks_that_exist(project: Project, tmp_path: Path) -> None:
    with pytest.raises(stackfile.NoStackError, match=f"there is no Pulumi.dev.yaml: stacks of {tmp_path} are none"):
        project.write_stack("dev", MACHINE, tmp_path)
