"""The contract between infra and functions: what is rendered is what is read, and nothing else is accepted."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrafabric import environment
from infrafabric.environment import (
    AgentEnvironment,
    ApiEnvironment,
    BadEnvironment,
    CoordinatorEnvironment,
    DatabaseEnvironment,
    Environment,
    MigratorEnvironment,
    ModelEnvironment,
    RecorderEnvironment,
    SigningEnvironment,
    WatchdogEnvironment,
)

LEVELS = st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR"])
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
ARNS = WORDS.map(lambda word: f"arn:aws:service:{word}")
URLS = WORDS.map(lambda word: f"https://{word}")
BUCKETS = WORDS.map(lambda word: f"s3://bucket/{word}")
PUBLIC_KEYS = st.binary(min_size=32, max_size=32).map(lambda raw: f"ed25519:{b64encode(raw).decode()}")
AMOUNTS = st.floats(0.01, 10_000)
LIMITS = st.fixed_dictionaries({"max_budget_usd": AMOUNTS, "daily_cap_usd": AMOUNTS})

_BASE = {"log_level": LEVELS}
_MODEL = {
    **_BASE,
    "model_provider": st.sampled_from(["anthropic", "bedrock", "offline"]),
    "model_id": WORDS,
    "model_base_url": URLS,
    "api_key_secret_arn": ARNS,
    "price_table": st.one_of(st.none(), WORDS),
}
_SIGNING = {
    **_BASE,
    "signing_key_arn": ARNS,
    "signing_public_key": PUBLIC_KEYS,
    "previous_signing_key_arn": ARNS,
    "previous_signing_public_key": PUBLIC_KEYS,
    "registry_uri": BUCKETS,
}
_SWARM = {
    **_MODEL,
    **_SIGNING,
    "stack": WORDS,
    "results_bucket": WORDS,
}
_DATABASE = {
    **_BASE,
    "db_host": WORDS,
    "db_port": st.integers(1, 65535),
    "db_name": WORDS,
    "db_user": WORDS,
    "db_root_cert": WORDS.map(lambda word: f"/{word}"),
}
FIELDS: dict[type[Environment], dict[str, st.SearchStrategy[Any]]] = {
    Environment: _BASE,
    ModelEnvironment: _MODEL,
    SigningEnvironment: _SIGNING,
    AgentEnvironment: {
        **_SWARM,
        "agent": st.integers(0, 99).map(lambda number: f"h{number:02}"),
        "queue_url": URLS,
        "dlq_url": URLS,
        "leases_table": WORDS,
        "breaker_s": st.integers(1, 900),
        "heartbeat_s": st.integers(1, 3600),
        "batch_size": st.integers(1, 100),
    },
    CoordinatorEnvironment: {
        **_SWARM,
        "topic_arn": ARNS,
        "record_queue_url": st.one_of(st.none(), URLS),
        "sessions_table": WORDS,
        "agent_model_id": WORDS,
        "agents": st.integers(1, 99),
        "at_once": st.integers(1, 100_000),
        "heartbeat_timeout_s": st.integers(2, 86_400),
        "reassignments": st.integers(0, 10),
        "leases_tables": st.just("leases-{agent}"),
        "max_tokens": st.integers(1, 10**6),
        "agent_max_tokens": st.integers(1, 10**6),
    },
    ApiEnvironment: {
        **_BASE,
        "agents": st.integers(1, 99),
        "coordinator_arn": ARNS,
        "coordinator_key_arn": ARNS,
        "topic_arn": ARNS,
        "results_bucket": WORDS,
        "sessions_table": WORDS,
        "model_provider": st.sampled_from(["anthropic", "bedrock", "offline"]),
        "model_id": WORDS,
        "api_key_secret_arn": st.one_of(st.none(), ARNS),
        "peer_region": st.sampled_from(["us-west-2", "eu-central-1"]),
        "clients_by_key_id": st.dictionaries(WORDS, WORDS, max_size=3),
        "client_limits": st.dictionaries(WORDS, LIMITS, max_size=3),
        "iam_limits": LIMITS,
    },
    DatabaseEnvironment: _DATABASE,
    RecorderEnvironment: {**_DATABASE, "stack": WORDS, "registry_uri": BUCKETS, "queue_url": URLS, "dlq_url": URLS},
    MigratorEnvironment: {**_DATABASE, "master_secret_arn": ARNS, "recorder_user": WORDS},
    WatchdogEnvironment: {
        **_BASE,
        "stack": WORDS,
        "coordinator_arn": ARNS,
        "sessions_table": WORDS,
        "stuck_minutes": st.integers(1, 1440),
    },
}
MODELS = pytest.mark.parametrize("model", FIELDS, ids=lambda model: model.__name__)
OFFLINE = {"MODEL_PROVIDER": "offline", "MODEL_ID": "claude-haiku-5-5", "MODEL_BASE_URL": "http://127.0.0.1:8080"}


def test_no_model_was_forgotten_here() -> None:
    defined = {it for it in vars(environment).values() if isinstance(it, type) and issubclass(it, Environment)}
    assert defined == set(FIELDS)


@MODELS
@settings(max_examples=25)
@given(data=st.data())
def test_what_a_component_renders_a_handler_reads(model: type[Environment], data: st.DataObject) -> None:
    fields = data.draw(st.fixed_dictionaries(FIELDS[model]))
    rendered = model.render(**fields)
    assert all(isinstance(value, str) for value in rendered.values()), "variables are strings"
    assert model.read({**rendered, "AWS_REGION": "eu-west-1"}).model_dump() == fields


@MODELS
def test_every_field_has_its_example_here(model: type[Environment]) -> None:
    assert set(FIELDS[model]) == set(model.model_fields)


@MODELS
@settings(max_examples=25)
@given(data=st.data())
def test_a_missing_variable_is_named(model: type[Environment], data: st.DataObject) -> None:
    rendered = model.render(**data.draw(st.fixed_dictionaries(FIELDS[model])))
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    for name in required:
        with pytest.raises(BadEnvironment, match=f"{model.__name__} cannot be read: {name.upper()}: Field required"):
            model.read({key: value for key, value in rendered.items() if key != name.upper()})


def test_every_wrong_variable_is_named_at_once_and_on_one_line() -> None:
    with pytest.raises(BadEnvironment) as refused:
        AgentEnvironment.read({**OFFLINE, "AGENT": "7", "HEARTBEAT_S": "0", "BATCH_SIZE": "many", "LOG_LEVEL": "loud"})
    text = str(refused.value)
    for name in ("AGENT", "HEARTBEAT_S", "BATCH_SIZE", "LOG_LEVEL", "LEASES_TABLE"):
        assert f"{name}: " in text
    assert "greater than or equal to 1" in text, "what is allowed"
    assert "\n" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"MODEL_BASE_URL": None}, "MODEL_BASE_URL: Field required with provider offline"),
        ({"MODEL_PROVIDER": "anthropic"}, "API_KEY_SECRET_ARN: Field required with provider anthropic"),
        ({"MODEL_PROVIDER": "openai"}, "MODEL_PROVIDER: Input should be 'anthropic', 'bedrock' or 'offline'"),
        ({"MODEL_BASE_URL": "localhost:8080"}, "MODEL_BASE_URL: String should match pattern '^https?://'"),
        ({"MODEL_BASE_URL": ""}, "MODEL_BASE_URL: String should match"),
        ({"MODEL_PROVIDER": "anthropic", "API_KEY_SECRET_ARN": "sk-ant-x"}, "API_KEY_SECRET_ARN: String should match"),
    ],
)
def test_a_provider_that_could_not_answer_is_refused_at_init(change: dict[str, str | None], said: str) -> None:
    given_ = {key: value for key, value in {**OFFLINE, **change}.items() if value is not None}
    with pytest.raises(BadEnvironment) as refused:
        ModelEnvironment.read(given_)
    assert said in str(refused.value)
    assert "sk-ant-x" not in str(refused.value), "what was given may be a secret in the wrong place"


@pytest.mark.parametrize("missing", ["PREVIOUS_SIGNING_KEY_ARN", "PREVIOUS_SIGNING_PUBLIC_KEY"])
def test_half_a_previous_key_is_refused(missing: str) -> None:
    key = f"ed25519:{b64encode(bytes(32)).decode()}"
    variables = {"SIGNING_KEY_ARN": "arn:new", "SIGNING_PUBLIC_KEY": key, "REGISTRY_URI": "s3://state/keys.json"}
    variables |= {"PREVIOUS_SIGNING_KEY_ARN": "arn:old", "PREVIOUS_SIGNING_PUBLIC_KEY": key}
    del variables[missing]
    with pytest.raises(BadEnvironment, match="PREVIOUS_SIGNING_KEY_ARN and PREVIOUS_SIGNING_PUBLIC_KEY: set both"):
        SigningEnvironment.read(variables)


def test_bedrock_needs_neither_key_nor_address() -> None:
    env = ModelEnvironment.read({"MODEL_PROVIDER": "bedrock", "MODEL_ID": "eu.anthropic.claude-haiku-5-5"})
    assert (env.api_key_secret_arn, env.model_base_url) == (None, None)


def test_a_component_that_renders_an_unknown_or_lacks_a_required_field_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match=r"DatabaseEnvironment: unknown \['db_hots'\], missing \['db_host'\]"):
        DatabaseEnvironment.render(db_hots="x", db_port=5432, db_name="n", db_user="u", db_root_cert="/ca.pem")


def test_a_plain_value_out_of_range_is_refused_when_it_is_rendered() -> None:
    with pytest.raises(BadEnvironment, match=r"DatabaseEnvironment.db_port = 0: .* greater than or equal to 1"):
        DatabaseEnvironment.render(db_host="x", db_port=0, db_name="n", db_user="u", db_root_cert="/ca.pem")


def test_what_is_not_known_yet_is_passed_on_as_it_is() -> None:
    not_yet = object()  # a Pulumi output
    rendered = DatabaseEnvironment.render(
        db_host=not_yet, db_port=5432, db_name="n", db_user="u", db_root_cert="/ca.pem"
    )
    assert rendered["DB_HOST"] is not_yet


def test_no_field_is_made_to_hold_a_secret() -> None:
    suspicious = re.compile(r"password|token(?!s)|api_key|secret|credential", re.IGNORECASE)
    for model in FIELDS:
        for name in model.model_fields:
            assert not suspicious.search(name) or name.endswith("_secret_arn"), f"{model.__name__}.{name}"


def test_a_read_environment_cannot_be_changed() -> None:
    env = ModelEnvironment.read(OFFLINE)
    with pytest.raises(ValueError, match="frozen"):
        env.model_id = "other"


def test_the_providers_are_those_that_models_know() -> None:
    assert get_args(environment.Provider) == ("anthropic", "bedrock", "offline")
