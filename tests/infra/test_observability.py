"""Alarms and their thresholds, notifications, dashboards and saved queries."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pulumi import Output

from infra import settings
from infra.naming.context import StackContext
from infra.observability import alarm_table, dashboard_table
from infra.observability.log_metrics import LogMetrics, LogMetricsArgs
from infra.observability.watched import Watched
from tests.infra.conftest import PAGER

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
TOPIC = "arn:aws:sns:us-east-1:123456789012:infrafabric-prod-alerts"


@pytest.fixture
def alarms(prod):
    return {
        i["name"].removeprefix("infrafabric-prod-"): i for i in prod.of("cloudwatch/metricAlarm:MetricAlarm").values()
    }


def seen(agents: int = 10, **more) -> Watched:
    names = [f"h{n:02}" for n in range(1, agents + 1)]
    given = {
        "database": "db",
        "queues": {n: f"{n}-inbox" for n in names},
        "dead_letter_queues": {n: f"{n}-dlq" for n in names},
    }
    return Watched(
        stack="dev",
        region="eu-west-1",
        agents={n: n for n in names},
        services={"api": "a", "coordinator": "c"},
        api_name="api",
        api_stage="v1",
        **{**given, "logs": {}, **more},
    )


def table(it: Watched) -> dict[str, alarm_table.Alarm]:
    return {alarm.label: alarm for alarm in alarm_table.alarms(it, settings.AlarmThresholdSettings())}


def test_more_than_five_per_cent_of_failed_tasks_in_five_minutes_is_an_alarm(alarms):
    alarm = alarms["agent-errors"]
    assert (alarm["namespace"], alarm["metricName"], alarm["statistic"]) == (
        "InfraFabric/Agents",
        "CompletionStatus",
        "Average",
    )
    assert alarm["dimensions"] == {"Stack": "prod"}, "agents of two stacks may share an account"
    assert (alarm["period"], alarm["threshold"], alarm["comparisonOperator"]) == (300, 0.05, "GreaterThanThreshold")
    assert alarm["treatMissingData"] == "notBreaching", "no tasks, no failures"


def test_a_stuck_session_is_an_alarm_and_so_is_a_watchdog_that_says_nothing(alarms):
    alarm = alarms["sessions-stuck"]
    assert (alarm["metricName"], alarm["threshold"], alarm["period"]) == ("SessionsStuck", 0, 1200)
    assert alarm["treatMissingData"] == "missing"
    assert alarm["insufficientDataActions"] == [TOPIC]


def test_every_alarm_tells_the_topic_when_it_goes_off_and_when_it_is_over(prod):
    composite = prod.of("cloudwatch/compositeAlarm:CompositeAlarm")
    for name, alarm in {**prod.of("cloudwatch/metricAlarm:MetricAlarm"), **composite}.items():
        assert (alarm["alarmActions"], alarm["okActions"]) == ([TOPIC], [TOPIC]), name
        assert "alerts-topic-policy" in prod.before(name), f"{name} could go off before anybody may say so"


def test_every_dead_letter_queue_and_every_inbox_is_watched(prod):
    watched = {
        query["metric"]["dimensions"]["QueueName"]
        for alarm in prod.of("cloudwatch/metricAlarm:MetricAlarm").values()
        for query in alarm.get("metricQueries", [])
        if query.get("metric", {}).get("namespace") == "AWS/SQS"
    }
    assert watched == {queue["name"] for queue in prod.of("sqs/queue:Queue").values()}


def test_the_application_and_the_edge_are_watched_where_the_world_meets_them(alarms, dev):
    front = {"LoadBalancer": "app/infrafabric-prod-app/50dc6c495c0c9188"}
    assert alarms["app-latency"]["dimensions"] == front
    assert (alarms["app-latency"]["extendedStatistic"], alarms["app-latency"]["threshold"]) == ("p95", 3.0)
    seen_by = {q["metric"]["metricName"] for q in alarms["app-5xx"]["metricQueries"] if "metric" in q}
    assert seen_by == {"HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count", "RequestCount"}
    groups = [
        q["metric"]["dimensions"]["TargetGroup"] for q in alarms["app-instances"]["metricQueries"] if "metric" in q
    ]
    assert groups == [f"targetgroup/if-prod-app-{colour}/6d0ecf831eec9f09" for colour in ("blue", "green")]
    assert alarms["edge-5xx"]["dimensions"] == {"DistributionId": "face-edge-distribution-id", "Region": "Global"}
    assert not [n for n in dev.of("cloudwatch/metricAlarm:MetricAlarm") if n.startswith(("alarms-app", "alarms-edge"))]


def test_an_edge_whose_stack_is_elsewhere_has_no_alarm_that_nobody_would_hear():
    assert "edge-5xx" not in table(seen(distribution="E1"))


@pytest.mark.parametrize(("agents", "groups"), [(1, 1), (10, 1), (11, 2), (99, 10)])
def test_no_alarm_computes_with_more_metrics_than_cloudwatch_allows(agents, groups):
    made = table(seen(agents))
    assert len([name for name in made if name.startswith("queue-age")]) == groups
    assert max(len(alarm.metrics) for alarm in made.values()) <= 10


def test_an_added_agent_extends_the_last_group_and_renames_no_alarm():
    assert set(table(seen(10))) <= set(table(seen(30)))


def test_the_rate_of_function_errors_is_errors_over_calls_in_per_cent():
    alarm = table(seen())["function-errors"]
    assert alarm.expression == "100*SUM([m1,m2])/SUM([m3,m4])"
    assert [m.name for m in alarm.metrics] == ["Errors", "Errors", "Invocations", "Invocations"]
    assert alarm.threshold == 5


def test_one_number_comes_out_of_each_computed_alarm(alarms):
    for label, alarm in alarms.items():
        queries = alarm.get("metricQueries", [])
        assert not queries or [q["id"] for q in queries if q["returnData"]] == ["e1"], label
        assert bool(queries) != ("metricName" in alarm), f"{label}: CloudWatch takes one or the other"


def test_free_storage_goes_off_below_its_threshold(alarms):
    alarm = alarms["database-storage"]
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 5 * 1024**3)


def test_the_apis_latency_is_its_95th_percentile(alarms):
    alarm = alarms["api-latency"]
    assert (alarm["extendedStatistic"], alarm["threshold"]) == ("p95", 3000)
    assert "statistic" not in alarm
    assert alarm["dimensions"] == {"ApiName": "infrafabric-prod-api", "Stage": "v1"}


def test_a_replicas_lag_is_watched_where_there_is_a_replica():
    assert "replica-lag" not in table(seen())
    assert table(seen(replica=True))["replica-lag"].missing_data == "breaching"


def test_without_a_database_nothing_of_it_is_watched_or_shown():
    it = seen(database=None)
    assert not [name for name in table(it) if name.startswith("database")]
    assert "database" not in dashboard_table.dashboards(it)


def test_the_platform_is_degraded_when_users_notice(prod):
    (alarm,) = prod.of("cloudwatch/compositeAlarm:CompositeAlarm").values()
    parts = {part.split('"')[1].removeprefix("infrafabric-prod-") for part in alarm["alarmRule"].split(" OR ")}
    assert {"agent-errors", "sessions-stuck", "api-5xx", "throttles", "database-cpu"} <= parts
    assert "dead-letters" not in parts, "a dead letter waits for an operator and hurts nobody else"


def test_the_topic_hears_only_services_on_behalf_of_this_account_and_they_may_encrypt(prod, dev):
    spoken = heard(prod)
    assert "events.amazonaws.com" not in heard(dev), "no rule speaks where there is no detector"
    ours = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert spoken.pop("events.amazonaws.com") is None, "EventBridge meets no condition of a topic's"
    assert spoken == {f"{service}.amazonaws.com": ours for service in ("cloudwatch", "costalerts", "budgets")}
    (lent,) = [s for s in key_statements(prod) if s["Sid"] == "AlertsOfThisAccount"]
    assert set(lent["Principal"]["Service"]) == set(spoken)
    assert (lent["Action"], lent["Condition"]) == (["kms:Decrypt", "kms:GenerateDataKey*"], ours)


def test_eventbridge_encrypts_for_topics_of_this_account_in_any_region_without_naming_its_source(prod):
    (lent,) = [s for s in key_statements(prod) if s["Principal"].get("Service") == "events.amazonaws.com"]
    topics = "arn:aws:sns:*:123456789012:*"  # EventBridge sends KMS neither aws:SourceAccount nor aws:SourceArn
    assert lent["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": topics}}
    assert lent["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]


def heard(estate):
    """Return the publishers of the topic, with the condition of each."""
    statements = json.loads(estate.of("sns/topicPolicy:TopicPolicy")["alerts-topic-policy"]["policy"])["Statement"]
    return {s["Principal"]["Service"]: s.get("Condition") for s in statements if s["Effect"] == "Allow"}


def key_statements(estate):
    return json.loads(estate.of("kms/key:Key")["keys-data"]["policy"])["Statement"]


def test_pagerduty_hears_at_an_address_that_stays_secret(lavish):
    subscriptions = lavish.of("sns/topicSubscription:TopicSubscription")
    pager = subscriptions["alerts-pager-duty"]
    assert (pager["protocol"], pager["endpoint"], pager["endpointAutoConfirms"]) == ("https", PAGER, True)
    assert "endpoint" in lavish.secrets_in("alerts-pager-duty")
    assert "0123secret" not in lavish.in_clear()


def test_who_leaves_takes_no_other_subscription_along(lavish):
    """SNS has one subscription per address; named by number, the next recipient would inherit a name and lose it."""
    for number, address in enumerate(("ops@example.org", "duty@example.org"), start=1):
        name = f"alerts-email-{address}"
        assert lavish.of("sns/topicSubscription:TopicSubscription")[name]["endpoint"] == address
        assert [alias.spec.name for alias in lavish.options[name].aliases] == [f"alerts-email-{number}"]


def test_the_watchdog_looks_every_ten_minutes_and_may_do_what_it_does_and_no_more(estate):
    rule = estate.of("cloudwatch/eventRule:EventRule")["watchdog-round"]
    assert (rule["scheduleExpression"], rule["state"]) == ("rate(10 minutes)", "ENABLED")
    permission = estate.of("lambda/permission:Permission")["watchdog-wake"]
    assert (permission["principal"], permission["qualifier"]) == ("events.amazonaws.com", "live")
    granted = estate.granted("watchdog")
    assert granted["Sessions"]["Action"] == ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    assert granted["StartSession"]["Action"] == ["lambda:InvokeFunction"]
    assert granted["SeeExecutions"]["Action"] == ["lambda:GetDurableExecution"]
    assert {sid for sid in granted if sid.startswith("Sign")} == set()


@pytest.mark.parametrize(
    ("stack", "pages"), [("dev", []), ("lavish", ["all"]), ("prod", ["bus", "cost", "database", "edge", "swarm"])]
)
def test_dashboards_are_none_one_page_or_one_a_subject(request, stack, pages):
    made = request.getfixturevalue(stack).of("cloudwatch/dashboard:Dashboard").values()
    assert sorted(i["dashboardName"] for i in made) == [f"infrafabric-prod-{page}" for page in pages]


def test_no_two_widgets_lie_on_one_another_and_each_names_its_region():
    body = dashboard_table.combined(seen())
    places = [(w["x"], w["y"]) for w in body["widgets"]]
    assert len(set(places)) == len(places)
    assert all(w["x"] + w["width"] <= 24 for w in body["widgets"])
    assert {w["properties"]["region"] for w in body["widgets"]} == {"eu-west-1"}


def test_the_bill_is_read_where_aws_keeps_it():
    (bill,) = [
        line
        for widget in dashboard_table.dashboards(seen())["cost"]["widgets"]
        for line in widget["properties"]["metrics"]
        if line[0] == "AWS/Billing"
    ]
    assert bill[-1]["region"] == "us-east-1"


def test_errors_are_counted_in_every_functions_log_and_agents_add_up(prod):
    filters = prod.of("cloudwatch/logMetricFilter:LogMetricFilter").values()
    groups = {
        f["loggingConfig"]["logGroup"] for n, f in prod.of("lambda/function:Function").items() if "migrator" not in n
    }
    assert {f["logGroupName"] for f in filters} == groups
    assert {f["metricTransformation"]["name"] for f in filters} == {
        "Errors-agents",
        "Errors-api",
        "Errors-coordinator",
        "Errors-recorder",
        "Errors-watchdog",
    }
    assert {f["metricTransformation"]["namespace"] for f in filters} == {"InfraFabric/Logs/prod"}


def test_a_saved_query_asks_fifty_log_groups_at_most(stand_up):
    def program():
        context = StackContext(
            stack="dev", environment="dev", region="eu-west-1", cost_center="c", account_id=Output.from_input("1")
        )
        many = {"agents": [f"/aws/lambda/h{n:02}" for n in range(60)], "services": ["a", "b", "c"]}
        LogMetrics("queries", LogMetricsArgs(context=context, watched=seen(60, logs=many)))

    estate = stand_up(program)
    saved = estate.of("cloudwatch/queryDefinition:QueryDefinition")
    assert {len(q["logGroupNames"]) for q in saved.values()} == {50, 13}
    assert {"queries-session", "queries-session-2"} <= set(saved)


def test_without_the_section_nothing_watches(bare):
    for type_ in ("cloudwatch/metricAlarm:MetricAlarm", "cloudwatch/eventRule:EventRule", "iam/policy:Policy"):
        assert bare.of(type_) == {}
    assert list(bare.of("sns/topic:Topic")) == ["bus-topic"]
    assert {s["Sid"] for s in key_statements(bare)} == {"IamOfThisAccountDecides", "LogGroupsOfThisAccount"}


def test_a_standby_has_alarms_of_its_own_and_watches_how_far_it_is_behind(standby):
    names = {i["name"] for i in standby.of("cloudwatch/metricAlarm:MetricAlarm").values()}
    assert {"infrafabric-prod-secondary-replica-lag", "infrafabric-prod-secondary-agent-errors"} <= names


def names(estate, stack: str) -> set[str]:
    """Return the alarms as the page writes them: without stack, region and group number."""
    made = estate.of("cloudwatch/metricAlarm:MetricAlarm").values()
    plain = {re.sub(r"-\d+$", "", i["name"].removeprefix(f"infrafabric-{stack}-")) for i in made}
    return {name.replace("us-east-1", "<region>").replace("us-west-2", "<region>") for name in plain}


def test_the_page_lists_every_alarm_of_the_stacks_and_no_other(prod, standby):
    rows = [line for line in PAGE.split("## Alarms")[1].split("## Logs")[0].splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([a-z0-9<>-]+)`", row.split("|")[1])}
    assert listed - {"-2"} == names(prod, "prod") | names(standby, "prod-secondary") | {"platform-degraded"}


def test_the_page_counts_the_metrics_that_alarms_watch(dev, prod):
    dev_metrics, prod_metrics = (
        sum(map(watched, e.of("cloudwatch/metricAlarm:MetricAlarm").values())) for e in (dev, prod)
    )
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| alarms: ")]
    assert f"{dev_metrics} metrics in dev, {prod_metrics} in prod" in row
    dev_usd, prod_usd = (float(cell) for cell in row.strip("| ").split(" | ")[1:])
    assert (dev_usd, prod_usd) == pytest.approx((dev_metrics * 0.1 + 0.5, prod_metrics * 0.1 + 0.5))


def watched(alarm) -> int:
    return sum(bool(query.get("metric")) for query in alarm.get("metricQueries") or []) or 1
