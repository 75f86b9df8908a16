"""``fabric preview summarize`` over recorded previews.

``tests/fixtures/previews`` holds previews of dev by Pulumi 3.274.1, without the members that the summary does not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.preview import printed
from infra.preview.data_loss import losses
from infra.preview.events import Change, Operation, Preview, Violation, parse
from infra.preview.session_effects import effects
from infrafabric.cli.main import main

RECORDED = Path(__file__).parents[2] / "fixtures" / "previews"


def preview(name: str) -> Preview:
    return parse((RECORDED / name).read_text(), name)


@pytest.fixture
def summarize(capsys: pytest.CaptureFixture[str]):
    def run(*words: str | Path) -> tuple[int, str, str]:
        status = main(["preview", "summarize", *map(str, words)])
        out, error = capsys.readouterr()
        return status, out, error

    return run


def recorded(*urns: str, op: str = "delete", **more: Any) -> str:
    """Return a streamed preview with one step per URN."""
    steps = [{"resourcePreEvent": {"metadata": {"op": op, "urn": urn, **more}}} for urn in urns]
    return "\n".join(map(json.dumps, [*steps, {"summaryEvent": {"isPreview": True, "result": "succeeded"}}]))


def test_the_steps_of_a_replacement_are_one_change_with_the_input_that_causes_it() -> None:
    zones = preview("other-zones.jsonl")
    assert {operation: zones.count(operation) for operation in Operation if zones.count(operation)} == {
        Operation.REPLACE: 17,
        Operation.UPDATE: 6,
    }
    (database,) = [change for change in zones.changes if change.name == "database-instance"]
    assert (database.operation, database.replacing) == (Operation.REPLACE, ("dbSubnetGroupName",))


def test_data_that_would_be_deleted_is_named_with_its_reason_the_worst_first() -> None:
    found = list(losses(preview("no-database.jsonl")))
    assert [loss.change.name for loss in found][:2] == ["database-instance", "recorder-queue"]
    assert found[0].lost == "the database's rows, without a last snapshot"
    assert found[0].reason == "the program declares it no longer"
    (replaced,) = losses(preview("other-zones.jsonl"))
    assert replaced.reason == "AWS cannot change dbSubnetGroupName in place"


def test_a_database_that_leaves_a_last_snapshot_or_stays_in_aws_is_another_matter() -> None:
    urn = "urn:pulumi:prod::infrafabric::infrafabric:storage:Database$aws:rds/instance:Instance::database-instance"
    (loss,) = losses(parse(recorded(urn, old={"inputs": {"skipFinalSnapshot": False}}), "x"))
    assert loss.lost == "the database's rows; a last snapshot stays"
    assert list(losses(parse(recorded(urn, old={"inputs": {}, "retainOnDelete": True}), "x"))) == []
    assert list(losses(parse(recorded(urn, op="update"), "x"))) == []


def test_what_running_sessions_notice_is_said_in_their_words() -> None:
    assert list(effects(preview("one-agent-less.jsonl"))) == [
        "Running sessions finish on the coordinator's version that they began with; new ones use the new version.",
        "Agents h01: a task in work is finished by the old version, the next one gets the new version.",
        "Agents h02: tasks in work or in the queue go to another agent after the silence timeout.",
    ]
    assert list(effects(preview("no-change.jsonl"))) == []


def test_clients_whose_keys_are_replaced_are_named() -> None:
    of_keys = "urn:pulumi:dev::infrafabric::infrafabric:api:ClientKeys$aws:apigateway/apiKey:ApiKey::api-clients-"
    gone = recorded(f"{of_keys}partner-next", f"{of_keys}default-current", f"{of_keys}partner-current")
    assert list(effects(parse(gone, "x"))) == [
        "API keys of default, partner change: whoever sends a replaced key gets 403 until it has a key of the output "
        "`api_keys`."
    ]
    assert list(effects(parse(recorded(f"{of_keys}other-current", op="create"), "x"))) == []


def test_the_comment_says_first_what_a_reviewer_must_not_miss(summarize) -> None:
    cost = RECORDED.parent / "previews" / "cost.json"
    status, out, _ = summarize(RECORDED / "other-zones.jsonl", "--cost", cost, "--markdown")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == printed.MARK
    assert "| dev | 0 | 0 | 6 | 17 | 0 | succeeds | passed | +12.30 |" in lines
    assert "| prod | – | – | – | – | – | not previewed | – | no change |" in lines
    bold = "- **dev: replace `database-instance` (rds Instance): the database's rows, without a last snapshot. Reason: "
    assert lines.index("#### Data that would be deleted") < next(i for i, line in enumerate(lines) if bold in line)
    assert out.index("</details>") > out.index("#### Running sessions"), "the single changes are folded below"
    assert "- replace rds Instance database-instance: dbSubnetGroupName" in lines


def test_a_mandatory_rule_and_an_error_of_the_program_are_shown_and_the_exit_status_says_so(summarize) -> None:
    status, out, _ = summarize(RECORDED / "refused-by-a-rule.jsonl", "--markdown")
    assert status == 1
    assert "| **fails** | **1 violated** |" in out
    assert "- dev: **mandatory** `class-allowed`, `database-instance`: Databases and instances have an allowed" in out
    status, out, _ = summarize(RECORDED / "bad-setting.jsonl", "--markdown")
    assert status == 1
    assert "infrafabric:settings.fleet.size = 0: Input should be greater than or equal to 1" in out
    assert "preview failed" not in out, "the engine's own sentence says nothing"


def test_the_single_document_gives_the_same_changes_and_no_verdict(summarize) -> None:
    streamed, single = preview("one-agent-less.jsonl"), preview("one-agent-less.json")
    assert {(c.operation, c.urn) for c in streamed.changes} == {(c.operation, c.urn) for c in single.changes}
    _, out, _ = summarize(RECORDED / "one-agent-less.json")
    assert out.startswith("dev: 34 changes; policy: not checked.")


def test_the_single_document_of_a_preview_that_a_rule_refused_fails_too(summarize) -> None:
    """The document names no rule: its one error is the engine's own sentence."""
    status, out, _ = summarize(RECORDED / "refused-by-a-rule.json")
    assert status == 1
    assert out.startswith("dev: 5 changes; policy: not checked. The preview fails.")


