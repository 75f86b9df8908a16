"""Runs checkov over stacks' graphs, and compares what it finds with what was accepted and why."""

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
# Nothing is fetched or sent; what it finds is for us to judge, so finding something is no failure of the run.
_OPTIONS = ("--framework", "terraform_plan", "--skip-download", "--compact", "--quiet", "--soft-fail", "-o", "json")
_AT_ONCE = 2


class ScanError(Exception):
    """checkov did not run, or did not read what it was given."""


@dataclass(frozen=True, order=True)
class Finding:
    """One resource that fails one check, in one stack."""

    stack: str
    check: str
    resource: str  # aws_sqs_queue.bus-h01-queue
    title: str = field(compare=False, default="")
    guide: str = field(compare=False, default=GUIDES)


class Accepted(BaseModel):
    """Findings that stay as they are, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checks: tuple[str, ...] = Field(min_length=1)
    resources: tuple[str, ...] = Field(min_length=1)  # addresses; * stands for any text
    stacks: tuple[Literal["dev", "prod", "prod-secondary"], ...] = ()  # none named: all
    reason: str = Field(min_length=30)

    def covers(self, finding: Finding, pattern: str, check: str) -> bool:
        in_stack = not self.stacks or finding.stack in self.stacks
        return in_stack and finding.check == check and fnmatchcase(finding.resource, pattern)


def accepted(path: Path = ACCEPTED) -> tuple[Accepted, ...]:
    """What policy/accepted.yaml lists.

    Raises:
        pydantic.ValidationError: an entry lacks a part, or gives no reason to speak of.
    """
    return tuple(Accepted.model_validate(entry) for entry in yaml.safe_load(path.read_text()))


def compare(found: Iterable[Finding], listed: Sequence[Accepted]) -> tuple[list[Finding], list[str]]:
    """Findings that nobody accepted, and parts of the list that no finding needs any more."""
    found = sorted(found)
    parts = [(one, pattern, check) for one in listed for pattern in one.resources for check in one.checks]
    unlisted = [f for f in found if not any(one.covers(f, pattern, check) for one, pattern, check in parts)]
    stale = [
        f"{check} on {pattern}"
        for one, pattern, check in parts
        if not any(one.covers(f, pattern, check) for f in found)
    ]
    stale += [
        f"{', '.join(one.checks)} in {stack}"
        for one in listed
        for stack in one.stacks
        if not any(f.stack == stack and one.covers(f, p, c) for f in found for p in one.resources for c in one.checks)
    ]
    return unlisted, stale


def scan(plans: Mapping[str, Mapping[str, Any]], checkov: Path = CHECKOV) -> list[Finding]:
    """What checkov finds in each stack's plan.

    Raises:
        ScanError: it did not run, or did not see every resource.
    """
    with ThreadPoolExecutor(_AT_ONCE) as side_by_side:
        found = side_by_side.map(lambda stack: _scan_one(stack, plans[stack], checkov), plans)
        return sorted(finding for of_stack in found for finding in of_stack)


def _scan_one(stack: str, plan: Mapping[str, Any], checkov: Path) -> list[Finding]:
    with TemporaryDirectory(prefix="infrafabric-validate-") as folder:
        file = Path(folder) / "tfplan.json"
        file.write_text(json.dumps(plan, indent=1))  # lines: checkov names them, and is slow on a single long one
        report = _report(checkov, file)
    expected = len(plan["planned_values"]["root_module"]["resources"])
    summary = report.get("summary", {})
    if summary.get("resource_count") != expected or summary.get("parsing_errors") or not summary.get("passed"):
        raise ScanError(f"checkov did not read all {expected} resources of {stack}: {summary or report}")
    return [
        Finding(stack, one["check_id"], one["resource"], one["check_name"], one.get("guideline") or GUIDES)
        for one in report["results"]["failed_checks"]
    ]


def _report(checkov: Path, file: Path) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("BC_", "CKV_", "CHECKOV_"))}
    if not checkov.exists():
        raise ScanError(f"{checkov} is not there: make validate installs it")
    done = subprocess.run(  # noqa: S603  our own arguments
        [str(checkov), "-f", str(file), *_OPTIONS],
        capture_output=True,
        text=True,
        check=False,
        cwd=file.parent,  # or a .checkov.yaml of wherever this was started would count
        env=environment,
        timeout=300,
    )
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        raise ScanError(f"checkov ended with {done.returncode} and no report:\n{done.stderr[-2000:]}") from None
    return report if isinstance(report, dict) else report[0]
