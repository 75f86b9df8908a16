"""Write the parts of docs/ that follow from the graph (``make docs``); with ``--check``, only compare."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

from infra.cost.estimate import Estimate, estimate
from infra.cost.traffic import TRAFFIC
from infra.graph import Graph, capture
from infra.pages import components_table
from infra.pages.cost import page
from infra.settings import stackfile

DOCS = Path(__file__).resolve().parents[2] / "docs"
STACKS = ("dev", "prod", "prod-secondary")
MOST_USD = {"dev": 60.0, "prod": 300.0, "prod + secondary": 450.0}


class GraphOf(Protocol):
    """Source of graphs: captured here, or passed by a caller that has the graphs already."""

    def __call__(self, stack: str, *, alone: bool = False) -> Graph: ...


@cache
def graph_of(stack: str, *, alone: bool = False) -> Graph:
    """Return a stack's graph; ``alone`` leaves out everything for a second region."""
    stacks = {"organization/infrafabric/prod": graph_of("prod").exports} if stack == "prod-secondary" else {}
    changes = {"recovery": None, "failover": False} if alone else None
    return capture(stack, changes, stacks=stacks, folder=stackfile.REFERENCE)


def estimates(graph_of: GraphOf = graph_of) -> list[tuple[str, Estimate, float]]:
    """Return the estates of docs/cost.md with limits: dev, prod in one region, prod with its standby."""
    dev = estimate(graph_of("dev"), TRAFFIC["dev"])
    prod = estimate(graph_of("prod", alone=True), TRAFFIC["prod"])
    copying = estimate(graph_of("prod"), TRAFFIC["prod"])
    standby = estimate(graph_of("prod-secondary"), TRAFFIC["prod-secondary"])
    both = replace(copying, stack="prod + secondary", lines=(*copying.lines, *standby.lines))
    found = {"dev": dev, "prod": prod, "prod + secondary": both}
    return [(name, found[name], most) for name, most in MOST_USD.items()]


def pages(graph_of: GraphOf = graph_of) -> Iterator[tuple[Path, str]]:
    """Yield each generated file with its content."""
    yield DOCS / "cost.md", page(estimates(graph_of))
    architecture = DOCS / "architecture.md"
    text = architecture.read_text()
    text = _between_marks(text, "parts", components_table.table({stack: graph_of(stack) for stack in STACKS}))
    yield architecture, text


def _between_marks(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"docs/architecture.md lacks the marks {begin} and {end}")
    return re.sub(rf"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{content}\n{end}", text, flags=re.S)


def main() -> int:
    """Write the pages, or compare with ``--check``; return 1 if a page is stale."""
    parser = argparse.ArgumentParser(prog="make docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would be written")
    chosen = parser.parse_args()
    stale = [(path, text) for path, text in pages() if not path.exists() or path.read_text() != text]
    for path, text in stale:
        print(f"{'stale' if chosen.check else 'written'}: docs/{path.name}")
        if not chosen.check:
            path.write_text(text)
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
