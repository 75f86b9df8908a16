"""The policy pack in its own process, called over gRPC as the engine calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policy.rules import RULES

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def serving(*, dry_run: bool) -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """Start the pack with a stack's settings, and yield a stub for it, as the engine has one.

    The command is the language host's (RunPlugin in pulumi's sdk/python/cmd/pulumi-language-python/main.go).
    """
    variables = {
        "PULUMI_CONFIG": '{"infrafabric:settings": "{\\"environment\\": \\"prod\\", \\"region\\": \\"us-east-1\\"}"}',
        "PULUMI_PROJECT": "infrafabric",
        "PULUMI_STACK": "prod",
        "PULUMI_DRY_RUN": str(dry_run).lower(),
    }
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | variables
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(ROOT / "policy")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT / "policy", env=environment)
    try:
        assert process.stdout
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def engine() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    with serving(dry_run=False) as stub:
        yield stub


def analyzed(engine, type_, props):
    properties = struct_pb2.Struct()
    properties.update(props)
    request = analyzer_pb2.AnalyzeRequest(type=type_, properties=properties, urn="urn:it", name="it")
    return {(d.policyName, d.enforcementLevel) for d in engine.Analyze(request).diagnostics}


def test_the_engine_learns_of_every_rule(engine):
    info = engine.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "infrafabric"
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}


def test_a_violation_stops_a_deployment(engine):
    violations = analyzed(engine, "aws:rds/instance:Instance", {"storageEncrypted": True, "kmsKeyId": "k", "tags": {}})
    assert ("database-zones", analyzer_pb2.MANDATORY) in violations


def test_a_stack_of_resources_is_looked_at_as_a_whole(engine):
    bucket = analyzer_pb2.AnalyzerResource(type="aws:s3/bucket:Bucket", urn="urn:it", name="it")
    bucket.properties.update({"bucket": "mine"})
    violations = engine.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[bucket]))
    assert "bucket-closed" in {d.policyName for d in violations.diagnostics}


def test_an_output_that_is_missing_fails_its_rule_in_an_update_and_is_only_not_known_yet_in_a_preview(engine):
    queue = analyzer_pb2.AnalyzerResource(type="aws:sqs/queue:Queue", urn="urn:it", name="it")
    whole = analyzer_pb2.AnalyzeStackRequest(resources=[queue])

    failed = {d.policyName: d.message for d in engine.AnalyzeStack(whole).diagnostics}
    assert "the rule itself failed (KeyError: 'url')" in failed["tls-only"]
    assert len(engine.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest()).diagnostics) == 0, "and it goes on"
    with serving(dry_run=True) as preview:
        reasons = {policy.policy_name: policy.reason for policy in preview.AnalyzeStack(whole).not_applicable}
    assert reasons["tls-only"] == "url is not known before the update"


def test_what_the_stack_says_of_itself_reaches_the_rules(engine):
    assert analyzed(engine, "aws:sns/topic:Topic", {"kmsMasterKeyId": "k", "region": "ap-south-1"}) >= {
        ("region-allowed", analyzer_pb2.MANDATORY)
    }
