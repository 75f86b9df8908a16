"""The pack in a process of its own, asked over gRPC as the engine asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policy.rules import RULES

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def engine():
    """What the engine holds: a channel to the pack, which was told the stack's settings."""
    settings = '{"infrafabric:settings": "{\\"environment\\": \\"prod\\", \\"region\\": \\"us-east-1\\"}"}'
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PULUMI_CONFIG": settings}
    started = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "policy")], stdout=subprocess.PIPE, cwd=ROOT / "policy", env=environment
    )
    try:
        assert started.stdout
        port = int(started.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        started.kill()
        started.wait()


def analyzed(engine, type_, props):
    written = struct_pb2.Struct()
    written.update(props)
    request = analyzer_pb2.AnalyzeRequest(type=type_, properties=written, urn="urn:it", name="it")
    return {(d.policyName, d.enforcementLevel) for d in engine.Analyze(request).diagnostics}


def test_the_engine_learns_of_every_rule(engine):
    info = engine.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "infrafabric"
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}


def test_a_violation_stops_a_deployment(engine):
    found = analyzed(engine, "aws:rds/instance:Instance", {"storageEncrypted": True, "kmsKeyId": "k", "tags": {}})
    assert ("database-zones", analyzer_pb2.MANDATORY) in found


def test_a_stack_of_resources_is_looked_at_as_a_whole(engine):
    bucket = analyzer_pb2.AnalyzerResource(type="aws:s3/bucket:Bucket", urn="urn:it", name="it")
    bucket.properties.update({"bucket": "mine"})
    found = engine.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=[bucket]))
    assert "bucket-closed" in {d.policyName for d in found.diagnostics}


def test_what_the_stack_says_of_itself_reaches_the_rules(engine):
    assert analyzed(engine, "aws:sns/topic:Topic", {"kmsMasterKeyId": "k", "region": "ap-south-1"}) >= {
        ("region-allowed", analyzer_pb2.MANDATORY)
    }
