from __future__ import annotations

import importlib.util
import json
import re

import pulumi
import pytest
from pulumi.output import UNKNOWN

from infra.compute.environment_size import SETTINGS, UNKNOWN_VALUE_BYTES, require_small
from infrafabric.environment import (
    AgentEnvironment,
    ApiEnvironment,
    CoordinatorEnvironment,
    MigratorEnvironment,
    RecorderEnvironment,
    WatchdogEnvironment,
)

READ_BY = {
    "agent": AgentEnvironment,
    "api": ApiEnvironment,
    "coordinator": CoordinatorEnvironment,
    "migrator": MigratorEnvironment,
    "recorder": RecorderEnvironment,
    "watchdog": WatchdogEnvironment,
}
PRICE = {"input": 0.123456, "output": 12.123456, "cacheRead": 0.012345, "cacheWrite": 1.123456}
FORTY_PRICES = {f"claude-of-a-later-year-{number}": PRICE for number in range(40)}
ARN = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:infrafabric-a-stack-of-15-b-anthropic-api-key-a1b2c3"


@pytest.fixture
def functions(primary):
    return primary.of("lambda/function:Function")


def module_of(function):
    return function["handler"].removesuffix(".handler")


def test_each_function_reads_back_every_variable_that_it_is_given(functions):
    for name, function in functions.items():
        given = function["environment"]["variables"]
        model = READ_BY[module_of(function).split(".")[1]]
        read = model.read(given)
        assert {key.upper() for key in read.model_fields_set} == set(given), f"{name} is given what it does not read"


def test_no_value_that_aws_makes_is_longer_than_its_bound_in_a_preview(functions):
    for name, function in functions.items():
        for variable, value in function["environment"]["variables"].items():
            assert len(value) <= UNKNOWN_VALUE_BYTES or variable in SETTINGS, (name, variable)
    assert len(ARN) <= UNKNOWN_VALUE_BYTES


def test_a_variable_that_an_error_explains_by_a_setting_is_one_of_a_function():
    assert set(SETTINGS) <= {name.upper() for model in READ_BY.values() for name in model.model_fields}


def test_functions_are_given_the_prices_of_the_models_that_they_use(stand_up_stack):
    models = {"claude-haiku-5-5": PRICE, "claude-sonnet-5-5": PRICE}
    estate = stand_up_stack("dev", {"fleet.size": 1, "model.prices": {**FORTY_PRICES, **models}})
    variables = {n: f["environment"]["variables"] for n, f in estate.of("lambda/function:Function").items()}
    priced = {name: set(json.loads(of["PRICE_TABLE"])) for name, of in variables.items() if "PRICE_TABLE" in of}
    assert priced == {
        "agents-h01-function": {"claude-haiku-5-5"},
        "coordinator-function": {"claude-haiku-5-5", "claude-sonnet-5-5"},
    }


def test_a_dated_model_of_bedrock_is_given_the_price_of_its_model(stand_up_stack):
    ids = {"agentId": "eu.anthropic.claude-x-20260101-v1:0", "coordinatorId": "anthropic.claude-y-v1:0"}
    prices = {**FORTY_PRICES, "claude-x": PRICE, "anthropic.claude-y-v1:0": PRICE}
    estate = stand_up_stack("dev", {"fleet.size": 1, "model": {"provider": "bedrock", **ids, "prices": prices}})
    functions = estate.of("lambda/function:Function")
    table = json.loads(functions["coordinator-function"]["environment"]["variables"]["PRICE_TABLE"])
    assert set(table) == {"claude-x", "anthropic.claude-y-v1:0"}


def test_variables_that_lambda_would_refuse_are_refused_with_the_settings_to_shorten(stand_up_stack):
    long = {"model.provider": "offline", "model.baseUrl": f"https://models.example/{'a' * 3800}"}
    with pytest.raises(pulumi.RunError) as refused:
        stand_up_stack("dev", {"fleet.size": 1, **long})
    (line,) = str(refused.value).splitlines()
    assert re.fullmatch(
        r"function infrafabric-dev-(h01|coordinator): its environment variables take [45],\d{3} bytes as JSON, and "
        r"Lambda allows 4,096; largest: MODEL_BASE_URL 3,8\d\d \(model.baseUrl\), \w+ \d+, \w+ \d+; shorten these "
        r"settings or remove entries",
        line,
    )


