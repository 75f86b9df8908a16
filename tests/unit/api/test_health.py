"""Health of the API: what is checked, what a client sees, and how often AWS is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from infrafabric.api.health import CACHE_S, HealthCheck, HealthDeps


@dataclass
class Region:
    """Resources of a region, each with the reason why it does not answer; and a clock."""

    reasons: dict[str, str]
    now_s: float = 1_000.0
    reads: list[str] = field(default_factory=list)
    logged: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **fields: Any) -> None:
        raise AssertionError(event)

    def warning(self, event: str, **fields: Any) -> None:
        self.logged.append((event, fields))

    def check(self) -> HealthCheck:
        def run_all(*jobs: Callable[[], Any]) -> None:
            for job in jobs:
                job()

        def read(name: str) -> str:
            self.reads.append(name)
            return self.reasons[name]

        checks = {name: lambda name=name: read(name) for name in self.reasons}
        return HealthCheck(HealthDeps(checks=checks, run_concurrently=run_all, now_s=lambda: self.now_s, log=self))


def test_a_region_whose_resources_answer_is_healthy() -> None:
    region = Region({"sessions-table": "", "topic": ""})
    response = region.check().respond()
    assert (response.status, response.document) == (200, {"status": "ok"})
    assert region.reads == ["sessions-table", "topic"]
    assert region.logged == []


def test_a_client_sees_which_resource_fails_and_only_the_log_says_why() -> None:
    region = Region({"sessions-table": "InternalServerError", "topic": "", "signing-key": "the key is Disabled"})
    response = region.check().respond()
    assert response.status == 503
    assert response.document == {"status": "unavailable", "failed": ["sessions-table", "signing-key"]}
    assert region.logged == [
        ("health check failed", {"resource": "sessions-table", "reason": "InternalServerError"}),
        ("health check failed", {"resource": "signing-key", "reason": "the key is Disabled"}),
    ]


def test_a_result_is_kept_for_ten_seconds_good_or_bad() -> None:
    region = Region({"topic": ""})
    check = region.check()
    assert check.respond().status == 200
    region.reasons["topic"] = "Throttling"
    region.now_s += CACHE_S - 0.1
    assert check.respond().status == 200
    region.now_s += 0.1
    assert check.respond().status == 503
    region.reasons["topic"] = ""
    region.now_s += CACHE_S - 0.1
    assert check.respond().status == 503
    region.now_s += 0.1
    assert check.respond().status == 200
    assert len(region.reads) == 3
