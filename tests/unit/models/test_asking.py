"""Asking: the real SDK against the real stand-in, by every provider."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from infrafabric import models
from infrafabric.environment import ModelEnvironment
from infrafabric.models import Model, errors, open_model, prompts, schemas
from infrafabric.models.usage import Usage
from local.model_server import FakeModelServer
from tests.unit.models.conftest import HAIKU, asked, calls, failure, prompt_of

SECRET, KEY = "arn:aws:secretsmanager:us-east-1:123456789012:secret:key", "sk-ant-very-secret"

# -- answers ----------------------------------------------------------------------------------------------------------


def test_an_agents_answer_has_findings_with_confidence_and_sources(model: Model) -> None:
    answer = model.ask(prompt_of("Describe the hull"), prompts.agent_answer(), max_tokens=1000, timeout_s=10)
    assert answer.value.findings
    for finding in answer.value.findings:
        assert 0 <= finding.confidence <= 1
        assert finding.sources
        assert "Describe the hull" in finding.text


def test_an_offline_answer_says_so_in_its_model_and_in_every_text(model: Model) -> None:
    answer = model.ask(prompt_of("x"), prompts.agent_answer(), max_tokens=1000, timeout_s=10)
    assert answer.offline
    assert answer.model_id == f"offline stand-in for {HAIKU}"
    texts = [answer.value.summary, *(finding.text for finding in answer.value.findings)]
    assert all("[offline stand-in]" in text for text in texts)


@pytest.mark.parametrize("wanted", [1, 7, 40])
def test_a_plan_has_as_many_tasks_as_were_asked_for(model: Model, wanted: int) -> None:
    prompt = prompts.plan(goal="Know the boats", tasks=wanted)
    plan = model.ask(prompt, prompts.plan_answer(), max_tokens=4096, timeout_s=10).value
    assert len(plan.tasks) == len(set(plan.tasks)) == wanted


def test_a_report_has_a_summary(model: Model) -> None:
    prompt = prompts.report(goal="Know the boats", findings='{"tasks": [{"findings": [{}, {}]}]}')
    assert "2 findings" in model.ask(prompt, prompts.report_answer(), max_tokens=1000, timeout_s=10).value.summary


def test_usage_is_counted_and_costs_less_than_was_set_aside(model: Model) -> None:
    prompt = prompt_of("Describe the hull")
    answer = model.ask(prompt, prompts.agent_answer(), max_tokens=1000, timeout_s=10)
    assert answer.usage.input_tokens == pytest.approx(len(prompt.system + prompt.user) / 4, rel=0.05)
    assert 0 < model.cost_nusd(answer.usage) < model.worst_nusd(prompt, 1000)


@pytest.mark.parametrize("output", [schemas.AgentAnswer, schemas.TaskPlan, schemas.ReportSummary])
def test_no_schema_is_longer_than_the_worst_case_allows_for(output: type) -> None:
    from infrafabric.models import calling

    assert len(json.dumps(calling._schema(output)).encode()) <= models.SCHEMA_BYTES


@pytest.mark.parametrize(
    "task", ["a" * 400, "ß" * 400, "\U0001f6a4" * 400, "\ufdfa" * 400], ids=["a", "ß", "boat", "FDFA"]
)
def test_the_worst_case_bounds_tokens_of_one_byte_each(model: Model, task: str) -> None:
    prompt = prompt_of(task)
    sent = unicodedata.normalize("NFKC", prompt.system + prompt.user)
    used = Usage(input_tokens=0, output_tokens=50, cache_write_tokens=len(sent.encode()))
    assert model.cost_nusd(used) <= model.worst_nusd(prompt, 50)


def test_a_system_text_is_cached_from_the_least_length_that_the_api_caches() -> None:
    short, long = (prompts.Prompt("x/1", "a" * length, "u") for length in (2_047, 2_048))
    assert "cache_control" not in models._system(short)[0], "the API would not cache it"
    assert models._system(long)[0].get("cache_control") == {"type": "ephemeral"}


# -- keys and providers -----------------------------------------------------------------------------------------------


def open_anthropic(stand_in: FakeModelServer, key: str) -> Model:
    env = ModelEnvironment(
        model_provider="anthropic",
        model_id=HAIKU,
        model_base_url=f"http://127.0.0.1:{stand_in.server_port}",
        api_key_secret_arn=SECRET,
    )
    return open_model(env, fetch_secret={SECRET: key}.__getitem__)


def test_the_key_is_read_from_its_secret_and_its_line_end_does_not_matter(stand_in: FakeModelServer) -> None:
    answer = open_anthropic(stand_in, f"{KEY}\n").ask(
        prompt_of("x"), prompts.agent_answer(), max_tokens=1000, timeout_s=10
    )
    assert (answer.offline, answer.model_id) == (False, HAIKU)


@pytest.mark.parametrize("mark", ["error=401", "error=403", "throttle", "error", "garbage", "hang=0"])
def test_no_message_holds_the_key(stand_in: FakeModelServer, mark: str) -> None:
    error = failure(open_anthropic(stand_in, KEY), f"[[offline:{mark}]]")
    assert KEY not in f"{error!r}{error.__cause__!r}"


@pytest.mark.parametrize("key", ["", "  \n", "sk-ant very secret", "sk-ant\nvery", "sk-änt", "sk-ant\x00"])
def test_what_cannot_be_a_key_is_refused_without_being_quoted(stand_in: FakeModelServer, key: str) -> None:
    error = failure(open_anthropic(stand_in, key), "x")
    assert isinstance(error, errors.NotAllowed)
    assert "API_KEY_SECRET_ARN" in str(error)
    assert not key.strip() or key not in str(error)
    assert calls(stand_in) == 0


def rotating(stand_in: FakeModelServer, *keys: str) -> Model:
    """A model whose secret has these keys, one after another; the last one stays."""
    env = ModelEnvironment(
        model_provider="anthropic",
        model_id=HAIKU,
        model_base_url=f"http://127.0.0.1:{stand_in.server_port}",
        api_key_secret_arn=SECRET,
    )
    left = list(keys)
    return open_model(env, fetch_secret=lambda _: left.pop(0) if len(left) > 1 else left[0])


def test_a_key_that_was_rotated_under_a_warm_function_is_read_again(stand_in: FakeModelServer) -> None:
    model = rotating(stand_in, "sk-ant-old", "sk-ant-new")

    assert asked(model, "[[offline:error=401,times=1]] x").findings
    assert calls(stand_in) == 2
    assert asked(model, "y").findings
    assert calls(stand_in) == 3


def test_a_key_that_is_still_the_refused_one_is_not_tried_again(stand_in: FakeModelServer) -> None:
    error = failure(rotating(stand_in, KEY), "[[offline:error=401]] x")

    assert isinstance(error, errors.NotAllowed)
    assert calls(stand_in) == 1


def test_the_key_goes_to_nobody_that_the_api_redirects_to(
    stand_in: FakeModelServer, answering: Callable[[Sequence[bytes]], str]
) -> None:
    elsewhere = f"http://127.0.0.1:{stand_in.server_port}/v1/messages"
    url = answering([f"HTTP/1.1 307 Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n".encode()])
    env = ModelEnvironment(model_provider="anthropic", model_id=HAIKU, model_base_url=url, api_key_secret_arn=SECRET)

    error = failure(open_model(env, fetch_secret=lambda _: KEY), "x")

    assert calls(stand_in) == 0
    assert str(error) == (
        "the model API answered 307, a redirect, which gets no key: change model.baseUrl to the API's own address"
    )


def test_no_key_is_sent_over_http_to_another_machine() -> None:
    with pytest.raises(ValueError, match="MODEL_BASE_URL: must be https with provider anthropic"):
        ModelEnvironment(
            model_provider="anthropic",
            model_id=HAIKU,
            model_base_url="http://gateway.example",
            api_key_secret_arn=SECRET,
        )


def test_warming_without_a_key_leaves_the_error_to_whoever_asks(stand_in: FakeModelServer) -> None:
    model = open_anthropic(stand_in, "")
    model.warm()
    assert isinstance(failure(model, "x"), errors.NotAllowed)


@pytest.fixture
def on_bedrock(stand_in: FakeModelServer, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    url = f"http://127.0.0.1:{stand_in.server_port}"
    env = ModelEnvironment(model_provider="bedrock", model_id=f"eu.anthropic.{HAIKU}-v1:0", model_base_url=url)
    return open_model(env, fetch_secret=lambda arn: pytest.fail("Bedrock needs no key"))


def test_bedrock_is_asked_with_the_role_alone(on_bedrock: Model, stand_in: FakeModelServer) -> None:
    assert asked(on_bedrock, "Describe the hull").findings
    assert stand_in.counts() == [{"model": f"eu.anthropic.{HAIKU}-v1:0", "outcome": "answered", "count": 1}]


@pytest.mark.parametrize(
    ("mark", "kind"),
    [("throttle", errors.Throttled), ("error=403", errors.NotAllowed), ("refuse", errors.RefusedToAnswer)],
)
def test_bedrocks_errors_are_the_same(on_bedrock: Model, mark: str, kind: type[errors.ModelError]) -> None:
    assert type(failure(on_bedrock, f"[[offline:{mark}]]")) is kind


def test_bedrock_without_credentials_is_not_allowed(on_bedrock: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "eu-north-1")  # the SDK keeps the credentials it found, by region
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert isinstance(failure(on_bedrock, "x"), errors.NotAllowed)


def test_bedrock_without_a_region_says_so(on_bedrock: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    assert "AWS_REGION is not set" in str(failure(on_bedrock, "x"))


# -- start-up ---------------------------------------------------------------------------------------------------------


def test_importing_models_does_not_import_the_sdk() -> None:
    code = "import sys, infrafabric.models; print([m for m in ('anthropic', 'httpx2', 'boto3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_threads_that_warm_and_ask_at_once_share_one_client(stand_in: FakeModelServer) -> None:
    fetched: list[str] = []

    def fetch(arn: str) -> str:
        fetched.append(arn)
        return KEY

    env = ModelEnvironment(
        model_provider="anthropic",
        model_id=HAIKU,
        model_base_url=f"http://127.0.0.1:{stand_in.server_port}",
        api_key_secret_arn=SECRET,
    )
    model, start = open_model(env, fetch_secret=fetch), threading.Barrier(8)

    def run(number: int) -> None:
        start.wait()
        model.warm() if number % 2 else asked(model, f"task {number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert fetched == [SECRET], "the key is read once, so one client was built"
    assert calls(stand_in) == 4
