"""Judgement of graphs by the provider: validated and planned, without AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.graph import Graph
from infra.graph.terraform import configuration
from infra.graph.terraform.names import address, type_of
from policy.provider import stand_ins
from policy.provider.installation import Installation
from policy.provider.stand_ins import STAND_INS, StandIn
from policy.provider.terraform import Terraform
from policy.provider.verdicts import diagnostics_of

_MAX_PARALLEL = 2
_IN_CONTEXT = re.compile(r"resource\.(\w+\.[\w-]+)")


@dataclass(frozen=True, order=True)
class ProviderFinding:
    """Diagnostic of Terraform or the provider for one resource of a stack."""

    stack: str
    resource: str  # address, such as aws_sqs_queue.bus-h01-queue; "configuration" if none is to blame
    severity: str  # error or warning
    summary: str
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.severity} {self.stack}: {self.resource}: {self.summary}"
        return " ".join(f"{text}: {self.detail}".rstrip(": ").split())


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Findings of the provider on one stack, and the stand-ins that the stack has."""

    stack: str
    resources: int
    findings: tuple[ProviderFinding, ...]
    applied: frozenset[str]  # stand-ins in place of what the provider refuses
    found: frozenset[str]  # stand-ins whose argument or value the stack has, refused or not

    def summary(self, version: str) -> str:
        """Return a line such as ``provider 5.100.0: 383 resources validated and planned, no finding (7 stand-ins)``."""
        number = len(self.findings)
        text = f"provider {version}: {self.resources} resources validated and planned, "
        text += f"{number or 'no'} finding{'s' if number > 1 else ''}"
        return f"{text} ({len(self.applied)} stand-ins)" if self.applied else text

    @property
    def failed(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)


class Provider:
    """Judge that runs Terraform for several stacks at a time."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._refused: list[StandIn] | None = None  # None: the schema has not been read

    def judge(self, graphs: Mapping[str, Graph], verdicts: Path | None = None) -> dict[str, Judgement]:
        """Return the judgement of each stack.

        Args:
            graphs: graphs by stack.
            verdicts: folder that keeps the diagnostics of each configuration. The same configuration, Terraform and
                provider give the same diagnostics, so nothing is judged twice. None: everything is judged.

        Raises:
            TerraformError: Terraform itself failed.
        """
        terraform = Terraform(self.installation)
        with (
            TemporaryDirectory(prefix="infrafabric-provider-") as folder,
            ThreadPoolExecutor(_MAX_PARALLEL) as pool,
            terraform.stopping(),  # the innermost, because the pool waits for its threads
        ):
            if self._refused is None:
                self._refused = self._read_schema(terraform, Path(folder) / "schema")
            refused = self._refused
            judged = pool.map(
                lambda stack: _judge(stack, graphs[stack], refused, terraform, Path(folder) / stack, verdicts),
                sorted(graphs, key=lambda stack: -len(graphs[stack].resources)),  # the longest first
            )
            by_stack = {judgement.stack: judgement for judgement in judged}
        return {stack: by_stack[stack] for stack in graphs}

    def _read_schema(self, terraform: Terraform, folder: Path) -> list[StandIn]:
        """Return the stand-ins that this version of the provider needs."""
        terraform.init(_folder(folder, configuration.requirements(self.installation.version_text)))
        schema = terraform.schema(folder)
        return [stand_in for stand_in in STAND_INS if stand_in.is_refused(schema, self.installation.version)]


def _judge(
    stack: str, graph: Graph, refused: Sequence[StandIn], terraform: Terraform, folder: Path, verdicts: Path | None
) -> Judgement:
    linked, literal = (configuration.resources(graph, references=references) for references in (True, False))
    found = [stand_in for stand_in in STAND_INS if stand_ins.found_in(literal, stand_in)]
    applied = [stand_in for stand_in in found if stand_in in refused]
    documents = []
    for resources in (linked, literal):
        for stand_in in applied:
            stand_ins.apply(resources, stand_in)
        documents.append(configuration.document(resources, graph, terraform.installation.version_text))
    names = {f"{type_of(r.type)}.{configuration.label(r)}": address(r) for r in graph.custom}
    program = terraform.installation.terraform
    diagnostics = diagnostics_of(documents, program, verdicts, lambda: _run(documents, terraform, folder))
    return Judgement(
        stack=stack,
        resources=len(list(graph.custom)),
        findings=tuple(sorted({_finding(stack, diagnostic, names) for diagnostic in diagnostics})),
        applied=frozenset(map(str, applied)),
        found=frozenset(map(str, found)),
    )


def stale(judgements: Iterable[Judgement]) -> list[str]:
    """Return the stand-ins that none of the stacks needs, without those that a setting of another stack needs."""
    found = frozenset[str]().union(*(judgement.found for judgement in judgements))
    return [str(stand_in) for stand_in in STAND_INS if not stand_in.setting and str(stand_in) not in found]


def _run(documents: list[dict[str, Any]], terraform: Terraform, folder: Path) -> list[dict[str, Any]]:
    """Validate the configuration with references, and plan the one with literals (which validates it first).

    The references prove that every argument comes from an output that exists, and has its type. Checks of a value's
    form, and checks during the plan, need the values.
    """
    linked, literal = documents
    terraform.init(_folder(folder, linked))
    diagnostics = terraform.validate(folder)
    _folder(folder, literal)
    return diagnostics + terraform.plan(folder)


def _folder(folder: Path, document: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    # With line breaks: Terraform quotes the line that a diagnostic is about.
    (folder / "main.tf.json").write_text(json.dumps(document, indent=1))
    return folder


def _finding(stack: str, diagnostic: Mapping[str, Any], names: Mapping[str, str]) -> ProviderFinding:
    context = _IN_CONTEXT.match((diagnostic.get("snippet") or {}).get("context") or "")
    label = diagnostic.get("address") or (context[1] if context else "configuration")
    return ProviderFinding(
        stack=stack,
        resource=names.get(label, label),
        severity=diagnostic["severity"],
        summary=diagnostic["summary"],
        detail=diagnostic.get("detail", ""),
    )
