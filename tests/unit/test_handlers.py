"""Each function's file loads with its environment alone, and names what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DATABASE = {
    "DB_HOST": "localhost",
    "DB_PORT": "5432",
    "DB_NAME": "history",
    "DB_USER": "if_recorder",
    "DB_ROOT_CERT": "/opt/ca.pem",
}
MODEL = {"MODEL_PROVIDER": "offline", "MODEL_ID": "claude-haiku-5-5", "MODEL_BASE_URL": "http://127.0.0.1:1"}
SWARM = {
    "SIGNING_KEY_ARN": "arn:key",
    "SIGNING_PUBLIC_KEY": "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "REGISTRY_URI": "s3://state/registry/keys.json",
    "RESULTS_BUCKET": "results",
}
ENVIRONMENTS = {
    "agent": {
        **MODEL,
        **SWARM,
        "STACK": "dev",
        "AGENT": "h01",
        "QUEUE_URL": "q",
        "DLQ_URL": "d",
        "LEASES_TABLE": "leases",
        "BREAKER_S": "60",
        "HEARTBEAT_S": "20",
        "BATCH_SIZE": "10",
    },
    "api": {
        "AGENTS": "10",
        "COORDINATOR_ARN": "arn:c",
        "COORDINATOR_KEY_ARN": "arn:key",
        "TOPIC_ARN": "arn:topic",
        "RESULTS_BUCKET": "results",
        "SESSIONS_TABLE": "sessions",
        "MODEL_PROVIDER": "offline",
        "MODEL_ID": "m",
        "CLIENTS_BY_KEY_ID": '{"id": "default"}',
        "CLIENT_LIMITS": '{"default": {"max_budget_usd": 10, "daily_cap_usd": 25}}',
        "IAM_LIMITS": '{"max_budget_usd": 1, "daily_cap_usd": 2}',
    },
    "coordinator": {
        **MODEL,
        **SWARM,
        "TOPIC_ARN": "arn:topic",
        "SESSIONS_TABLE": "sessions",
        "AGENT_MODEL_ID": "claude-haiku-5-5",
        "AGENTS": "10",
        "AT_ONCE": "100",
        "STACK": "dev",
        "HEARTBEAT_TIMEOUT_S": "90",
        "MAX_TOKENS": "8192",
        "LEASES_TABLES": "leases-{agent}",
        "AGENT_MAX_TOKENS": "8192",
        "REASSIGNMENTS": "2",
    },
    "migrator": {**DATABASE, "MASTER_SECRET_ARN": "arn:s", "RECORDER_USER": "if_recorder"},
    "watchdog": {"STACK": "dev", "COORDINATOR_ARN": "arn:c", "SESSIONS_TABLE": "sessions", "STUCK_MINUTES": "30"},
    "recorder": {
        **DATABASE,
        "STACK": "dev",
        "REGISTRY_URI": "s3://state/registry/keys.json",
        "QUEUE_URL": "q",
        "DLQ_URL": "d",
    },
}


def fresh(program: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``program`` as Lambda does at init: a fresh process, its variables, no credentials and no network to ask."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true", **variables}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=env, cwd="/", timeout=60
    )


def load(function: str, variables: dict[str, str], then: str = "") -> subprocess.CompletedProcess[str]:
    return fresh(f"from lambdas.{function}.handler import handler; assert callable(handler); {then}", variables)


LOADING = """
import importlib, os
for function, variables in {environments!r}.items():
    os.environ.update(variables)
    for missing in variables:
        value = os.environ.pop(missing)
        try:
            importlib.import_module(f"lambdas.{{function}}.handler")
        except Exception as error:
            print(function, missing, str(error).splitlines()[-1], sep="|")
        os.environ[missing] = value
    assert callable(importlib.import_module(f"lambdas.{{function}}.handler").handler)
    for name in variables:
        del os.environ[name]
"""


def test_a_function_names_the_variable_that_is_missing_and_loads_with_its_environment_alone() -> None:
    """One process for all: a module whose import failed is imported anew the next time."""
    loaded = fresh(LOADING.format(environments=ENVIRONMENTS), {})
    assert loaded.returncode == 0, loaded.stderr
    told = [line.split("|") for line in loaded.stdout.splitlines()]
    assert [(function, name) for function, name, _ in told] == [(f, n) for f, env in ENVIRONMENTS.items() for n in env]
    assert [name for _, name, text in told if f"Environment cannot be read: {name}: Field required" not in text] == []


def test_the_coordinator_loads_the_sdk_only_for_an_execution_that_asks_a_model() -> None:
    """Parts of a big session run side by side: a second of import in each would cost what splitting it gains."""
    idle = "import sys, threading; assert threading.active_count() == 1 and 'anthropic' not in sys.modules"
    loaded = load("coordinator", ENVIRONMENTS["coordinator"], idle)
    assert loaded.returncode == 0, loaded.stderr


WAKE = """
import random, sys
import boto3
from snapshot_restore_py import get_after_restore, get_before_snapshot
from lambdas.agent import handler as agent