def test_an_imported_resource_is_counted_and_listed(tmp_path: Path, summarize) -> None:
    urn = "urn:pulumi:dev::infrafabric::aws:s3/bucket:Bucket::found"
    (tmp_path / "p.jsonl").write_text(recorded(urn, op="import"))
    status, out, _ = summarize(tmp_path / "p.jsonl", "--markdown")
    assert status == 0
    assert "| dev | 0 | 1 | 0 | 0 | 0 | succeeds |" in out
    assert "+ import  s3 Bucket found" in out


def test_json_has_what_the_comment_says(summarize) -> None:
    _, out, _ = summarize(RECORDED / "other-zones.jsonl", "--json")
    dev = json.loads(out)["stacks"]["dev"]
    assert dev["counts"] == {"create": 0, "import": 0, "update": 6, "replace": 17, "delete": 0, "same": 3}
    assert [loss["reason"] for loss in dev["data_loss"]] == ["AWS cannot change dbSubnetGroupName in place"]
    assert dev["sessions"] == ["Records wait in the recorder's queue until the new database is there."]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a preview: pass the file that pulumi preview --json >"),
        ("[1, 2]", "is not a preview"),
        ('{"steps": 3}', "is not a preview"),
        ('{"steps": []}', "has no steps"),
        ('{"resourcePreEvent": {"metadata": {"op": "same", "urn": "u"}}}', "ends before its summary"),
        ('{"summaryEvent": {"isPreview": false}}', "is an update, not a preview"),
        (recorded("urn:pulumi:dev::p::t::n", op="explode"), "is not a preview"),
        (recorded("nonsense"), "is not a preview"),
        (recorded(), "is not a preview"),
    ],
)
def test_a_file_that_is_no_preview_is_one_line(text: str, problem: str, tmp_path: Path, summarize) -> None:
    (tmp_path / "p.json").write_text(text)
    status, out, error = summarize(tmp_path / "p.json")
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("fabric preview: ")
    assert problem in error


