"""Judgement by Terraform's AWS provider: the stacks pass, and what is wrong with a graph is found by its name."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from infra.graph import Graph
from policy.provider import installation
from policy.provider.judge import Judgement, Provider, stale
from policy.provider.verdicts import VERDICTS
from tests.conftest import Estate

try:
    INSTALLED = installation.find(os.environ)
except installation.NotInstalledError as missing:
    pytest.skip(f"{missing}", allow_module_level=True)

PROVIDERS = "pulumi:providers:aws"


def only(graph: Graph, changes: dict[str, dict[str, Any]]) -> Graph:
    """Return the graph with the named resources alone, and their inputs changed; None removes an input."""
    changed = []
    for resource in graph.resources:
        if resource.type == PROVIDERS:
            changed.append(resource)
        elif resource.name in changes and resource.custom:
            inputs = {**resource.inputs, **changes[resource.name]}
            changed.append(replace(resource, inputs={key: value for key, value in inputs.items() if value is not None}))
    return replace(graph, resources=tuple(changed))


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider(INSTALLED)


@pytest.fixture(scope="module")
def judgements(dev: Estate, provider: Provider) -> dict[str, Judgement]:
    """Return the judgements of two wrong graphs, because a plan checks nothing more once an argument is wrong."""
    graph = dev.graph("dev")
    arguments = {
        "network-vpc": {"cidrBlock": "10.0.0.0/99"},
        "agents-h01-function": {"runtime": "python9"},
        "agents-h02-function": {"role": None},
        "agents-h03-function": {"memory": 512},
        "agents-h04-function": {"role": "agents-h04-role"},
        "bus-h02-queue": {"kmsMasterKeyId": "alias/aws/sqs"},
        # With an output of another name, below.
        "bus-h01-queue": {},
        "agents-h01-inbox": {},
    }
    attributes = [*graph.of("dynamodb/table:Table")["sessions-table"].inputs["attributes"], {"name": "x", "type": "S"}]
    planned = {"sessions-table": {"attributes": attributes}, "bus-h01-queue": {"fifoQueue": True}}
    outputs = {"queueArn": graph.of("sqs/queue:Queue")["bus-h01-queue"].outputs["arn"]}
    renamed = [replace(r, outputs=outputs) if r.name == "bus-h01-queue" else r for r in graph.resources]
    wrong = {
        "arguments": only(replace(graph, resources=tuple(renamed)), arguments),
        "planned": only(graph, planned),
    }
    return provider.judge(wrong)


def test_the_provider_finds_nothing_wrong_with_the_stacks_and_needs_every_stand_in(dev, prod, standby, provider):
    """Where the stack files are the references, ``make validate`` has planned them, and its verdicts are read."""
    graphs = {"dev": dev.graph("dev"), "prod": prod.graph("prod"), "prod-secondary": standby.graph("prod-secondary")}
    judgements = provider.judge(graphs, VERDICTS)
    assert [finding for judgement in judgements.values() for finding in judgement.findings] == []
    assert judgements["prod"].resources == len(list(graphs["prod"].custom))
    assert stale(judgements.values()) == []


def test_the_provider_names_the_resource_with_a_wrong_argument(judgements):
    assert judgements["arguments"].failed
    found = {finding.resource: str(finding) for finding in judgements["arguments"].findings}
    assert found.keys() == {
        "aws_vpc.network-vpc",
        "aws_lambda_function.agents-h01-function",
        "aws_lambda_function.agents-h02-function",
        "aws_lambda_function.agents-h03-function",
        "aws_lambda_function.agents-h04-function",
        "aws_sqs_queue.bus-h02-queue",
        "aws_lambda_event_source_mapping.agents-h01-inbox",
    }
    assert "invalid CIDR address: 10.0.0.0/99" in found["aws_vpc.network-vpc"]
    assert "got python9" in found["aws_lambda_function.agents-h01-function"]
    assert 'The argument "role" is required' in found["aws_lambda_function.agents-h02-function"]
    assert 'named "memory"' in found["aws_lambda_function.agents-h03-function"]
    assert "is an invalid ARN" in found["aws_lambda_function.agents-h04-function"]
    conflict = "error arguments: aws_sqs_queue.bus-h02-queue: Conflicting configuration arguments: "
    assert found["aws_sqs_queue.bus-h02-queue"].startswith(conflict)


def test_the_provider_names_the_resource_that_no_plan_accepts(judgements):
    found = {finding.resource: finding.summary for finding in judgements["planned"].findings}
    assert found.keys() == {"aws_dynamodb_table.sessions-table", "aws_sqs_queue.bus-h01-queue"}
    assert '"x"' in found["aws_dynamodb_table.sessions-table"]


def test_an_output_that_the_provider_does_not_have_is_found_where_it_is_used(judgements):
    inbox = "aws_lambda_event_source_mapping.agents-h01-inbox"
    (finding,) = [finding for finding in judgements["arguments"].findings if finding.resource == inbox]
    assert 'named "queue_arn"' in finding.detail