def run(hooks):
    for function, args, kwargs in hooks:
        function(*args, **kwargs)

run(get_before_snapshot())
assert 'anthropic' in sys.modules, 'the slow import belongs into the snapshot'
before = (random.getstate(), agent.threads(), agent.model._client, boto3._get_default_session())
run(get_after_restore())
after = (random.getstate(), agent.threads(), agent.model._ready(), boto3._get_default_session())
same = [name for name, old, new in zip(('random', 'threads', 'client', 'session'), before, after) if old == new]
assert not same, same
assert agent.aws_deps.cache_info().currsize == 0
"""


def test_an_agent_that_wakes_from_a_snapshot_shares_nothing_with_the_others_that_do() -> None:
    woken = load("agent", {**ENVIRONMENTS["agent"], "AWS_DEFAULT_REGION": "us-east-1"}, f"exec({WAKE!r})")
    assert woken.returncode == 0, woken.stderr


BATCH = """
from types import SimpleNamespace
from infrafabric.bus.registry import Registry
from lambdas.agent import handler as agent

def record(name, attributes={}):
    system = {'messageId': name, 'receiptHandle': 'of ' + name, 'body': name, 'attributes': {}}
    return {**system, 'messageAttributes': attributes}

class DeadLetters:
    def dead_letter(self, body, reason, detail):
        if body == 'fails':
            raise ConnectionError('the queue cannot be reached')

class Queue:
    delays = []

    def redeliver_after(self, receipt_handle, delay_s):
        self.delays.append((receipt_handle, delay_s))

counted = {'throttles': {'dataType': 'String', 'stringValue': 'often'}}
records = [record('refused'), record('fails'), record('odd', counted), record('refused too')]
context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
deps = SimpleNamespace(
    log=agent.log, dead_letters=DeadLetters(), registry=lambda: Registry({}), now_ms=lambda: 0,
    principal='if://agent/h01', random_unit=lambda: 0, queue=Queue(),
)
response = agent.handle_batch({'Records': records}, context, deps)
assert response == {'batchItemFailures': [{'itemIdentifier': 'fails'}, {'itemIdentifier': 'odd'}]}, response
assert Queue.delays == [('of fails', 15)], Queue.delays
"""


def test_a_message_that_fails_is_delivered_again_and_the_others_of_its_batch_are_not() -> None:
    done = fresh(BATCH, ENVIRONMENTS["agent"])
    assert done.returncode == 0, done.stderr


FIFO = """
from types import SimpleNamespace
from infrafabric.recorder.history import DatabaseUnavailableError
from lambdas.recorder import handler as recorder

def record(name, session):
    attributes = {'MessageGroupId': session, 'ApproximateReceiveCount': '1'}
    return {'messageId': name, 'receiptHandle': 'of ' + name, 'body': name, 'attributes': attributes}

def write(body):
    raise DatabaseUnavailableError('the database is away')

delays = []
deps = SimpleNamespace(
    record=write, log=recorder.log, measure=lambda metrics: None, random_unit=lambda: 0,
    queue=SimpleNamespace(redeliver_after=lambda receipt, delay_s: delays.append((receipt, delay_s))),
)
context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
records = [record('first', 'a'), record('other', 'b')]
response = recorder.handle_batch({'Records': records}, context, deps)
assert response == {'batchItemFailures': [{'itemIdentifier': 'first'}, {'itemIdentifier': 'other'}]}, response
assert delays == [('of first', 1), ('of other', 1)], delays
assert recorder.handle_batch({'Records': []}, context, deps) == {'batchItemFailures': []}
"""


def test_a_batch_that_cannot_be_written_is_no_function_error_and_comes_again_soon() -> None:
    done = fresh(FIFO, ENVIRONMENTS["recorder"])
    assert done.returncode == 0, done.stderr


def test_every_function_is_tested_here() -> None:
    assert {path.parent.name for path in (ROOT / "lambdas").glob("*/handler.py")} == set(ENVIRONMENTS)
