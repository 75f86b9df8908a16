"""Rollout of a function version: the alias's weight moves in steps, each checked against the error rate.

If a stack's ``runtime.rollout`` is ``by-steps``, a deployment publishes a version and does not move the alias ``live``.
The rollout moves it. The alias holds all state, so an interrupted rollout continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ALIAS = "live"
ALL = 100
_WRITERS_LAST = ("coordinator", "watchdog", "api")  # orders flow from api, through these, to agents and recorder


class Verdict(StrEnum):
    """Judgement of the new version."""

    FINE = "fine"
    FAILING = "failing"


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """Steps of a rollout, in per cent of the calls."""

    step_percent: int  # 1 to 99
    linear: bool  # False: one step, then all of it
    interval_s: float  # between two steps
    error_percent: float  # of the new version's calls: above it, the function rolls back

    def after(self, percent: int) -> int:
        """Return the weight after ``percent``: always more, and finally ``ALL``."""
        if percent < self.step_percent:
            return self.step_percent
        return min(ALL, percent + self.step_percent) if self.linear else ALL


@dataclass(frozen=True, kw_only=True)
class AliasState:
    """Versions of an alias. ``percent`` of the calls go to ``newest``, the others to ``stable``."""

    function: str
    stable: str
    newest: str
    percent: int

    @property
    def settled(self) -> bool:
        return self.stable == self.newest


@dataclass(frozen=True, kw_only=True)
class RolloutDeps:
    """Side effects of a rollout."""

    state: Callable[[str], AliasState]
    set_weight: Callable[[AliasState, int], None]  # percentage of the newest version; ALL makes the version stable
    errors: Callable[
        [AliasState, float], tuple[float, float]
    ]  # failed calls and calls of the newest in a window of seconds
    wait: Callable[[float], None]
    report: Callable[[AliasState, str], None]


def readers_first(functions: Iterable[str]) -> list[str]:
    """Return functions in the order of a rollout: who reads what another function writes comes before that function.

    Otherwise a new API would accept a new member of a session, and an old recorder would write the session's row of
    history without the member. A rollback takes the reverse order.
    """

    def rank(function: str) -> tuple[int, str]:
        role = next((role for role in _WRITERS_LAST if function.endswith(f"-{role}")), None)
        return (_WRITERS_LAST.index(role) + 1 if role else 0, function)

    return sorted(functions, key=rank)


def judge(failed: float, calls: float, plan: RolloutPlan) -> Verdict:
    """Judge the new version by its error rate; a version without calls has not failed."""
    return Verdict.FAILING if calls and failed / calls * 100 > plan.error_percent else Verdict.FINE


def roll_out(function: str, plan: RolloutPlan, deps: RolloutDeps) -> bool:
    """Move a function to its newest version, checking each step. Returns False after a rollback."""
    state = deps.state(function)
    while not state.settled:
        if state.percent:
            failed, calls = deps.errors(state, plan.interval_s)
            if judge(failed, calls, plan) is Verdict.FAILING:
                deps.set_weight(state, 0)
                deps.report(state, f"back to version {state.stable}: {failed:g} of {calls:g} calls failed")
                return False
        percent = plan.after(state.percent)
        deps.set_weight(state, percent)
        deps.report(state, f"{percent} % of the calls go to version {state.newest}")
        if percent < ALL:
            deps.wait(plan.interval_s)
        state = deps.state(function)
    return True


def roll_back(function: str, deps: RolloutDeps) -> bool:
    """Send all calls to the stable version again. Returns False if no rollout was under way."""
    state = deps.state(function)
    if state.settled or not state.percent:
        return False
    deps.set_weight(state, 0)
    deps.report(state, f"back to version {state.stable}")
    return True


class LambdaAliases:
    """Lambda aliases. ``client`` is a boto3 client."""

    def __init__(self, client: Any) -> None:
        self._lambda = client

    def functions(self, prefix: str) -> Iterator[str]:
        """Yield the names of a stack's functions that have the alias."""
        pages = self._lambda.get_paginator("list_functions").paginate()
        names = sorted(f["FunctionName"] for page in pages for f in page["Functions"])
        for name in names:
            if name.startswith(prefix) and self._has_alias(name):
                yield name

    def state(self, function: str) -> AliasState:
        """Return the versions of a function's alias."""
        alias = self._lambda.get_alias(FunctionName=function, Name=ALIAS)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        newest = self._newest(function)
        return AliasState(
            function=function,
            stable=alias["FunctionVersion"],
            newest=newest,
            percent=round(weights.get(newest, 0) * 100),
        )

    def set_weight(self, state: AliasState, percent: int) -> None:
        """Send this percentage of the calls to the newest version; 100 makes the version stable."""
        version = state.newest if percent == ALL else state.stable
        weights = {state.newest: percent / 100} if 0 < percent < ALL else {}
        self._lambda.update_alias(
            FunctionName=state.function,
            Name=ALIAS,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )

    def _newest(self, function: str) -> str:
        pages = self._lambda.get_paginator("list_versions_by_function").paginate(FunctionName=function)
        numbers = [int(v["Version"]) for page in pages for v in page["Versions"] if v["Version"].isdigit()]
        return str(max(numbers))

    def _has_alias(self, function: str) -> bool:
        listed = self._lambda.list_aliases(FunctionName=function)["Aliases"]
        return any(alias["Name"] == ALIAS for alias in listed)


def error_counter(cloudwatch: Any, now: Callable[[], Any], seconds: Callable[[float], Any]) -> Callable[..., Any]:
    """Return a function that counts failed and all calls of the newest version, from Lambda's metrics."""

    def count(state: AliasState, window_s: float) -> tuple[float, float]:
        def query(name: str) -> dict[str, Any]:
            dimensions = {
                "FunctionName": state.function,
                "Resource": f"{state.function}:{ALIAS}",
                "ExecutedVersion": state.newest,
            }
            metric = {
                "Namespace": "AWS/Lambda",
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            }
            return {"Id": name.lower(), "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}

        end = now()
        results = cloudwatch.get_metric_data(
            MetricDataQueries=[query("Errors"), query("Invocations")], StartTime=end - seconds(window_s), EndTime=end
        )["MetricDataResults"]
        sums = {result["Id"]: sum(result["Values"]) for result in results}
        return sums.get("errors", 0.0), sums.get("invocations", 0.0)

    return count