def test_a_value_that_a_preview_does_not_know_counts_with_its_bound():
    require_small("f", {"A": "x" * 3900, "B": UNKNOWN}, {})
    with pytest.raises(pulumi.RunError, match=r"take 4,115 bytes as JSON.*largest: A 3,946, B 166"):
        require_small("f", {"A": "x" * 3940, "B": UNKNOWN}, {})
    require_small("f", {"A": "x" * 3940, "B": "arn:aws"}, {})
    with pytest.raises(pulumi.RunError, match=r"CLIENTS_BY_KEY_ID 4,122 \(api.clients\)"):
        require_small("f", {"CLIENTS_BY_KEY_ID": UNKNOWN}, {"CLIENTS_BY_KEY_ID": 4100})


def test_quotes_in_a_value_count_twice_as_in_lambdas_own_measure():
    assert require_small("f", {"A": "x" * 4088}, {}) is None
    with pytest.raises(pulumi.RunError, match="take 4,097 bytes"):
        require_small("f", {"A": '"' + "x" * 4087}, {})


def test_each_handler_is_there(functions):
    for function in functions.values():
        assert importlib.util.find_spec(module_of(function)) is not None, function["handler"]


def test_each_function_has_a_role_a_log_group_and_an_alias_of_its_own(primary, functions):
    assert len(functions) == 15
    assert len({f["role"] for f in functions.values()}) == len(functions)
    assert len({f["loggingConfig"]["logGroup"] for f in functions.values()}) == len(functions)
    aliases = {a["functionName"]: a for a in primary.of("lambda/alias:Alias").values()}
    assert set(aliases) == {f["name"] for f in functions.values()}
    assert {(a["name"], a["functionVersion"]) for a in aliases.values()} == {("live", "7")}
    assert all(f["publish"] is True for f in functions.values())


def test_each_function_is_traced_and_its_variables_are_encrypted_with_our_key(functions):
    assert {f["tracingConfig"]["mode"] for f in functions.values()} == {"Active"}
    assert {f["kmsKeyArn"].rsplit("/")[-1] for f in functions.values()} == {"keys-data"}


def test_all_functions_run_from_one_archive_and_one_layer(functions):
    assert len({f["code"].path for f in functions.values()}) == 1
    assert len({tuple(f["layers"]) for f in functions.values()}) == 1
    assert {(f["runtime"], tuple(f["architectures"])) for f in functions.values()} == {("python3.13", ("arm64",))}


def test_no_function_is_made_before_its_policy(primary, functions):
    """AWS refuses the calls of a function that starts before its policy, and refuses to attach an event source."""
    for name in functions:
        assert name.replace("-function", "-policy") in primary.before(name)


def test_what_one_function_writes_to_its_log_no_other_can(primary, functions):
    for name, function in functions.items():
        granted = primary.granted(name.removesuffix("-function"))["WriteLogs"]
        assert granted["Resource"] == [
            f"arn:aws:logs:us-east-1:123456789012:log-group:{function['loggingConfig']['logGroup']}:*"
        ]


def test_an_event_source_reports_single_failures_and_bounds_its_concurrency(primary):
    sources = primary.of("lambda/eventSourceMapping:EventSourceMapping")
    assert len(sources) == 11
    for name, source in sources.items():
        assert source["functionResponseTypes"] == ["ReportBatchItemFailures"], name
        assert 2 <= source["scalingConfig"]["maximumConcurrency"] <= 1000, name
        assert source["functionName"].endswith(":live"), name
        assert source["batchSize"] <= 10, name


def reserved(estate):
    functions = estate.of("lambda/function:Function").items()
    found = {n: f["reservedConcurrentExecutions"] for n, f in functions if "reservedConcurrentExecutions" in f}
    return {name.removesuffix("-function"): value for name, value in found.items()}


def test_concurrency_is_kept_for_what_must_not_starve_and_no_agent_can_take_it(prod):
    assert reserved(prod) == {"api": 50, "coordinator": 50, "recorder": 5, "watchdog": 2}


