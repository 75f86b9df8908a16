"""What clients may send: anything else is a problem document that names the field, and never another error."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infrafabric.api import requests
from infrafabric.api.problems import ProblemError
from infrafabric.swarm.session_ids import CLIENT_ID, INTERNAL_ID, client_id, internal_id
from infrafabric.swarm.shapes.session_item import SessionItem
from local.platform import ROOT
from tests.unit.swarm.orders import an_order

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from([*requests.NewSession.model_fields, "other"])


def order(body: dict[str, Any]) -> Any:
    return requests.new_session(json.dumps(body)).order(now_ms=1_000, fleet=10, owner="default", home="us-east-1")


def problem_of(text: str) -> ProblemError | None:
    """What the API has against a body; any other error than a problem is the test's failure."""
    try:
        requests.new_session(text).order(now_ms=0, fleet=10, owner="default", home="us-east-1")
    except ProblemError as problem:
        return problem
    return None


@given(st.text())
def test_any_text_is_an_order_or_a_problem(text: str) -> None:
    problem = problem_of(text)
    if problem:
        assert problem.status in (400, 413)
        json.loads(problem.document())


@settings(max_examples=300)
@given(st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_object_is_an_order_or_a_problem_that_names_a_field(body: dict[str, Any]) -> None:
    problem = problem_of(json.dumps(body))
    if problem:
        assert problem.errors
        assert all(error["field"] and error["detail"] for error in problem.errors)
        problem.document().encode()


def test_defaults_stand_in_for_what_is_left_out() -> None:
    made = order({"goal": "x"})
    assert (made.agents, made.deadline_ms, made.budget_nusd, made.quorum) == (10, 1_801_000, 10**9, 1.0)
    assert internal_id(client_id(made.session_id), "default") == made.session_id


def test_a_default_given_means_the_same_as_one_left_out() -> None:
    left_out = requests.new_session('{"goal": "x"}').digest()
    assert requests.new_session('{"quorum": 1, "goal": "x", "deadline_s": 1800.0}').digest() == left_out
    assert requests.new_session('{"goal": "y"}').digest() != left_out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"goal": "x", "agents": 11}, "agents: is 11, and this fleet has 10"),
        ({"goal": "x", "speed": 1}, "speed: is not a field: allowed are session_id, goal, tasks, agents, deadline_s"),
        ({}, "goal: give either goal (a text) or tasks (a list of texts), not both and not neither"),
        ({"goal": "x", "budget_usd": -2}, "budget_usd: Input should be greater than 0 (given: -2.0)"),
        ({"tasks": []}, "tasks: List should have at least 1 item after validation, not 0"),
        ({"tasks": ["a", " "]}, "tasks.1: String should match pattern"),
    ],
)
def test_a_problem_says_what_where_and_what_is_allowed(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        order(body)
    assert caught.value.detail.startswith(said)


def test_a_body_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(ProblemError) as caught:
        requests.new_session("[" * 1_600_000)
    assert (caught.value.status, caught.value.slug) == (413, "body-too-large")


def test_white_space_and_escapes_of_a_body_do_not_count() -> None:
    tasks = ["\u044f" * 20_000] * 6
    assert requests.new_session(json.dumps({"tasks": tasks}, indent=9)).tasks == tasks
    with pytest.raises(ProblemError) as caught:
        requests.new_session(json.dumps({"tasks": [*tasks, tasks[0]]}))
    assert (caught.value.status, caught.value.slug) == (413, "body-too-large")


@pytest.mark.parametrize("name", ["agents", "goal", "tasks", "session_id", "quorum", "max_tokens", "labels"])
def test_null_is_no_value(name: str) -> None:
    body = {"goal": "x", name: None}
    with pytest.raises(ProblemError) as caught:
        order(body)
    assert caught.value.detail == f"{name}: must not be null: leave it out for the default"


def test_a_zero_with_a_sign_is_the_same_request() -> None:
    digests = {
        requests.new_session(f'{{"goal": "x", "quorum": {zero}}}').digest() for zero in ("0", "0.0", "-0.0", "-0")
    }
    assert len(digests) == 1


def test_depth_is_no_way_to_crash_it() -> None:
    with pytest.raises(ProblemError, match="is not JSON"):
        requests.new_session("[" * 200_000)


PLACE = {"pk": "a.0123456789#us-east-1#e1", "sk": "SESSION", "created": "1#a"}


@pytest.mark.parametrize("session_id", ["a.0123456789", f"{'-' * 64}.0123456789"])
def test_a_cursor_comes_back_as_it_went(session_id: str) -> None:
    item = SessionItem.of(an_order(session_id=session_id), digest="d", model="m").as_item()
    last = {name: item[name] for name in PLACE}
    query = requests.list_query({"cursor": requests.cursor_of(last) or ""})
    assert query == requests.ListQuery(limit=20, after=last, label=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pk", "order#a"),
        ("pk", "a"),
        ("pk", ""),
        ("sk", "ORDER"),
        ("pk", "a#us-east-1#e1"),
        ("created", "\ud800"),
        ("created", 1),
    ],
)
def test_a_cursor_that_names_another_place_is_a_problem(name: str, value: Any) -> None:
    """DynamoDB would refuse the key, which the API answered with 500."""
    made = {**PLACE, name: value}
    with pytest.raises(ProblemError, match="is not a cursor of GET /sessions"):
        requests.list_query({"cursor": requests.cursor_of(made) or ""})


