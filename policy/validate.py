"""Validation of all stacks' graphs: ``python -m policy.validate``, ``make validate``.

The policy pack and checkov judge every graph, and Terraform's AWS provider does where it is installed. Validation needs
no AWS account and no Pulumi CLI. The exit status is 1 if a mandatory rule is violated, if checkov has a finding that
policy/accepted.yaml does not list, if the provider refuses an argument, or if an entry of policy/accepted.yaml or a
stand-in of policy/provider is not needed any more. The last is a note only once the stack files differ from
tests/stacks.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.graph import Graph, capture
from infra.graph.terraform.plan import plan
from infra.naming.context import PROJECT
from infra.settings import stackfile
from policy import over_graph, scan
from policy.config import PROFILES, Config
from policy.provider import installation
from policy.provider.judge import Provider, stale
from policy.provider.terraform import TerraformError
from policy.provider.verdicts import VERDICTS

STACKS = ("dev", "prod", "prod-secondary")


def main() -> int:
    """Run policy pack, checkov and provider, and print the result. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make validate", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, help="apply only rules that support controls of this profile")
    parser.add_argument("--checkov", type=Path, default=scan.CHECKOV, help="path of the checkov program")
    args = parser.parse_args()
    try:
        graphs = _graphs()
        violated = _run_pack(graphs, args.profile)
        mismatch = _run_checkov(graphs, args.checkov)
        refused = _run_provider(graphs)
    except (scan.ScanError, TerraformError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 1 if violated or mismatch or refused else 0


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


def _run_provider(graphs: Mapping[str, Graph]) -> bool:
    """Print the provider's findings, and stand-ins that no stack needs. Return whether one of them is a failure."""
    try:
        installed = installation.find(os.environ)
    except installation.NotInstalledError as missing:
        print(f"{missing}: not judged by the provider")
        return False
    judgements = Provider(installed).judge(graphs, VERDICTS)
    for judgement in judgements.values():
        print(f"{judgement.stack}: {judgement.summary(installed.version_text)}")
        for finding in judgement.findings:
            print(f"  {'FAILS' if finding.severity == 'error' else 'note '} {finding}")
    level = "FAILS" if stackfile.are_reference(STACKS) else "note "
    unneeded = stale(judgements.values())
    for text in unneeded:
        print(f"  {level} policy/provider/stand_ins.py replaces {text}, which no stack has: remove the stand-in")
    failed = any(judgement.failed for judgement in judgements.values())
    if failed:
        print("  Fix the resource in infra/; if a newer provider accepts it, add a stand-in with a reason.")
    return failed or (bool(unneeded) and level == "FAILS")


def _count(violations: Iterable[object], level: str) -> str:
    number = len(list(violations))
    return f"{number or 'no'} {level} violation{'s' if number != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main())
