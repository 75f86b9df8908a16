"""Command ``fabric cost``: output for stacks, for changes and for bad input."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cost import cli as fabric_cost
from infra.cost import command
from infra.cost.bill import BadDocumentError, Bill, document, estimate_of
from infra.cost.estimate import Estimate
from infra.cost.lines import Line
from infra.graph import Graph

Run = Callable[..., tuple[int, str, str]]


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    fabric_cost.register(parser.add_subparsers())
    return parser.parse_args(["cost", *words])


@pytest.fixture
def cost(dev, prod, bare, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return the command on graphs shared with other tests; a changed setting selects the variant ``bare``."""

    def graph_of(stack: str, settings: Mapping[str, Any] | None) -> Graph:
        return (bare if settings else {"dev": dev, "prod": prod}[stack]).graph(stack)

    def run(*words: str) -> tuple[int, str, str]:
        status = command.run(asked(*words), graph_of)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_registering_the_command_imports_no_pulumi() -> None:
    """``fabric`` loads this module for every command, and importing Pulumi takes a second."""
    script = "import sys, infra.cost.cli; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_stack_is_summed_up_by_service_dearest_first(cost: Run) -> None:
    status, out, _ = cost()
    head, *rows = out.splitlines()
    assert (status, head) == (0, "dev: 55.25 USD a month")
    sums = [float(row.split()[0]) for row in rows[: rows.index("")]]
    assert sums == sorted(sums, reverse=True)
    assert sum(sums) == pytest.approx(55.25, abs=0.05)
    assert "each session has a budget for tokens" in rows[-1]


def test_a_setting_shows_what_it_changes(cost: Run) -> None:
    _, out, _ = cost("--set", "database=null")
    head, *rows = out.splitlines()
    assert head.startswith("dev: 55.25 → ")
    changes = [float(row.split()[0]) for row in rows[: rows.index("")]]
    assert changes == sorted(changes, key=lambda usd: -abs(usd))
    assert any("rds/instance: hours of db.t4g.micro (11.68 → 0.00)" in row for row in rows)


def test_an_assumption_shows_what_it_changes(cost: Run) -> None:
    _, out, _ = cost("--assume", "stored_gb=200")
    assert "s3/bucket: GB (2.30 → 4.60)" in out


def test_a_comment_in_a_pull_request_compares_with_what_was_printed_before(cost: Run, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(cost("--stack", "dev", "--json")[1])
    words = ("--stack", "dev", "--stack", "prod", "--against", str(before), "--markdown")
    _, same, _ = cost(*words)
    assert same.startswith("<!-- fabric cost -->\n")
    assert "| dev | 55.25 | 55.25 | none |" in same
    assert "| not compared |" in same, "prod was not in the document"
    assert "<details>" not in same
    _, changed, _ = cost(*words, "--set", "database=null")
    assert "<details><summary>dev: -" in changed


def test_the_document_has_every_line_and_the_difference(cost: Run) -> None:
    found = json.loads(cost("--json", "--set", "database=null")[1])
    dev = found["stacks"]["dev"]
    assert dev["before_usd"] == pytest.approx(55.25, abs=0.01)
    assert dev["change_usd"] == pytest.approx(dev["usd"] - dev["before_usd"], abs=0.001)
    assert sum(line["usd"] for line in dev["lines"]) == pytest.approx(found["usd"], abs=0.01)


def test_more_than_it_may_cost_is_a_no(cost: Run) -> None:
    assert cost("--at-most", "55.26")[0] == 0
    status, out, error = cost("--at-most", "54")
    assert (status, error) == (1, "fabric cost: 55.25 USD a month are more than --at-most 54.00\n")
    assert out, "the sum is printed all the same"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stack", "qa"], "there is no Pulumi.qa.yaml: stacks of this checkout are dev, prod, prod-secondary"),
        (["--set", "fleet"], "--set fleet: must be KEY=VALUE, such as --set fleet.size=3"),
        (["--assume", "users=3"], "--assume users=3: must be NAME=NUMBER, where NAME is one of api_requests, dns_"),
        (["--assume", "sessions=-1"], "--assume sessions=-1: '-1' must be a number, 0 or more"),
        (["--assume", "sessions=inf"], "--assume sessions=inf: 'inf' must be a number, 0 or more"),
        (["--against", "nowhere.json"], "--against nowhere.json: No such file or directory"),
        (["--set", "network.nat=yes"], "infrafabric:settings.network.nat = True: Input should be 'none', 'single' or"),
    ],
)
def test_bad_input_is_named_and_nothing_is_printed(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    args = asked(*words)
    assert args.run(args) == 2
    out, error = capsys.readouterr()
    assert (out, error.startswith("fabric cost: ")) == ("", True)
    assert said in error


@pytest.mark.parametrize(
    "text", ["", "[]", '{"stacks": 1}', '{"stacks": {"dev": {"lines": [{"what": 1}]}}}', '{"stacks": {"dev": []}}']
)
def test_a_file_that_is_no_estimate_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "before.json"
    file.write_text(text)
    args = asked("--against", str(file))
    assert args.run(args) == 2
    assert "is not an estimate: run fabric cost --json before the change, and pass that file" in capsys.readouterr().err


_LINES = st.lists(
    st.builds(
        Line,
        resource=st.sampled_from("ab"),
        type=st.sampled_from(("aws:sqs/queue:Queue", "aws:kms/key:Key")),
        label=st.sampled_from(("hours", "GB")),
        quantity=st.floats(0, 1e6),
        unit_usd=st.floats(0, 10),
    ),
    max_size=6,
)


@given(_LINES, _LINES)
def test_the_changes_sum_up_to_the_difference(before: list[Line], now: list[Line]) -> None:
    bill = Bill(now=Estimate(stack="s", lines=tuple(now)), before=Estimate(stack="s", lines=tuple(before)))
    assert sum(change.usd for change in bill.changes()) == pytest.approx(bill.change_usd, abs=0.03, rel=1e-9)
    assert bill.before is not None
    back = Bill(now=bill.before, before=bill.now)
    assert {(c.type, c.label, -c.usd) for c in bill.changes()} == {(c.type, c.label, c.usd) for c in back.changes()}


@given(_LINES)
def test_an_estimate_is_read_back_as_it_was_written(lines: list[Line]) -> None:
    found = Estimate(stack="s", lines=tuple(lines))
    assert estimate_of("s", json.loads(json.dumps(document(found)))) == found


def test_a_line_that_is_none_is_refused() -> None:
    line = {"resource": "r", "type": "t", "what": "w", "quantity": "1", "unit_usd": 1}
    with pytest.raises(BadDocumentError):
        estimate_of("s", {"lines": [line]})
