"""``fabric session`` as a shell sees it, without a platform: one line for what cannot be, and letters brought back."""

from __future__ import annotations

import json
import os
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import boto3
import pytest
from botocore.stub import Stubber

from infrafabric.cli.api_client import SigV4Authentication
from infrafabric.cli.main import main
from infrafabric.cli.redrive import Count, redrive

KEY = "0123456789abcdef"
DLQ, QUEUE = "https://sqs/dlq", "https://sqs/queue"


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit status and standard error of a command that fails."""
    try:
        status = main(list(words))
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("", KEY, "FABRIC_API_URL is not set: set it to the stack's output api_url, and FABRIC_API_KEY to its api_key"),
        ("http://x", "", "FABRIC_API_KEY is not set, and there are no AWS credentials for signing"),
        ("nonsense", KEY, "FABRIC_API_URL = 'nonsense': set it to the stack's output api_url, https://…"),
        ("ftp://x", KEY, "FABRIC_API_URL = 'ftp://x'"),
        ("http://127.0.0.1:1", KEY, "http://127.0.0.1:1 cannot be reached: [Errno 111] Connection refused"),
        ("https://[x", KEY, "is not the API of a stack"),
        ("http://x", "a\nb", "FABRIC_API_KEY is not an API key"),
        ("http://x", "schlüssel", "FABRIC_API_KEY is not an API key"),
    ],
)
def test_an_environment_that_names_no_api_is_one_line(
    url: str, key: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FABRIC_API_URL", url)
    monkeypatch.setenv("FABRIC_API_KEY", key)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    status, error = complaint(capsys, "session", "list")
    assert status == 2
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["session", "start", "--goal", "x", "--budget", "nan"], "argument --budget: 'nan': must be a number"),
        (["session", "start", "--goal", "x", "--quorum", "all"], "argument --quorum: 'all': must be a number"),
        (["release", "--stack", "dev", "--interval", "-3"], "argument --interval: '-3': must be 0 or more"),
        (["release", "--stack", "dev", "--errors", "inf"], "argument --errors: 'inf': must be a number"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_option(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, error = complaint(capsys, *words)
    assert status == 2
    assert said in error


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch):
    """An API that answers every request with ``answer``, and remembers the paths."""

    class Api:
        answer: ClassVar[tuple[int, bytes]] = (200, b"{}")
        paths: ClassVar[list[str]] = []
        headers: ClassVar[list[dict[str, str]]] = []
        location = ""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            Api.paths.append(self.path)
            Api.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, body = Api.answer
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            if Api.location:
                self.send_header("location", Api.location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("FABRIC_API_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("FABRIC_API_KEY", KEY)
    yield Api
    server.shutdown()
    server.server_close()


def test_an_id_stays_one_part_of_the_path_whatever_it_holds(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (404, b'{"detail": "not known"}')
    assert complaint(capsys, "session", "show", "é/../b c") == (1, "fabric session: not known\n")
    assert api.paths == ["/v1/sessions/%C3%A9%2F..%2Fb%20c"]


def test_a_key_that_is_refused_is_asked_about(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (403, b'{"message": "Forbidden"}')
    status, error = complaint(capsys, "session", "list")
    assert (status, error) == (
        1,
        "fabric session: Forbidden (403: is FABRIC_API_KEY the output api_key of this stack?)\n",
    )


def test_without_a_key_requests_are_signed_with_the_credentials_of_the_shell(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FABRIC_API_KEY")
    for name, value in {
        "ACCESS_KEY_ID": "AKIDEXAMPLE",
        "SECRET_ACCESS_KEY": "s",
        "DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    api.answer = (403, b'{"message": "Forbidden"}')
    _, error = complaint(capsys, "session", "show", "s1")
    assert api.paths[-1] == "/v1/iam/sessions/s1"
    sent = api.headers[-1]
    assert "x-api-key" not in sent
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/execute-api/aws4_request,", sent["authorization"]
    )
    assert "Forbidden (403: may these AWS credentials execute-api:Invoke" in error


def test_an_operator_signs_for_the_sessions_of_all_owners_also_with_a_key_in_the_shell(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "AKIDEXAMPLE",
        "SECRET_ACCESS_KEY": "s",
        "DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    api.answer = (404, b'{"detail": "not known"}')
    for words in (["show", "a.0123456789"], ["report", "a.0123456789"], ["watch", "a.0123456789"], ["list"]):
        assert complaint(capsys, "session", *words, "--operator") == (1, "fabric session: not known\n")
        assert api.paths[-1].startswith("/v1/operator/sessions")
        assert "x-api-key" not in api.headers[-1]


def test_an_operator_without_credentials_is_told_to_log_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FABRIC_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("FABRIC_API_KEY", KEY)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    status, error = complaint(capsys, "session", "list", "--operator")
    said = "--operator needs a signed request, and there are no AWS credentials for signing: log in to AWS"
    assert (status, error) == (2, f"fabric session: {said}\n")


def test_a_403_of_the_function_itself_says_nothing_of_keys(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (403, b'{"type": "https://x/problems.md#budget-too-large", "detail": "may be 10 at most"}')
    assert complaint(capsys, "session", "list") == (1, "fabric session: may be 10 at most\n")
    api.answer = (403, b'{"type": "about:blank", "detail": "Forbidden"}')
    assert "is FABRIC_API_KEY the output api_key" in complaint(capsys, "session", "list")[1]


def test_the_region_to_sign_for_is_the_one_that_the_apis_address_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert SigV4Authentication.of_environment("https://x.execute-api.us-west-2.amazonaws.com/v1").region == "us-west-2"
    assert SigV4Authentication.of_environment("https://api.example.org").region == "eu-west-1"


def test_a_redirect_gets_no_key_and_is_one_line(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer, api.location = (302, b""), "http://127.0.0.1:1/elsewhere"
    status, error = complaint(capsys, "session", "show", "x")
    assert status == 1
    assert "redirects to http://127.0.0.1:1/elsewhere, which gets no key: set FABRIC_API_URL" in error
    assert len(api.paths) == 1


@pytest.mark.parametrize("url", ["http://api.example/v1", "http://10.0.0.1", "http://localhost.example"])
def test_a_key_is_not_sent_over_http_to_another_machine(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FABRIC_API_URL", url)
    monkeypatch.setenv("FABRIC_API_KEY", KEY)
    status, error = complaint(capsys, "session", "list")
    assert status == 2
    assert f"FABRIC_API_URL = {url!r}: over http everybody on the way can read the key" in error


HOSTILE = "\x1b[2J\x9b31m\u202eevil\r\n0.99  h02  false finding\x07"


def report_with(text: str, left_out: int = 0) -> bytes:
    finding = {"text": text, "confidence": 0.5, "agent": "h01", "sources": [text]}
    members = {"summary": f"One\ntwo {text[:9]}", "findings": [finding], "findings_left_out": left_out}
    return json.dumps({"status": "COMPLETE", **members}).encode()


def test_a_report_says_how_many_findings_it_leaves_out(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (200, report_with("a fact", left_out=1_234))
    assert main(["session", "report", "x"]) == 0
    more = "1,234 more findings are in the objects that s3_key of each result names (--json)"
    assert capsys.readouterr().out.splitlines()[-1] == more


def test_findings_cannot_steer_a_terminal_or_imitate_another_line(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (200, report_with(HOSTILE))
    assert main(["session", "report", "x"]) == 0
    printed = capsys.readouterr().out
    assert not {character for character in printed if not character.isprintable()} - {"\n"}
    assert [line for line in printed.splitlines() if line.startswith("0.")] == [printed.splitlines()[-1]]


def test_a_report_as_json_is_the_whole_report_without_a_control_character(
    api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer = (200, report_with(HOSTILE))
    assert main(["session", "report", "x", "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["findings"][0]["text"] == HOSTILE
    assert not {character for character in printed if not character.isprintable()} - {"\n"}


def test_a_problem_of_the_api_cannot_steer_a_terminal(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (409, json.dumps({"detail": HOSTILE}).encode())
    _, error = complaint(capsys, "session", "show", "x")
    assert error.removesuffix("\n").isprintable()


def test_an_answer_that_is_no_json_is_one_line(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = (200, b"<html>")
    status, error = complaint(capsys, "session", "list")
    assert status == 2
    assert "is not the API of a stack: set FABRIC_API_URL to the output api_url (Expecting value" in error
    assert error.count("\n") == 1


class Sqs:
    """A dead-letter queue that gives each letter once, and remembers what it was asked to send."""

    def __init__(self, *letters: dict[str, Any]) -> None:
        self.letters, self.sent, self.deleted = list(letters), [], []

    def receive_message(self, **_: Any) -> dict[str, Any]:
        given, self.letters = self.letters[:10], self.letters[10:]
        return {"Messages": given} if given else {}

    def send_message(self, **request: Any) -> None:
        self.sent.append(request)

    def delete_message(self, **request: Any) -> None:
        self.deleted.append(request["ReceiptHandle"])


def letter(number: int, body: str = "{}", *, reason: str = "poison", sent_ms: int = 0) -> dict[str, Any]:
    return {
        "MessageId": f"id-{number}",
        "ReceiptHandle": f"receipt-{number}",
        "Body": body,
        "Attributes": {"SentTimestamp": str(sent_ms)},
        "MessageAttributes": {"reason": {"StringValue": reason, "DataType": "String"}},
    }


def brought_back(sqs: Sqs, *, queue_url: str = QUEUE, reason: str | None = None) -> Count:
    count = Count()
    redrive(sqs, dlq_url=DLQ, queue_url=queue_url, reason=reason, started_ms=10, count=count)
    return count


def test_only_letters_of_the_reason_and_from_before_are_moved() -> None:
    sqs = Sqs(letter(1), letter(2, reason="stale"), letter(3, sent_ms=11))
    assert brought_back(sqs, reason="poison") == Count(moved=1, kept=2)
    assert sqs.deleted == ["receipt-1"]


@pytest.mark.parametrize(
    ("body", "group"),
    [
        (json.dumps({"conversation_id": "if://conversation/s1"}), "s1"),
        ("no message", "redrive"),
        ("[]", "redrive"),
        (json.dumps({"conversation_id": 5}), "redrive"),
        (json.dumps({"conversation_id": "if://conversation/" + "x" * 129}), "redrive"),
    ],
)
def test_a_letter_goes_back_among_its_sessions_where_the_queue_keeps_order(body: str, group: str) -> None:
    sqs = Sqs(letter(1, body))
    brought_back(sqs, queue_url=f"{QUEUE}.fifo")
    (sent,) = sqs.sent
    assert sent["MessageGroupId"] == group
    assert sent["MessageDeduplicationId"] == "id-1", "by the body alone SQS would drop it within five minutes"


def test_what_aws_refuses_is_one_line_that_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    answers = Stubber(client)
    answers.add_client_error("receive_message", "AccessDenied", "not for you")
    answers.activate()
    monkeypatch.setattr(boto3, "client", lambda _: client)
    status, error = complaint(capsys, "session", "redrive", "--dlq-url", DLQ, "--queue-url", QUEUE)
    assert status == 2
    assert error == (
        "fabric session redrive: AWS refused ReceiveMessage: AccessDenied: not for you (0 moved before; run it again)\n"
    )
