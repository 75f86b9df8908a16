"""What reaches CloudWatch by the log: events with their level, metrics under dimensions that tell stacks apart."""

from __future__ import annotations

import datetime
import json

import pytest

from infrafabric.telemetry import FAULT_METRICS, NAMESPACE, EventLog, meter


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_an_agents_metrics_count_for_itself_and_for_its_stack(capsys: pytest.CaptureFixture[str]) -> None:
    meter("prod", AgentId="h01", ModelType="haiku")({"CompletionStatus": 1, "ExecutionTime": 30})
    line = emitted(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert directive["Namespace"] == NAMESPACE
    assert sorted(map(sorted, directive["Dimensions"])) == [["AgentId", "ModelType", "Stack"], ["Stack"]]
    assert (line["Stack"], line["CompletionStatus"]) == ("prod", [1.0])


def test_properties_are_fields_of_the_line_and_no_metric(capsys: pytest.CaptureFixture[str]) -> None:
    meter("prod")({"CostUsd": 1}, session_id="s\x1b1", tokens_in=7)
    line = emitted(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["CostUsd"]
    assert (line["session_id"], line["tokens_in"]) == ("s1", 7)


def test_what_no_agent_measured_is_the_stacks_alone(capsys: pytest.CaptureFixture[str]) -> None:
    meter("dev")({"SessionsStuck": 0})
    (directive,) = emitted(capsys)["_aws"]["CloudWatchMetrics"]  # type: ignore[index]
    assert directive["Dimensions"] == [["Stack"]]


@pytest.mark.parametrize("name", FAULT_METRICS)
def test_a_fault_is_counted_for_its_stack(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    meter("dev")({name: 1})
    assert emitted(capsys)[name] == [1.0]


def test_an_event_has_its_level_and_a_time_by_which_lambda_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    EventLog("test", "INFO").warning("session stuck", session_id="s")
    line = emitted(capsys)
    assert (line["level"], line["message"], line["session_id"]) == ("WARNING", "session stuck", "s")
    said = str(line["timestamp"])
    assert datetime.datetime.fromisoformat(said).tzinfo is not None
    assert said[10] == "T", "RFC 3339"


def test_what_others_wrote_reaches_no_log_with_a_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    EventLog("hostile", "INFO").error("unexpected", why="\x1b[2J\x9b31m\u202egone\n", attempt=1)
    line = emitted(capsys)
    assert (line["why"], line["attempt"]) == ("[2J31mgone\n", 1)
