"""Checkov scan of the stacks' graphs, and comparison of the findings with policy/accepted.yaml."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).resolve().parent.parent
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
ACCEPTED = Path(__file__).parent / "accepted.yaml"
GUIDES = "https://docs.prismacloud.io/en/enterprise-edition/policy-reference/aws-policies"
# No downloads or uploads; findings are no failure of the run, because policy/accepted.yaml decides about findings.
_OPTIONS = ("--framework", "terraform_plan", "--skip-download", "--compact", "--quiet", "--soft-fail", "-o", "json")
_MAX_PARALLEL = 2


class ScanError(Exception):
    """Failure of checkov: no report, or a report without all resources."""


@dataclass(frozen=True, order=True)
class CheckovFinding:
    """Failure of one check for one resource of a stack."""

    stack: str
    check: str
    resource: str  # address, such as aws_sqs_queue.bus-h01-queue
    title: str = field(compare=False, default="")
    guide: str = field(compare=False, default=GUIDES)


class Accepted(BaseModel):
    """Entry of policy/accepted.yaml: accepted findings and the reason for acceptance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checks: tuple[str, ...] = Field(min_length=1)
    resources: tuple[str, ...] = Field(min_length=1)  # addresses; * matches any text
    stacks: tuple[Literal["dev", "prod", "prod-secondary"], ...] = ()  # empty: all stacks
    setting: str = ""  # setting that causes the finding; the entry is then not stale in stacks without the setting
    reason: str = Field(min_length=30)

    def covers(self, finding: CheckovFinding, pattern: str, check: str) -> bool:
        """Return whether the entry, for one of its patterns and checks, accepts the finding."""
        in_stack = not self.stacks or finding.stack in self.stacks
        return in_stack and finding.check == check and fnmatchcase(finding.resource, pattern)


def accepted(path: Path = ACCEPTED) -> tuple[Accepted, ...]:
    """Read policy/accepted.yaml.

    Raises:
        pydantic.ValidationError: an entry has an unknown or missing key, or a reason of less than 30 characters.
    """
    return tuple(Accepted.model_validate(entry) for entry in yaml.safe_load(path.read_text()))


def addresses(plan: Mapping[str, Any]) -> set[str]:
    """Return the addresses of a plan's resources."""
    return {resource["address"] for resource in plan["planned_values"]["root_module"]["resources"]}


def compare(
    findings: Iterable[CheckovFinding], entries: Sequence[Accepted], scanned: Mapping[str, set[str]]
) -> tuple[list[CheckovFinding], list[str]]:
    """Return the findings that no entry accepts, and texts for checks and stacks of entries without a finding.

    An entry for a resource that no stack has is left alone: the settings may switch the resource off.

    Args:
        scanned: addresses of the resources by stack.
    """
    findings = sorted(findings)
    triples = [(entry, pattern, check) for entry in entries for pattern in entry.resources for check in entry.checks]
    unaccepted = [f for f in findings if not any(entry.covers(f, pattern, check) for entry, pattern, check in triples)]
    stale = [
        f"{check} on {pattern}"
        for entry, pattern, check in triples
        if not entry.setting
        and _found(pattern, entry.stacks, scanned)
        and not any(entry.covers(f, pattern, check) for f in findings)
    ]
    stale += [
        f"{', '.join(entry.checks)} in {stack}"
        for entry in entries
        for stack in entry.stacks
        if any(_found(pattern, (stack,), scanned) for pattern in entry.resources)
        and not any(
            f.stack == stack and entry.covers(f, pattern, check)
            for f in findings
            for pattern in entry.resources
            for check in entry.checks
        )
    ]
    return unaccepted, stale


def _found(pattern: str, stacks: Iterable[str], scanned: Mapping[str, set[str]]) -> bool:
    """Return whether one of ``stacks`` (all if empty) has a resource that the pattern matches."""
    names = set(stacks) or set(scanned)
    return any(fnmatchcase(address, pattern) for name in names & set(scanned) for address in scanned[name])


def scan(plans: Mapping[str, Mapping[str, Any]], checkov: Path = CHECKOV) -> list[CheckovFinding]:
    """Scan each stack's Terraform plan with checkov.

    Args:
        plans: plan as JSON object by stack.

    Raises:
        ScanError: checkov wrote no report, or did not read every resource.
    """
    with ThreadPoolExecutor(_MAX_PARALLEL) as pool:
        reports = pool.map(lambda stack: _scan_stack(stack, plans[stack], checkov), plans)
        return sorted(finding for findings in reports for finding in findings)


def _scan_stack(stack: str, plan: Mapping[str, Any], checkov: Path) -> list[CheckovFinding]:
    with TemporaryDirectory(prefix="infrafabric-validate-") as folder:
        file = Path(folder) / "tfplan.json"
        file.write_text(json.dumps(plan, indent=1))  # with line breaks: checkov is slow on a single long line
        report = _report(checkov, file)
    expected = len(plan["planned_values"]["root_module"]["resources"])
    summary = report.get("summary", {})
    if summary.get("resource_count") != expected or summary.get("parsing_errors") or not summary.get("passed"):
        raise ScanError(f"checkov did not read all {expected} resources of {stack}: {summary or report}")
    return [
        CheckovFinding(
            stack, failed["check_id"], failed["resource"], failed["check_name"], failed.get("guideline") or GUIDES
        )
        for failed in report["results"]["failed_checks"]
    ]


def _report(checkov: Path, file: Path) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("BC_", "CKV_", "CHECKOV_"))}
    if not checkov.exists():
        raise ScanError(f"{checkov} does not exist: make validate installs it")
    result = subprocess.run(  # noqa: S603  fixed arguments
        [str(checkov), "-f", str(file), *_OPTIONS],
        capture_output=True,
        text=True,
        check=False,
        cwd=file.parent,  # a .checkov.yaml in the current folder must have no effect
        env=environment,
        timeout=300,
    )
    try:
        report = json.loads(result.stdout)
    except json.JSONDecodeError:
        raise ScanError(f"checkov ended with {result.returncode} and no report:\n{result.stderr[-2000:]}") from None
    return report if isinstance(report, dict) else report[0]
