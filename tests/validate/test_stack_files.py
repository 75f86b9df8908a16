"""The stack files of this checkout, which whoever deploys may change: they describe stacks that have a price."""

from __future__ import annotations

import pytest

from infra.cost.estimate import estimate
from infra.cost.traffic import TRAFFIC
from infra.graph import capture
from infra.settings import stackfile

STACKS = sorted(path.name.split(".")[1] for path in stackfile.ROOT.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_file_of_this_checkout_describes_a_stack_that_has_a_price(stack):
    assert estimate(capture(stack), TRAFFIC.get(stack, TRAFFIC["prod"])).usd > 0