@given(st.text())
def test_any_other_cursor_is_a_problem(text: str) -> None:
    if text:
        with pytest.raises(ProblemError, match="cursor"):
            requests.list_query({"cursor": text})


LABELS = ["team:research", "a", "x" * 32, "Q4/2026", "cost=low"]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_is_short_ascii_text_in_a_request_and_in_a_query(label: str) -> None:
    assert requests.new_session(json.dumps({"goal": "g", "labels": [label]})).labels == [label]
    assert requests.list_query({"label": label}).label == label


@pytest.mark.parametrize("label", ["", " ", "a b", "x" * 33, "-a", "é", "a\n", "🚤"])
def test_any_other_label_is_a_problem_that_says_what_a_label_is(label: str) -> None:
    with pytest.raises(ProblemError, match=r"labels\.0: a label is 1 to 32 of A-Z"):
        requests.new_session(json.dumps({"goal": "g", "labels": [label]}))
    with pytest.raises(ProblemError, match=r"label: = .* a label is 1 to 32 of A-Z"):
        requests.list_query({"label": label})


def test_a_session_has_ten_labels_at_most_and_each_once() -> None:
    with pytest.raises(ProblemError, match="labels: List should have at most 10 items"):
        requests.new_session(json.dumps({"goal": "g", "labels": ["a"] * 11}))
    request = requests.new_session(json.dumps({"goal": "g", "labels": ["b", "a", "b"]}))
    assert request.order(now_ms=1, fleet=1, owner="default", home="us-east-1").labels == ("b", "a")


def test_labels_make_another_request_and_no_labels_do_not() -> None:
    def digest(**members: Any) -> str:
        return requests.new_session(json.dumps({"goal": "g", **members})).digest()

    assert digest() == digest(labels=[])
    assert len({digest(), digest(labels=["a"]), digest(labels=["b"])}) == 3
    assert digest(labels=["a"]) == digest(labels=["a", "a"])


def test_the_description_has_the_codes_limits() -> None:
    spec = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())["components"]["schemas"]
    fields = requests.NewSession.model_json_schema()["properties"]
    described = spec["NewSession"]["properties"]
    assert set(described) == set(fields)
    for name in ("deadline_s", "budget_usd", "quorum"):
        for limit in ("minimum", "maximum", "exclusiveMinimum", "default"):
            assert described[name].get(limit) == fields[name].get(limit), (name, limit)
    tokens = fields["max_tokens"]["anyOf"][0]
    assert (described["max_tokens"]["minimum"], described["max_tokens"]["maximum"]) == (1024, 64_000)
    assert (tokens["minimum"], tokens["maximum"]) == (1024, 64_000)
    assert described["tasks"]["maxItems"] == requests.MAX_TASKS
    assert described["labels"]["maxItems"] == fields["labels"]["maxItems"]
    assert spec["Label"]["pattern"] == fields["labels"]["items"]["pattern"]
    assert spec["SessionId"]["pattern"].strip("^$") == CLIENT_ID.pattern
    assert spec["InternalId"]["pattern"].strip("^$") == INTERNAL_ID.pattern
