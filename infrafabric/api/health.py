"""Health of the API: whether what a session needs in this region answers, without the model provider.

The provider is left out: an outage there is no fault of the region, and another region would meet it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infrafabric.api.service import Response
from infrafabric.concurrency import RunConcurrently
from infrafabric.swarm.deps import Log

CACHE_S = 10.0  # Route 53 sends a request every two to three seconds; an execution environment checks less often
HEALTHY = Response(200, {"status": "ok"})

Check = Callable[[], str]  # returns "" if the resource answers, else the reason for the log


@dataclass(frozen=True, kw_only=True)
class HealthDeps:
    """Side effects of a health check."""

    checks: Mapping[str, Check]  # by the name that a client sees
    run_concurrently: RunConcurrently
    now_s: Callable[[], float]  # monotonic clock
    log: Log


class HealthCheck:
    """Check of all resources at the same time; an execution environment keeps the result for ``CACHE_S`` seconds."""

    def __init__(self, deps: HealthDeps) -> None:
        self._deps = deps
        self._response: Response | None = None
        self._checked_s = 0.0

    def respond(self) -> Response:
        """Return 200, or 503 with the names of the resources that do not answer; no names or ARNs of AWS."""
        now_s = self._deps.now_s()
        if self._response is None or now_s - self._checked_s >= CACHE_S:
            self._response, self._checked_s = self._check(), now_s
        return self._response

    def _check(self) -> Response:
        reasons: dict[str, str] = {}

        def job(name: str, check: Check) -> Callable[[], None]:
            def run() -> None:
                reasons[name] = check()

            return run

        self._deps.run_concurrently(*(job(name, check) for name, check in self._deps.checks.items()))
        failed = [name for name in self._deps.checks if reasons[name]]
        for name in failed:
            self._deps.log.warning("health check failed", resource=name, reason=reasons[name])
        return Response(503, {"status": "unavailable", "failed": failed}) if failed else HEALTHY
