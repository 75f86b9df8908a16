"""Health checks of AWS resources, against botocore's own stubs and a server that never answers."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from botocore.stub import Stubber

from infrafabric.aws_adapters.clients import health_client
from infrafabric.aws_adapters.health_checks import key_check, table_check, topic_check

TOPIC, KEY = "arn:aws:sns:us-east-1:123456789012:bus", "arn:aws:kms:us-east-1:123456789012:key/k"
LIMIT_S = 2.0  # Route 53 waits no longer for a response


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


def stubbed(service: str) -> tuple[Any, Stubber]:
    client = health_client(service)
    stubber = Stubber(client)
    stubber.activate()
    return client, stubber


def test_a_table_that_answers_is_usable_though_it_has_no_such_item() -> None:
    dynamodb, answers = stubbed("dynamodb")
    key = {"pk": {"S": "health"}, "sk": {"S": "health"}}
    answers.add_response("get_item", {}, {"TableName": "sessions", "Key": key})
    assert table_check(dynamodb, "sessions")() == ""


def test_a_refused_read_is_named_by_its_code_without_arns() -> None:
    sns, answers = stubbed("sns")
    answers.add_client_error("get_topic_attributes", "AuthorizationError", f"not authorized on {TOPIC}", 403)
    assert topic_check(sns, TOPIC)() == "AuthorizationError"


@pytest.mark.parametrize(
    ("state", "reason"),
    [("Enabled", ""), ("Disabled", "the key is Disabled"), ("PendingDeletion", "the key is PendingDeletion")],
)
def test_a_signing_key_is_usable_only_while_it_is_enabled(state: str, reason: str) -> None:
    kms, answers = stubbed("kms")
    answers.add_response("describe_key", {"KeyMetadata": {"KeyId": "k", "KeyState": state}}, {"KeyId": KEY})
    assert key_check(kms, KEY)() == reason


def test_a_service_that_never_answers_fails_before_route_53_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert table_check(health_client("dynamodb"), "sessions")() == "ReadTimeoutError"
        assert time.monotonic() - started < LIMIT_S
