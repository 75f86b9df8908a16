"""The platform, once for all tests of this tier: the dev stack on the emulator, with its real packages."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.settings import stackfile
from infrafabric.api.paths import IAM_PATH
from infrafabric.aws_adapters.objects import split_s3_uri
from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.bus.registry import Registry
from infrafabric.swarm.session_ids import internal_id
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.shape import BadShapeError
from local import platform as local_platform
from local import stack
from tests.e2e import described

FINAL = ("COMPLETE", "PARTIAL", "FAILED", "CANCELLED")
WAIT_S = 90.0
IAM_REFUSAL = "application/x-amz-json-1.0"  # the emulator refuses by IAM in front of its API Gateway
CLIENTS = {
    "default": {"dailyCapUsd": 1_000},  # for the sessions of all tests that start some
    "partner": {"keys": 2, "maxBudgetUsd": 2, "dailyCapUsd": 1_000},
    "capped": {"maxBudgetUsd": 6, "dailyCapUsd": 10},
}


@dataclass(frozen=True)
class Stage:
    """A running platform with the dev stack on it."""

    platform: local_platform.Platform
    outputs: dict[str, Any]

    def call(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, key: str | None = ""
    ) -> tuple[int, dict[str, str], Any]:
        """One request as a client sends it: status, headers (lower case), JSON. ``key`` None sends none."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["x-api-key"] = key or self.outputs["api_key"]
        return self._send(
            method, path, urllib.request.Request(self.outputs["api_url"] + path, data, headers, method=method)
        )

    @staticmethod
    def _send(method: str, path: str, request: urllib.request.Request) -> tuple[int, dict[str, str], Any]:
        try:
            answer: Any = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read()
            found = {name.lower(): value for name, value in answer.headers.items()}
            document = json.loads(text) if text else None
        if found["content-type"] != IAM_REFUSAL:
            described.check(method, path.removeprefix(IAM_PATH), answer.status, found["content-type"], document)
        return answer.status, found, document

    def signed(self, method: str, path: str, body: Any = None, *, credentials: Any = None) -> tuple[int, Any]:
        """One request signed with SigV4, by default with the account's root: status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        url = self.outputs["api_url"] + path
        request = AWSRequest(method, url, data=data, headers={"content-type": "application/json"})
        root = Credentials(local_platform.CREDENTIALS["access_key_id"], local_platform.CREDENTIALS["secret_access_key"])
        SigV4Auth(credentials or root, "execute-api", local_platform.REGION).add_auth(request)
        status, _, document = self._send(
            method, path, urllib.request.Request(url, data, dict(request.headers), method=method)
        )
        return status, document

    def start(self, **body: Any) -> str:
        status, _, session = self.call("POST", "/sessions", body)
        assert status == 202, session
        return session["session_id"]

    def ended(self, session_id: str, within_s: float = WAIT_S) -> dict[str, Any]:
        """The session once it has ended."""
        return self.ended_by(lambda: self.call("GET", f"/sessions/{session_id}")[2], within_s)

    @staticmethod
    def ended_by(read: Callable[[], dict[str, Any]], within_s: float = WAIT_S) -> dict[str, Any]:
        """The session that ``read`` returns, once it has ended."""

        def if_final() -> dict[str, Any] | None:
            session = read()
            return session if session["status"] in FINAL else None

        return until(if_final, "the session to end", within_s)

    def report(self, session_id: str) -> dict[str, Any]:
        status, _, report = self.call("GET", f"/sessions/{session_id}/report")
        assert status == 200, report
        return report

    def nobody_works(self) -> bool:
        """Whether no session runs, so that model calls, money and messages can be counted."""
        _, _, found = self.call("GET", "/sessions?limit=100")
        running = {s["session_id"] for s in found["sessions"] if s["status"] in ("PENDING", "RUNNING", "CANCELLING")}
        return all(session.startswith(("by-hand", "store-")) for session in running)  # no coordinator has these

    def key(self, session_id: str) -> SessionKey:
        """The key of a session of this stack's client."""
        return SessionKey(own(session_id), local_platform.REGION)

    def registry(self) -> Registry:
        """The trusted keys, as the deployment wrote them."""
        bucket, key = split_s3_uri(self.outputs["registry_uri"])
        return Registry.parse(self.platform.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def store(self) -> SessionStore:
        """The sessions table, with the rights of the account's root."""

        def refuse(where: str, error: BadShapeError) -> None:
            raise AssertionError(f"{where}: {error}")

        return SessionStore(
            dynamodb=self.platform.client("dynamodb"),
            table=self.outputs["sessions_table"],
            home=local_platform.REGION,
            on_unreadable=refuse,
        )

    def model(self, method: str, path: str, body: Any = None) -> Any:
        """Call the fake model server's control API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.platform.model_url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def counting(self, match: str, delay_s: float = 0) -> Callable[[], int]:
        """Counts the model calls that ``match`` fits from now to the test's end: other sessions may still call it."""
        self.model("POST", "/_fabric/rules", {"match": match, "do": "delay", "delay_s": delay_s})
        return lambda: next(r["fitted"] for r in self.model("GET", "/_fabric/rules") if r["match"] == match)

    def letters(self, agent: str) -> list[dict[str, Any]]:
        """What lies in an agent's dead-letter queue; taken out."""
        sqs, url = self.platform.client("sqs"), self.outputs["agents"][agent]["dlq_url"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for letter in found.get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
        return found.get("Messages", [])


def own(session_id: str, owner: str = "default") -> str:
    """The internal id of a session of the client whose key ``Stage.call`` sends."""
    return internal_id(session_id, owner)


def until(look: Callable[[], Any], what: str, within_s: float = WAIT_S) -> Any:
    """The first true thing that ``look`` returns."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s for {what}"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with local_platform.running(tmp_path_factory.mktemp("platform")) as platform:
        settings = {
            "fleet.heartbeatS": 1,
            "fleet.heartbeatTimeoutS": 10,
            "fleet.breakerS": 3,
            "api.clients": CLIENTS,
        }
        deployed = stack.deploy_stack(platform, overrides=settings, folder=stackfile.REFERENCE)
        stack.warm_up(platform, deployed)
        yield Stage(platform, deployed.outputs)


@pytest.fixture(scope="session")
def platform(stage: Stage) -> Stage:
    return stage


@pytest.fixture(autouse=True)
def calm_model(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test's rules for the model end with it."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").model("DELETE", "/_fabric/rules")


@pytest.fixture
def aws_shell(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a shell that points at the platform, as ``fabric local up`` says to export it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stage.platform.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
