"""Validation of all stacks' graphs by the policy pack and checkov: ``python -m policy.validate``, ``make validate``.

Validation needs no AWS account and no Pulumi CLI. The exit status is 1 if a mandatory rule is violated, if checkov has
a finding that policy/accepted.yaml does not list, or if an entry of policy/accepted.yaml has no finding any more. The
last is a note only once the stack files differ from tests/stacks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.graph import Graph, capture
from infra.graph.terraform.plan import plan
from infra.naming.context import PROJECT
from infra.settings import stackfile
from policy import over_graph, scan
from policy.config import PROFILES, Config

STACKS = ("dev", "prod", "prod-secondary")


def main() -> int:
    """Run policy pack and checkov, and print the result. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make validate", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, help="apply only rules that support controls of this profile")
    parser.add_argument("--checkov", type=Path, default=scan.CHECKOV, help="path of the checkov program")
    args = parser.parse_args()
    graphs = _graphs()
    violated = _run_pack(graphs, args.profile)
    try:
        mismatch = _run_checkov(graphs, args.checkov)
    except scan.ScanError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if violated or mismatch else 0


def _graphs() -> dict[str, Graph]:
    graphs: dict[str, Graph] = {}
    for stack in STACKS:
        outputs = {f"organization/{PROJECT}/{name}": graph.exports for name, graph in graphs.items()}
        graphs[stack] = capture(stack, stacks=outputs)  # a standby follows its primary, and reads the primary's outputs
    return graphs


def _run_pack(graphs: Mapping[str, Graph], profile: str | None) -> bool:
    """Print all violations. Return whether a mandatory rule is violated."""
    failed = False
    for stack, graph in graphs.items():
        violations = over_graph.violations(graph, Config.of_stack(stack, profile=profile))
        mandatory = [violation for violation in violations if violation.rule.mandatory]
        print(
            f"{stack}: policy pack over {len(tuple(graph.custom))} resources: {_count(mandatory, 'mandatory')}", end=""
        )
        print(f", {_count(set(violations) - set(mandatory), 'advisory')}")
        for violation in violations:
            rule = violation.rule
            print(f"  {'FAILS' if rule.mandatory else 'advice'} {rule.name}  {violation.resource}: {violation.text}")
            print(f"         {rule.remediation}")
        failed = failed or bool(mandatory)
    return failed


def _run_checkov(graphs: Mapping[str, Graph], checkov: Path) -> bool:
    """Print findings and entries that do not match. Return whether there are any."""
    plans = {stack: plan(graph, Config.of_stack(stack).region) for stack, graph in graphs.items()}
    findings = scan.scan(plans, checkov)
    unaccepted, stale = scan.compare(
        findings, scan.accepted(), {stack: scan.addresses(plan) for stack, plan in plans.items()}
    )
    accepted = len(findings) - len(unaccepted)
    print(f"checkov: {len(findings)} findings, {accepted} of them accepted in policy/accepted.yaml")
    for finding in unaccepted:
        print(
            f"  FAILS {finding.check}  {finding.stack}: {finding.resource}: {finding.title}\n         {finding.guide}"
        )
    # With settings of your own a finding may disappear; only with the reference stacks that proves the entry stale.
    level = "FAILS" if stackfile.are_reference(STACKS) else "note "
    for text in stale:
        print(f"  {level} policy/accepted.yaml accepts {text}, which checkov does not find: remove the entry")
    if unaccepted:
        print("  Fix the resource in infra/, or add the finding to policy/accepted.yaml with a reason.")
    return bool(unaccepted or (stale and level == "FAILS"))


def _count(violations: Iterable[object], level: str) -> str:
    number = len(list(violations))
    return f"{number or 'no'} {level} violation{'s' if number != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main())
