"""Variants of the stacks, each stood up once and shared by many tests.

Standing up a stack takes a second or more. A test adds its setting to one of these variants, and stands up a stack of
its own only if the setting would disturb other tests.
"""

from __future__ import annotations

import pytest

from infra.graph.capture import PLACEHOLDER_SECRETS
from tests.conftest import Estate, StandUp

PAGER = "https://events.pagerduty.com/integration/0123secret/enqueue"
RELEASED = {"artifactKey": "app/navidocs-2.tar", "sha256": "ab" * 32}
ZONE = "Z0123456789ABC"
BARE = {
    "api.accountLogRole": False,
    "database": None,
    "guardrails": None,
    "model.agentId": "eu.anthropic.claude-haiku-5-5",
    "model.coordinatorId": "anthropic.sonnet-x",
    "model.prices": {"claude-next": {"input": 1.5, "output": 2.0, "cacheRead": 0.1, "cacheWrite": 0.2}},
    "model.provider": "bedrock",
    "observability": None,
    "region": "eu-central-1",
}


@pytest.fixture(scope="session")
def lavish(shared: StandUp) -> Estate:
    """Return prod with every option switched on."""
    changes = {
        "app.blueWeight": 90,
        "app.green": RELEASED,
        "database.storageGb": 400,
        "dns.dnssec": True,
        "fleet.provisioned": 2,
        "fleet.start": "provisioned",
        "guardrails.allowedRegions": [],
        "guardrails.anomalyDetection": True,
        "guardrails.anomalyMonitor": "cost-center",
        "guardrails.backup.vaultLock": "compliance",
        "guardrails.config": True,
        "guardrails.githubOidc": {"repository": "acme/fabric"},
        "guardrails.securityHub": True,
        "network.endpointZones": 2,
        "network.ipv6": False,
        "network.nat": "per-az",
        "network.zoneLetters": "bdf",
        "observability.dashboards": "combined",
        "observability.emails": ["ops@example.org", "duty@example.org"],
        "observability.pagerDuty": True,
    }
    return shared("lavish", "prod", changes, {**PLACEHOLDER_SECRETS, "infrafabric:pagerDutyEndpoint": PAGER})


@pytest.fixture(scope="session")
def frugal(shared: StandUp) -> Estate:
    """Return prod in one region outside us-east-1, with two zones and rollout by-steps.

    The hosted zone and GitHub's provider exist in the account already.
    """
    changes = {
        "app.blueWeight": 0,
        "database.engineVersion": "18.1",
        "dns.zoneId": ZONE,
        "failover": False,
        "fleet.start": "snap-start",
        "guardrails.anomalyDetection": True,
        "guardrails.githubOidc": {"repository": "acme/fabric", "createProvider": False},
        "network.nat": "single",
        "network.zones": 2,
        "recovery": None,
        "region": "eu-west-1",
        "runtime.rollout": "by-steps",
    }
    return shared("frugal", "prod", changes)


@pytest.fixture(scope="session")
def bare(shared: StandUp) -> Estate:
    """Return dev in the EU with Bedrock, without database, observability, guardrails and the account's log role."""
    return shared("bare", "dev", BARE)


@pytest.fixture(scope="session")
def european(shared: StandUp) -> Estate:
    """Return prod with residency eu: one region, no CloudFront, Bedrock's European profiles."""
    models = ("eu.anthropic.a", "eu.anthropic.b")
    changes = {
        "edge": None,
        "failover": False,
        "guardrails.allowedRegions": [],
        "model": {"provider": "bedrock", "agentId": models[0], "coordinatorId": models[1]},
        "model.prices": {key: {"input": 1.0, "output": 1.0, "cacheRead": 1.0, "cacheWrite": 1.0} for key in models},
        "recovery": None,
        "region": "eu-central-1",
        "residency": "eu",
    }
    return shared("european", "prod", changes)


@pytest.fixture(scope="session")
def taken_over(shared: StandUp, prod: Estate) -> Estate:
    """Return prod-secondary after a failover: database promoted, application running."""
    changes = {
        "app": {"instances": 2},
        "database.promoted": True,
        "guardrails.githubOidc": {"repository": "acme/fabric", "createProvider": False},
    }
    return shared("taken-over", "prod-secondary", changes, stacks={"organization/infrafabric/prod": prod.exports})
