"""Validation of all variants: ``python -m policy.variants``, ``make variants``.

Each variant is captured, priced, and judged by the policy pack, checkov and, where it is installed, Terraform's AWS
provider. Accepted findings of any stack are accepted. The exit status is 1 if a variant has a failure, and 2 if
the list of variants, or an option, is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from infra.cost.estimate import UnpricedError, estimate
from infra.cost.traffic import TRAFFIC
from infra.graph import Graph, capture
from infra.graph.terraform.plan import plan
from infra.settings import stackfile
from policy import over_graph, scan
from policy.config import Config
from policy.provider import installation
from policy.provider.judge import Judgement, Provider
from policy.provider.terraform import TerraformError
from policy.provider.verdicts import VERDICTS
from policy.variants.listed import SECRETS, BadVariantsError, Variant, variants


def main() -> int:
    """Validate the variants, and print a line for each. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make variants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="validate this variant alone")
    args = parser.parse_args()
    try:
        listed = variants()
        if args.only and args.only not in listed:
            raise BadVariantsError(f"--only {args.only}: no such variant; listed are {', '.join(listed)}")
    except BadVariantsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return _run([listed[args.only]] if args.only else [*listed.values()])
    except (scan.ScanError, TerraformError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(listed: list[Variant]) -> int:
    try:
        provider = Provider(installation.find(os.environ))
    except installation.NotInstalledError as missing:
        print(f"{missing}: not judged by the provider")
        provider = None
    failed = []
    for variant in listed:
        facts: list[str] = []
        failures = list(_failures(variant, provider, facts.append))
        print(f"{'FAILS' if failures else 'ok   '} {variant.name} ({variant.stack}): {', '.join(facts)}", flush=True)
        for failure in failures:
            print(f"      {failure}", flush=True)
        failed += [variant.name] if failures else []
    print(f"{len(listed)} variants, {len(failed) or 'none'} failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _failures(variant: Variant, provider: Provider | None, note: Callable[[str], None]) -> Iterator[str]:
    """Yield what is wrong with a variant; ``note`` takes what is worth a word in its line."""
    try:
        graph = capture(variant.stack, variant.changes, secrets=SECRETS, folder=stackfile.REFERENCE)
    except pulumi.RunError as error:
        yield f"cannot be declared: {' '.join(str(error).split())}"
        return
    note(f"{len(list(graph.custom))} resources")
    try:
        note(f"{estimate(graph, TRAFFIC.get(variant.stack, TRAFFIC['prod'])).usd:.2f} USD a month")
    except UnpricedError as error:
        yield str(error)
    config = Config.of_text(variant.text)
    for violation in over_graph.violations(graph, config):
        if violation.rule.mandatory:
            yield f"{violation.rule.name}  {violation.resource}: {violation.text}"
    with ThreadPoolExecutor() as pool:
        judged = pool.submit(provider.judge, {variant.name: graph}, VERDICTS) if provider else None
        yield from _unaccepted(variant.stack, graph, config.region, note)
        yield from _refused(judged.result(), provider, note) if judged and provider else ()


def _unaccepted(stack: str, graph: Graph, region: str, note: Callable[[str], None]) -> Iterator[str]:
    """Yield checkov's findings that no entry of policy/accepted.yaml accepts.

    The stacks of an entry do not count: they say where the finding occurs today, and a variant moves resources.
    """
    plans = {stack: plan(graph, region)}
    findings = scan.scan(plans)
    entries = [entry.model_copy(update={"stacks": ()}) for entry in scan.accepted()]
    unaccepted, _ = scan.compare(findings, entries, {stack: scan.addresses(plans[stack])})
    note(f"checkov: {len(findings) - len(unaccepted)} accepted findings")
    for finding in unaccepted:
        yield f"{finding.check}  {finding.resource}: {finding.title} ({finding.guide})"


def _refused(judgements: Mapping[str, Judgement], provider: Provider, note: Callable[[str], None]) -> Iterator[str]:
    """Yield the provider's errors; a warning is a note."""
    for judgement in judgements.values():
        note(judgement.summary(provider.installation.version_text))
        for finding in judgement.findings:
            if finding.severity == "error":
                yield str(finding)
            else:
                note(str(finding))


if __name__ == "__main__":
    sys.exit(main())