def test_event_sources_fit_into_what_they_may_take(prod, standby):
    """AWS keeps 100 for functions without a reservation; the account of prod has 1,000."""
    for estate in (prod, standby):
        functions = {f["name"]: f for f in estate.of("lambda/function:Function").values()}
        kept = sum(f.get("reservedConcurrentExecutions", 0) for f in functions.values())
        assert 1000 - kept >= 100
        shared = 0
        for source in estate.of("lambda/eventSourceMapping:EventSourceMapping").values():
            most = source["scalingConfig"]["maximumConcurrency"]
            own = functions[source["functionName"].split(":")[-2]].get("reservedConcurrentExecutions")
            shared += most if own is None else 0
            assert own is None or own >= most, "SQS counts a delivery that Lambda throttled"
        assert shared <= 1000 - kept


def test_a_function_that_a_stack_lacks_and_a_zero_reserve_nothing(stand_up_stack):
    some = {"account.lambdaConcurrency": 1000, "account.reservedConcurrency": {"api": 0, "coordinator": 7}}
    assert reserved(stand_up_stack("dev", {**some, "database": None})) == {"coordinator": 7, "watchdog": 2}


@pytest.mark.parametrize(
    ("quota", "said"),
    [
        (None, "account.lambdaConcurrency is not set: no concurrency is reserved, so busy agents and other functions"),
        (206, "account.lambdaConcurrency = 206: no concurrency is reserved, so busy agents and other functions"),
        (207, None),
    ],
)
def test_without_a_large_enough_quota_nothing_is_reserved_and_a_preview_says_so_once(
    stand_up_stack, caplog, quota, said
):
    estate = stand_up_stack("dev", {"account.lambdaConcurrency": quota})
    warnings = [message for message in caplog.messages if "concurrency" in message]
    assert bool(reserved(estate)) is (said is None)
    assert len(warnings) == (said is not None)
    assert all(w.startswith(said) and w.endswith("(Service Quotas, L-B99A9384), 207 or more") for w in warnings)


def test_a_stack_that_wants_no_reservation_is_not_warned(stand_up_stack, caplog):
    none = dict.fromkeys(("api", "coordinator", "recorder", "watchdog"), 0)
    assert reserved(stand_up_stack("dev", {"account.reservedConcurrency": none})) == {}
    assert not [message for message in caplog.messages if "concurrency" in message]


def test_a_message_stays_hidden_for_six_times_what_its_function_may_take(primary, functions):
    queues = {q["name"]: q for q in primary.of("sqs/queue:Queue").values()}
    by_arn = {f["name"]: f for f in functions.values()}
    for source in primary.of("lambda/eventSourceMapping:EventSourceMapping").values():
        queue = queues[source["eventSourceArn"].rsplit(":", 1)[-1]]
        function = by_arn[source["functionName"].split(":")[-2]]
        assert queue["visibilityTimeoutSeconds"] == 6 * function["timeout"]


def test_the_coordinator_outlives_the_longest_session_and_loses_none_silently(functions):
    coordinator = functions["coordinator-function"]
    assert coordinator["durableConfig"]["executionTimeout"] >= 86_400 + 3_600
    assert coordinator["deadLetterConfig"]["targetArn"].endswith("-coordinator-dlq")
    assert [n for n, f in functions.items() if "durableConfig" in f] == ["coordinator-function"]


def test_only_what_touches_the_database_is_in_the_vpc(functions):
    assert {n for n, f in functions.items() if "vpcConfig" in f} == {"migrator-function", "recorder-function"}


def test_the_schema_is_there_before_the_first_record_is_written(primary):
    assert "migrator-run" in primary.before("recorder-function"), "an update changes the function, not the feed"
    assert "recorder-live" in primary.before("recorder-feed")
    assert {"database-instance", "migrator-vpc-database-out", "network-endpoints-secretsmanager"} <= primary.before(
        "migrator-run"
    )


def test_an_update_brings_readers_before_writers(primary):
    """Else a new API accepts a member of a session that the old coordinator or recorder drops for good."""
    assert {"recorder-function", "recorder-live", "coordinator-live"} <= primary.before("api-function")


def test_migrations_run_again_only_when_they_change(dev, tmp_path, monkeypatch):
    from infra.foundation import packages

    run = dev.of("lambda/invocation:Invocation")["migrator-run"]
    assert run["triggers"] == {"migrations": packages.migrations_digest()}
    (tmp_path / "infrafabric").mkdir()
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    empty = packages.migrations_digest()
    (tmp_path / "infrafabric" / "0001_first.sql").write_text("select 1")
    first = packages.migrations_digest()
    (tmp_path / "infrafabric" / "notes.md").write_text("nothing that runs")
    assert empty != first == packages.migrations_digest()


