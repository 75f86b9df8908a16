"""Variants of the stacks, each stood up once and shared by many tests.

Standing up a stack takes a second or more. A test adds its setting to one of these variants, and stands up a stack of
its own only if the setting would disturb other tests.
"""

from __future__ import annotations

from typing import Any

import pytest

from policy.variants.listed import SECRETS, variants
from tests.conftest import Estate, StandUp

VARIANTS = variants()
BARE = VARIANTS["bare"].settings
PAGER = SECRETS["infrafabric:pagerDutyEndpoint"]
ZONE = VARIANTS["frugal"].settings["dns.zoneId"]


def variant(shared: StandUp, name: str, **more: Any) -> Estate:
    """Return the estate of a variant in tests/stacks/variants.yaml."""
    listed = VARIANTS[name]
    return shared(name, listed.stack, listed.settings, SECRETS, **more)


@pytest.fixture(scope="session")
def lavish(shared: StandUp) -> Estate:
    """Return prod with every option switched on."""
    return variant(shared, "lavish")


@pytest.fixture(scope="session")
def frugal(shared: StandUp) -> Estate:
    """Return prod in one region outside us-east-1, with two zones and rollout by-steps.

    The hosted zone and GitHub's provider exist in the account already.
    """
    return variant(shared, "frugal")


@pytest.fixture(scope="session")
def bare(shared: StandUp) -> Estate:
    """Return dev in the EU with Bedrock, without database, observability, guardrails and the account's log role."""
    return variant(shared, "bare")


@pytest.fixture(scope="session")
def european(shared: StandUp) -> Estate:
    """Return prod with residency eu: one region, no CloudFront, Bedrock's European profiles."""
    return variant(shared, "european")


@pytest.fixture(scope="session")
def rotating(shared: StandUp) -> Estate:
    """Return dev while the coordinator's signing key is rotated; the key of h01 has been rotated."""
    return variant(shared, "rotating")


@pytest.fixture(scope="session")
def taken_over(shared: StandUp, prod: Estate) -> Estate:
    """Return prod-secondary after a failover: database promoted, application running."""
    return variant(shared, "taken-over", stacks={"organization/infrafabric/prod": prod.exports})
