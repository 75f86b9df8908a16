"""``python -m policy.validate`` (``make validate``): holds every stack's graph against the policy pack and checkov.

Needs neither an account nor the Pulumi CLI. Ends with 1 when a rule that is mandatory is broken, when checkov finds
what policy/accepted.yaml does not list, and when the list holds what no longer occurs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.graph import Graph, capture
from infra.graph.capture import PROJECT
from infra.graph.terraform import plan
from policy import over_graph, scan
from policy.config import PROFILES, Config

STACKS = ("dev", "prod", "prod-secondary")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make validate", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, help="only the rules that serve this profile's controls")
    parser.add_argument("--checkov", type=Path, default=scan.CHECKOV, help="checkov's program")
    chosen = parser.parse_args()
    graphs = _graphs()
    broken = _pack(graphs, chosen.profile)
    try:
        unknown = _checkov(graphs, chosen.checkov)
    except scan.ScanError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if broken or unknown else 0


def _graphs() -> dict[str, Graph]:
    graphs: dict[str, Graph] = {}
    for stack in STACKS:
        known = {f"organization/{PROJECT}/{name}": graph.exports for name, graph in graphs.items()}
        graphs[stack] = capture(stack, stacks=known)  # a standby comes after its primary, which is not run again
    return graphs


def _pack(graphs: Mapping[str, Graph], profile: str | None) -> bool:
    broken = False
    for stack, graph in graphs.items():
        found = over_graph.violations(graph, Config.of_stack(stack, profile=profile))
        mandatory = [one for one in found if one.rule.mandatory]
        print(
            f"{stack}: policy pack over {len(tuple(graph.custom))} resources: {_count(mandatory, 'mandatory')}", end=""
        )
        print(f", {_count(set(found) - set(mandatory), 'advisory')}")
        for one in found:
            print(f"  {'FAILS' if one.rule.mandatory else 'advice'} {one.rule.name}  {one.resource}: {one.text}")
            print(f"         {one.rule.remediation}")
        broken = broken or bool(mandatory)
    return broken


def _checkov(graphs: Mapping[str, Graph], checkov: Path) -> bool:
    plans = {stack: plan(graph, Config.of_stack(stack).region) for stack, graph in graphs.items()}
    found, listed = scan.scan(plans, checkov), scan.accepted()
    unlisted, stale = scan.compare(found, listed)
    print(f"checkov: {len(found)} findings, {len(found) - len(unlisted)} of them accepted in policy/accepted.yaml")
    for one in unlisted:
        print(f"  FAILS {one.check}  {one.stack}: {one.resource}: {one.title}\n         {one.guide}")
    for what in stale:
        print(f"  FAILS policy/accepted.yaml accepts {what}, and nothing needs it any more: take it out")
    if unlisted:
        print("  Mend what is found in infra/, or list it in policy/accepted.yaml with the reason why it stays.")
    return bool(unlisted or stale)


def _count(found: Iterable[object], what: str) -> str:
    number = len(list(found))
    return f"{number or 'no'} {what} violation{'s' if number != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main())
