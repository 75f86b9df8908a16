"""The workflows, as far as they can be held without GitHub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.guardrails.github import PREVIEWS_OF_PROD, SESSION_S
from infra.preview.printed import MARK

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STACKS = {path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")}


def jobs(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())["jobs"]


def stacks(job: dict[str, Any]) -> set[str]:
    matrix = job["strategy"]["matrix"]
    return set(matrix.get("stack", [])) | {entry["stack"] for entry in matrix.get("include", [])}


def test_there_are_workflows_for_tests_previews_and_deployments() -> None:
    assert [path.stem for path in FILES] == ["deploy", "preview", "test"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_with_its_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses:\s*(\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action}{comment}"


def test_an_action_has_one_version_everywhere() -> None:
    used = {action for path in FILES for action in re.findall(r"uses:\s*(\S+)", path.read_text())}
    assert len({action.split("@")[0] for action in used}) == len(used)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_may_read_the_code_and_nothing_else_unless_a_job_says_so(path: Path) -> None:
    text = path.read_text()
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in text, "it would hand secrets to a fork's code"


def test_a_forks_pull_request_is_given_no_credentials() -> None:
    of_pull_request = jobs(ROOT / ".github/workflows/preview.yml")
    for name in of_pull_request.keys() - {"cost"}:
        assert "github.event.pull_request.head.repo.full_name == github.repository" in of_pull_request[name]["if"]
    assert "permissions" not in of_pull_request["cost"]
    assert "secrets." not in (ROOT / ".github/workflows/preview.yml").read_text()


def test_every_stack_is_previewed_with_the_policies_on_and_priced() -> None:
    of_pull_request = jobs(ROOT / ".github/workflows/preview.yml")
    assert stacks(of_pull_request["preview"]) | stacks(of_pull_request["preview-prod"]) == STACKS
    for name in ("preview", "preview-prod"):
        assert any("--policy-pack policy --json" in step.get("run", "") for step in of_pull_request[name]["steps"])
    assert set(re.findall(r"--stack (\S+)", of_pull_request["cost"]["env"]["STACKS"])) == STACKS


def test_unreviewed_code_previews_dev_alone_and_the_rest_waits_for_the_environment_that_the_roles_trust() -> None:
    of_pull_request = jobs(ROOT / ".github/workflows/preview.yml")
    reviewed = of_pull_request["preview-prod"]
    assert reviewed["environment"] == PREVIEWS_OF_PROD
    assert "environment" not in of_pull_request["preview"], "its token would not be a pull request's"
    environments = {stack: yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text()) for stack in STACKS}
    of_prod = {s for s, file in environments.items() if file["config"]["infrafabric:settings"]["environment"] == "prod"}
    assert stacks(reviewed) == of_prod
    assert reviewed["strategy"]["max-parallel"] == 1
    assert [name for name, job in of_pull_request.items() if "id-token" in job.get("permissions", {})] == [
        "preview",
        "preview-prod",
    ]


def test_the_comment_does_not_wait_for_the_review_and_is_complete_after_it() -> None:
    of_pull_request = jobs(ROOT / ".github/workflows/preview.yml")
    first, last = of_pull_request["comment"], of_pull_request["comment-after-review"]
    assert set(first["needs"]) == {"cost", "preview"}
    assert set(last["needs"]) == {"comment", "preview-prod"}, "in this order: both write the same comment"
    for job in (first, last):
        assert "!cancelled()" in job["if"], "also after a preview that failed, never of a commit that was replaced"
    kept = [s["with"]["retention-days"] for j in of_pull_request.values() for s in j["steps"] if "upload-" in str(s)]
    assert set(kept) == {30}, "GitHub waits 30 days for a review"


def test_a_new_commit_ends_the_run_that_waits_for_a_review_of_the_old_one() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/preview.yml").read_text())
    assert workflow["concurrency"]["cancel-in-progress"] is True


def test_the_one_comment_is_written_by_jobs_that_run_none_of_the_pull_requests_code() -> None:
    of_pull_request = jobs(ROOT / ".github/workflows/preview.yml")
    writers = [name for name, job in of_pull_request.items() if "pull-requests" in job.get("permissions", {})]
    assert writers == ["comment", "comment-after-review"]
    for job in (of_pull_request[name] for name in writers):
        (checkout,) = [step["with"] for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert checkout["ref"] == "${{ github.event.pull_request.base.sha }}"
        assert MARK in job["steps"][-1]["run"], "by which the comment is found again"
        assert "id-token" not in job["permissions"]


def test_what_is_previewed_drifted_and_deployed_is_packaged_alike() -> None:
    """The layer is part of every function: one without RDS's authorities would show up in each as a change."""
    of_pull_request = jobs(ROOT / ".github/workflows/preview.yml")
    every = [
        of_pull_request["preview"],
        of_pull_request["preview-prod"],
        *jobs(ROOT / ".github/workflows/deploy.yml").values(),
    ]
    runs = [[step["run"] for step in job["steps"] if "make setup package" in step.get("run", "")] for job in every]
    assert len(runs) == 4
    assert len({tuple(run) for run in runs}) == 1
    assert "RDS_CA=" in runs[0][0]


def test_a_deployment_goes_from_dev_to_prod_to_the_standby_and_stops_at_a_failure() -> None:
    up = jobs(ROOT / ".github/workflows/deploy.yml")["up"]
    assert up["strategy"]["matrix"]["stack"] == ["dev", "prod", "prod-secondary"]
    assert (up["strategy"]["max-parallel"], up["strategy"]["fail-fast"]) == (1, True)
    assert up["environment"] == "${{ matrix.stack }}", "GitHub's environments ask for approval"


def test_a_deployments_credentials_outlast_its_job() -> None:
    up = jobs(ROOT / ".github/workflows/deploy.yml")["up"]
    (login,) = [step["with"] for step in up["steps"] if "aws-actions/" in step.get("uses", "")]
    assert up["timeout-minutes"] * 60 < login["role-duration-seconds"] <= SESSION_S


def test_drift_is_looked_for_in_every_stack_with_a_role_that_changes_nothing() -> None:
    drift = jobs(ROOT / ".github/workflows/deploy.yml")["drift"]
    assert stacks(drift) == STACKS
    assert {entry["role"] for entry in drift["strategy"]["matrix"]["include"]} == {
        f"DRIFT_ROLE_{stack.upper().replace('-', '_')}" for stack in STACKS
    }
    (compare,) = [step for step in drift["steps"] if step.get("id") == "compare"]
    assert compare["with"]["expect-no-changes"] is compare["with"]["refresh"] is True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_it_makes_is_a_target_of_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    called = {word for line in re.findall(r"\bmake ([a-z0-9 -]+)", path.read_text()) for word in line.split()}
    assert called
    assert called <= targets