def test_packages_of_another_interpreter_are_taken_from_where_the_environment_says(monkeypatch):
    from infra.foundation import packages
    from infra.settings import RuntimeSettings

    monkeypatch.setenv(packages.OVERRIDE, "/somewhere")
    assert packages.code(RuntimeSettings()).path == "/somewhere/code"
    assert packages.layer(RuntimeSettings()).path == "/somewhere/layer"


def test_missing_packages_are_one_line_that_names_the_command_that_builds_them(monkeypatch, tmp_path):
    from infra.foundation import packages
    from infra.packager.target import DEFAULT_TARGET
    from infra.settings import RuntimeSettings

    assert DEFAULT_TARGET.name == f"{RuntimeSettings().python}-{RuntimeSettings().architecture}"
    monkeypatch.setenv(packages.OVERRIDE, str(tmp_path))
    (tmp_path / "code").mkdir()
    with pytest.raises(
        pulumi.RunError, match=r"^no packages for python3\.13-arm64 \(\S+/layer\): run make package, then"
    ):
        packages.require(RuntimeSettings())
    with pytest.raises(pulumi.RunError, match=r"run python -m infra\.packager --python python3\.14 "):
        packages.require(RuntimeSettings(python="python3.14"))
    (tmp_path / "layer").mkdir()
    packages.require(RuntimeSettings())


def test_prices_of_the_settings_reach_the_functions_as_the_table_that_they_read(bare):
    for name in ("agents-h01-function", "coordinator-function"):
        variables = bare.of("lambda/function:Function")[name]["environment"]["variables"]
        assert json.loads(variables["PRICE_TABLE"]) == {
            "claude-haiku-5-5": {"input": 1.5, "output": 2.0, "cache_read": 0.1, "cache_write": 0.2}
        }


def test_agents_start_from_a_snapshot_of_their_published_version_when_the_settings_say_so(frugal, dev):
    functions = frugal.of("lambda/function:Function")
    assert functions["agents-h01-function"]["snapStart"] == {"applyOn": "PublishedVersions"}
    assert functions["agents-h01-function"]["publish"] is True, "a snapshot is one of a published version"
    assert not [n for n, f in functions.items() if f.get("snapStart") and not n.startswith("agents-")]
    assert not [n for n, f in dev.of("lambda/function:Function").items() if f.get("snapStart")]


def test_ready_environments_stand_behind_the_alias_that_callers_use(lavish):
    (ready,) = lavish.of("lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig").values()
    assert ready["qualifier"] == "live"
    assert ready["functionName"] == "infrafabric-prod-h01"
    assert ready["provisionedConcurrentExecutions"] == 2


def test_by_steps_a_deployment_publishes_a_version_and_leaves_the_alias_to_fabric_release(frugal, dev):
    assert list(frugal.options["agents-h01-live"].ignoreChanges) == ["functionVersion", "routingConfig"]
    assert list(dev.options["agents-h01-live"].ignoreChanges) == []
    assert frugal.of("lambda/function:Function")["agents-h01-function"]["publish"] is True


def test_by_steps_too_the_deployment_runs_the_migrations_that_it_brings(frugal):
    assert "qualifier" not in frugal.of("lambda/invocation:Invocation")["migrator-run"], "the alias may be pending"
    assert list(frugal.options["migrator-live"].ignoreChanges) == [], "no calls would judge a new version"


def test_a_message_may_be_put_back_until_its_deadline_without_lambda_taking_it_for_a_loop(primary):
    """Lambda stops a function that its own messages invoked 16 times, and the message would be lost."""
    allowed = primary.of("lambda/functionRecursionConfig:FunctionRecursionConfig")
    putting_back = {i["name"] for n, i in primary.of("lambda/function:Function").items() if n.startswith("agents-")}
    assert {i["functionName"] for i in allowed.values()} == putting_back
    assert {i["recursiveLoop"] for i in allowed.values()} == {"Allow"}
    assert "agents-h01-put-back" in primary.before("agents-h01-inbox"), "no message comes before that"
