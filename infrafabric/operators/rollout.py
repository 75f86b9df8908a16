"""How a new version of a function takes over from the old one: by steps of an alias's weight, each watched.

Where a stack's ``runtime.rollout`` is ``by-steps``, a deployment publishes a version and leaves the alias ``live``
where it was. The rollout moves it. All that it knows is read from the alias, so one that was broken off goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ALIAS = "live"
ALL = 100


class Verdict(StrEnum):
    """What a look at the new version says."""

    FINE = "fine"
    FAILING = "failing"


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """Per cent of the calls that the new version gets, step by step."""

    step_percent: int  # 1 to 99
    linear: bool  # False: one step, then all of it
    interval_s: float  # between two steps
    error_percent: float  # of the new version's calls: more, and it goes back

    def after(self, percent: int) -> int:
        """The weight that follows ``percent``; always more, and ``ALL`` at last."""
        if percent < self.step_percent:
            return self.step_percent
        return min(ALL, percent + self.step_percent) if self.linear else ALL


@dataclass(frozen=True, kw_only=True)
class AliasState:
    """Where an alias points. ``percent`` of the calls go to ``newest``."""

    function: str
    stable: str
    newest: str
    percent: int

    @property
    def settled(self) -> bool:
        return self.stable == self.newest


@dataclass(frozen=True, kw_only=True)
class RolloutDeps:
    """Everything a rollout does to the world."""

    look: Callable[[str], AliasState]
    weigh: Callable[[AliasState, int], None]  # percentage of the newest version; ALL makes the version stable
    errors: Callable[
        [AliasState, float], tuple[float, float]
    ]  # failed calls and calls of the newest in a window of seconds
    wait: Callable[[float], None]
    say: Callable[[AliasState, str], None]


def judge(failed: float, calls: float, plan: RolloutPlan) -> Verdict:
    """A version that nobody called has not failed."""
    return Verdict.FAILING if calls and failed / calls * 100 > plan.error_percent else Verdict.FINE


def roll(function: str, plan: RolloutPlan, deps: RolloutDeps) -> bool:
    """Move ``function`` to its newest version, or back. True when it is there; each step is looked at first."""
    standing = deps.look(function)
    while not standing.settled:
        if standing.percent:
            failed, calls = deps.errors(standing, plan.interval_s)
            if judge(failed, calls, plan) is Verdict.FAILING:
                deps.weigh(standing, 0)
                deps.say(standing, f"back to version {standing.stable}: {failed:g} of {calls:g} calls failed")
                return False
        percent = plan.after(standing.percent)
        deps.weigh(standing, percent)
        deps.say(standing, f"{percent} % of the calls go to version {standing.newest}")
        if percent < ALL:
            deps.wait(plan.interval_s)
        standing = deps.look(function)
    return True


def back(function: str, deps: RolloutDeps) -> bool:
    """All calls to the stable version again. False when nothing was under way."""
    standing = deps.look(function)
    if standing.settled or not standing.percent:
        return False
    deps.weigh(standing, 0)
    deps.say(standing, f"back to version {standing.stable}")
    return True


class LambdaAliases:
    """``look`` and ``weigh`` on Lambda. ``client`` is boto3's."""

    def __init__(self, client: Any) -> None:
        self._lambda = client

    def functions(self, prefix: str) -> Iterator[str]:
        """Functions of a stack that have the alias, by name."""
        pages = self._lambda.get_paginator("list_functions").paginate()
        names = sorted(f["FunctionName"] for page in pages for f in page["Functions"])
        for name in names:
            if name.startswith(prefix) and self._has_alias(name):
                yield name

    def look(self, function: str) -> AliasState:
        alias = self._lambda.get_alias(FunctionName=function, Name=ALIAS)
        weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        newest = self._newest(function)
        return AliasState(
            function=function,
            stable=alias["FunctionVersion"],
            newest=newest,
            percent=round(weights.get(newest, 0) * 100),
        )

    def weigh(self, it: AliasState, percent: int) -> None:
        version = it.newest if percent == ALL else it.stable
        weights = {it.newest: percent / 100} if 0 < percent < ALL else {}
        self._lambda.update_alias(
            FunctionName=it.function,
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
    """``errors`` from Lambda's own metrics of the version, by way of the alias."""

    def count(it: AliasState, window_s: float) -> tuple[float, float]:
        def query(name: str) -> dict[str, Any]:
            dimensions = {
                "FunctionName": it.function,
                "Resource": f"{it.function}:{ALIAS}",
                "ExecutedVersion": it.newest,
            }
            metric = {
                "Namespace": "AWS/Lambda",
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            }
            return {"Id": name.lower(), "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}

        end = now()
        found = cloudwatch.get_metric_data(
            MetricDataQueries=[query("Errors"), query("Invocations")], StartTime=end - seconds(window_s), EndTime=end
        )["MetricDataResults"]
        sums = {result["Id"]: sum(result["Values"]) for result in found}
        return sums.get("errors", 0.0), sums.get("invocations", 0.0)

    return count
