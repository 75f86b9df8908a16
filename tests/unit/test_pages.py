"""What the pages and the sources say of each other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")  # without a scheme
_NAMED = re.compile(
    r"(?<![\w/.])(?:docs|infra|infrafabric|lambdas|local|policy|bench|tests)/[\w./-]+\.(?:md|json|yaml|py)\b"
)


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
