"""What the pages and the sources say of each other."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from infrafabric.cli.main import main
from infrafabric.models import errors
from infrafabric.swarm.shapes.cancel import Cancel
from infrafabric.swarm.shapes.records import TaskRecord
from infrafabric.swarm.shapes.task import Task
from local import types

ROOT = Path(__file__).resolve().parent.parent.parent
_LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")  # without a scheme
_NAMED = re.compile(
    r"(?<![\w/.])(?:docs|infra|infrafabric|lambdas|local|policy|bench|tests)/[\w./-]+\.(?:md|json|yaml|py)\b"
)

_BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)  # indented in a list
_SPAN = re.compile(r"`[^`]+`")
_AWS = re.compile(r"\baws ([a-z0-9]+) ([a-z][a-z0-9-]+)([^|;&#]*)")
_FABRIC = re.compile(r"\bfabric((?: [a-z]+)+)([^|;&#)]*)")
_OPTION = re.compile(r"(?<!\S)\[?--([a-z][a-z0-9-]*)")
_S3 = {"cp", "ls", "mb", "mv", "presign", "rb", "rm", "sync", "website"}
_OF_EVERY_COMMAND = {"endpoint-url", "output", "profile", "query", "region"}  # the AWS CLI's


def _texts() -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if name.endswith((".md", ".py", ".yaml", ".yml")):
            yield ROOT / name, (ROOT / name).read_text()


def test_every_page_and_file_that_is_named_is_there() -> None:
    missing = []
    for path, text in _texts():
        if path.suffix == ".md":
            missing += [(path.name, link) for link in _LINK.findall(text) if not (path.parent / link).exists()]
        if path.name != Path(__file__).name:
            missing += [(path.name, named) for named in _NAMED.findall(text) if not (ROOT / named).exists()]
    assert missing == []


@pytest.mark.parametrize("page", ["guardrails.md", "security.md", "sessions.md", "well-architected.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text())
    assert named, "the page names its tests as `tests/….py::test_…`"
    assert [(path, test) for path, test in named if test not in _tests_in(ROOT / path)] == []


def _tests_in(path: Path) -> set[str]:
    """Names of the test functions at the top level of a module; empty if the file is missing."""
    body = ast.parse(path.read_text()).body if path.exists() else []
    return {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def _code(page: str) -> Iterator[str]:
    """The lines of the blocks, and what stands between backticks in the text."""
    for block in _BLOCK.findall(page):
        yield from block.replace("\\\n", " ").splitlines()
    for span in _SPAN.findall(_BLOCK.sub("", page)):
        yield span.strip("`").replace("\n", " ")


def _commands(pattern: re.Pattern[str]) -> list[tuple[str, ...]]:
    """The groups of ``pattern`` in the code of all pages."""
    pages = (text for path, text in _texts() if path.suffix == ".md")
    return sorted({found for text in pages for code in _code(text) for found in pattern.findall(code)})


@pytest.mark.parametrize(("service", "operation", "rest"), _commands(_AWS))
def test_a_command_of_the_aws_cli_is_one_that_aws_knows(service: str, operation: str, rest: str) -> None:
    if service == "s3":
        assert operation in _S3, "the CLI's own; what S3 itself knows is aws s3api"
        return
    session: Any = botocore.session.get_session()
    model = session.get_service_model("s3" if service == "s3api" else service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations
    members = model.operation_model(operations[operation]).input_shape.members
    known = {xform_name(name, "-") for name in members} | _OF_EVERY_COMMAND
    assert {option.removeprefix("no-") for option in _OPTION.findall(rest)} <= known


@pytest.mark.parametrize(("words", "rest"), _commands(_FABRIC))
def test_a_command_of_ours_is_one_that_there_is(words: str, rest: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])
    assert ended.value.code == 0
    known = set(re.findall(r"--([a-z][a-z0-9-]*)", capsys.readouterr().out))
    ours, _, _pulumis = rest.partition(" -- ")
    assert set(_OPTION.findall(ours)) <= known


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the example makes its key with openssl")
def test_a_message_can_be_made_by_hand_as_the_page_prints_it(tmp_path: Path) -> None:
    (example,) = _BLOCK.findall((ROOT / "docs" / "if-bus.md").read_text().split("## By hand")[1])
    lines = example.splitlines()[1:-1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path}
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(lines)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert '"valid": true' in done.stdout


def test_the_page_says_which_inputs_a_refresh_compares() -> None:
    page = (ROOT / "docs" / "rehearsal.md").read_text()
    rows = re.findall(r"^- `(aws:[^`]+)`: (.*(?:\n  .*)*)", page, flags=re.MULTILINE)
    older = {"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2"}  # an older name of the same type

    assert {token: set(re.findall(r"`(\w+)`", inputs)) for token, inputs in rows} == {
        token: set(types.find_type(token).reads) for token in types.importable() if token not in older
    }


def test_the_page_names_every_member_of_a_task_of_its_answer_and_of_a_cancel() -> None:
    part = (ROOT / "docs" / "if-bus.md").read_text().split("## Tasks and answers")[1].split("\n## ")[0]
    tables = re.split(r"The agent answers|\*\*Cancel", part)
    named = [sorted(re.findall(r"`(\w+)`", _first_cells(table))) for table in tables]
    assert named == [sorted(shape.model_fields) for shape in (Task, TaskRecord, Cancel)]


def test_the_page_names_every_error_of_a_model_by_the_reason_that_reports_give() -> None:
    part = (ROOT / "docs" / "models.md").read_text().split("## What can go wrong")[1].split("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| `([a-z-]+)` \|", part, re.MULTILINE))
    assert listed == {error.__name__: error.slug for error in errors.ModelError.__subclasses__()}


def _first_cells(text: str) -> str:
    return " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