def test_other_wrong_input_is_one_line_too(tmp_path: Path, summarize) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    good = RECORDED / "no-change.jsonl"
    for words, problem in (
        ([tmp_path / "none"], "No such file or directory"),
        ([tmp_path], "Is a directory"),
        ([tmp_path / "bytes"], "is not text in UTF-8"),
        ([good, good], "dev: has two previews: pass one file per stack"),
        ([good, "--cost", good], "is not an estimate: pass the output of fabric cost --against FILE --json"),
        ([], "nothing to summarize"),
    ):
        status, _, error = summarize(*words)
        assert (status, error.count("\n")) == (2, 1), error
        assert problem in error


def test_a_preview_that_broke_off_replaces_the_comment_of_the_one_before(tmp_path: Path, summarize) -> None:
    (tmp_path / "prod.jsonl").write_text("")
    status, out, _ = summarize(RECORDED / "no-change.jsonl", tmp_path / "prod.jsonl", "--markdown")
    assert status == 1
    assert "| prod | 0 | 0 | 0 | 0 | 0 | **fails** | not checked | not compared |" in out
    assert "prod.jsonl: is not a preview" in out


TEXTS = st.text(max_size=4_000)
CHANGES = st.builds(
    Change,
    operation=st.sampled_from(sorted(set(Operation) - {Operation.SAME, Operation.READ})),
    urn=st.builds(
        "urn:pulumi:dev::infrafabric::{}::{}".format, st.sampled_from(["aws:sqs/queue:Queue", "a:b:C"]), TEXTS
    ),
    changed=st.lists(TEXTS, max_size=3).map(tuple),
)
PREVIEWS = st.builds(
    Preview,
    stack=st.text(min_size=1, max_size=15),
    changes=st.lists(CHANGES, max_size=6).map(lambda changes: tuple(changes * 60)),
    same=st.integers(0, 500),
    errors=st.lists(TEXTS, max_size=40).map(tuple),
    violations=st.lists(st.builds(Violation, TEXTS, st.booleans(), TEXTS, TEXTS), max_size=40).map(tuple),
    succeeded=st.booleans(),
)


@given(st.lists(PREVIEWS, min_size=1, max_size=4))
def test_a_comment_is_never_longer_than_github_accepts(previews: list[Preview]) -> None:
    assert len(printed.markdown(previews, {})) <= 65_536


def test_what_is_left_out_is_counted() -> None:
    changes = tuple(Change(operation=Operation.CREATE, urn=f"urn:pulumi:dev::p::a:b:C::{n}") for n in range(9_000))
    many = Preview(stack="dev", changes=changes, same=0, errors=(), violations=(), succeeded=True)
    text = printed.markdown([many], {})
    shown = text.count("\n+ create")
    assert f"… and {9_000 - shown} more, in the log of the run" in text


def test_a_text_from_the_change_under_review_stays_a_text() -> None:
    """Whoever opens a pull request may choose rule texts and names; the comment is written by the project."""
    violation = Violation("r", mandatory=True, resource="x", text="@team <b>ok</b> [fine](http://x) | ``` # Approved")
    fence = "``` \n</details>\n@team"
    name = "x`\n# Approved\n@team <img>"
    urn = f"urn:pulumi:dev::p::aws:s3/bucket:Bucket::{name}"
    gone = Change(operation=Operation.REPLACE, urn=urn, replacing=("a`\n<img>",), changed=("b\n```\n<img>",))
    bad = Preview(stack="dev", changes=(gone,), same=1, errors=(fence,), violations=(violation,), succeeded=False)
    text = printed.markdown([bad], {})
    assert "@team <b>" not in text
    assert "\\<b\\>" in text
    assert "\\[fine\\]" in text
    assert "- **dev: replace `x' # Approved @team <img>` (s3 Bucket): objects. Reason: AWS cannot change a\\` " in text
    assert "\n# Approved" not in text
    assert text.count("```diff") == 1
    assert "\n```\n<img>" not in text, "a name cannot close the block of changes"
    assert f"````text\n{fence}\n````" in text, "a fence that the text cannot close"
