"""What a deployment says of the model provider's key."""

from __future__ import annotations

import logging

import pytest

from infra.swarm.model_access import SPEND_LIMIT

BEDROCK = {
    "model.provider": "bedrock",
    "model.agentId": "anthropic.claude-haiku-5-5-v1:0",
    "model.coordinatorId": "anthropic.claude-sonnet-5-5-v1:0",
}


@pytest.mark.parametrize(("changes", "said"), [({}, True), (BEDROCK, False)])
def test_a_deployment_says_that_only_the_provider_limits_what_a_stolen_model_key_spends(
    stand_up_stack, changes, said, caplog
):
    caplog.set_level(logging.INFO)
    stand_up_stack("dev", {"fleet.size": 1, "database": None, **changes})
    assert (SPEND_LIMIT in caplog.messages) is said
