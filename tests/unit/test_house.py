"""Structure of the repository: thin handlers, names that Pulumi can import, no path of a machine.

The direction of imports is held by the contracts in pyproject.toml (``make lint``).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = {"infra", "infrafabric", "lambdas", "local", "policy", "tests", "bench"}


def imports_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.partition(".")[0]


def test_a_handler_only_translates() -> None:
    for path in sorted((ROOT / "lambdas").glob("*/handler.py")):
        branches = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.For | ast.While)]
        assert not branches, f"{path.relative_to(ROOT)} loops: logic belongs into infrafabric"
        assert len(path.read_text().splitlines()) <= 120, path.relative_to(ROOT)


def test_only_make_validate_reads_the_stack_files_of_this_checkout() -> None:
    """They belong to whoever deploys: a domain of their own must fail no test."""
    readers = {"read": 3, "record_stack": 6, "deploy_stack": None, "of_stack": 2}  # name → arguments with the folder
    missing, found = [], 0
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            of = getattr(call.func.value, "id", "") if isinstance(call.func, ast.Attribute) else ""
            if name not in readers or (name == "read" and of != "stackfile"):
                continue
            found += 1
            if len(call.args) != readers[name] and not any(keyword.arg == "folder" for keyword in call.keywords):
                missing.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert found > 5
    assert missing == []


@pytest.mark.parametrize("package", ["infra", "policy"])
def test_nothing_that_pulumi_runs_is_called_like_what_others_import(package: str) -> None:
    """Pulumi puts the program's folder, and the pack's, first on the path: what is in it would be found instead."""
    ours = {path.stem for path in (ROOT / package).iterdir()} - {"__init__", "__main__", "__pycache__"}
    assert ours
    assert not ours & {*sys.stdlib_module_names, *metadata.packages_distributions()}


MAIN = ROOT / yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["main"]


@pytest.mark.parametrize("folder", [ROOT, MAIN])
def test_what_installs_the_program_finds_it_and_its_requirements(folder: Path) -> None:
    """``pulumi install`` reads requirements.txt in the folder that is ``main``, and without one installs nothing."""
    lines = (folder / "requirements.txt").read_text().splitlines()
    given = dict(line.split() for line in lines if line.startswith("-"))
    # pip takes what follows -e from the folder that it is started in, and -r from the file that it stands in.
    assert {flag: (folder / path).resolve() for flag, path in given.items()} == {
        "-e": ROOT,
        "-r": ROOT / "requirements" / "program.txt",
    }


LOADED = """
import sys
import infra.program, policy.pack
print(*{module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)}, sep="\\n")
"""


def test_what_the_program_and_its_policies_import_is_installed_with_them() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, cwd=ROOT)
    ours = [
        path for path in map(Path, done.stdout.splitlines()) if path.is_relative_to(ROOT) and ".venv" not in path.parts
    ]
    used = {name for path in ours for node in ast.parse(path.read_text()).body for name in imports_of(node)}
    known = metadata.packages_distributions()
    needed = {normal(known[name][0]) for name in used - OURS - set(sys.stdlib_module_names)}
    pinned = {line.partition("==")[0] for line in (ROOT / "requirements" / "program.txt").read_text().splitlines()}
    assert "pulumi-aws" in needed
    assert needed <= pinned, "add it to requirements/program.in, and run make lock"


def normal(distribution: str) -> str:
    """The name as pins have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_no_file_speaks_of_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".txt", ".in") or name in ("Makefile", ".ci/run"):
            text = path.read_text()
            assert f"{ROOT}/" not in text, name
            assert path.suffix != ".txt" or "index-url" not in text, name
