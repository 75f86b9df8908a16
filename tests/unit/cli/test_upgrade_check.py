"""The command of the upgrade's runbook that shows which sessions have not ended."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from infrafabric.aws_adapters.dynamodb_table import encoded
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus

PAGE = Path(__file__).parents[3] / "docs" / "runbooks" / "upgrade.md"
_IN = re.compile(r"sk = (:\w+) AND (#\w+) IN \((.+)\)")


@pytest.fixture
def options() -> dict[str, str]:
    """The options of the page's scan, by name."""
    (command,) = re.findall(r"^ *aws dynamodb scan (.+(?:\n.+)+?)\n *```", PAGE.read_text(), re.MULTILINE)
    words = shlex.split(command.replace("\\\n", " "))
    return dict(zip((name.removeprefix("--") for name in words[::2]), words[1::2], strict=True))


def item(status: SessionStatus, **members: Any) -> dict[str, Any]:
    """The stored item of a session, as the table has it."""
    order = Order(
        session_id="s1.0123456789",
        home="us-east-1",
        owner="default",
        goal="g",
        tasks=(),
        agents=1,
        created_ms=1,
        deadline_ms=2,
        budget_nusd=1,
        quorum=1.0,
    )
    session = SessionItem.of(order, digest="d", model="m")
    return encoded(session.model_copy(update={"status": status, **members}).as_item())


def is_found(options: dict[str, str], stored: dict[str, Any]) -> bool:
    """Tell whether the filter of the scan lets an item through."""
    match = _IN.fullmatch(options["filter-expression"])
    assert match, "the form of the filter that this test understands"
    values = json.loads(options["expression-attribute-values"])
    status = json.loads(options["expression-attribute-names"])[match[2]]
    return stored["sk"] == values[match[1]] and stored[status] in [values[name] for name in match[3].split(", ")]


def test_the_check_before_an_upgrade_finds_every_session_that_has_not_ended_and_no_other(
    options: dict[str, str],
) -> None:
    """CANCELLING is shown, never stored: such a session has its earlier status, and a time of its cancellation."""
    for status in set(SessionStatus) - {SessionStatus.CANCELLING}:
        assert is_found(options, item(status)) is not status.final, status
        if not status.final:
            assert is_found(options, item(status, cancelled_ms=1)), f"{status}, cancelled"
