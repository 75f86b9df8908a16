"""Implementation of ``fabric cost``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra.cost import printed
from infra.cost.bill import BadDocumentError, Bill, estimate_of
from infra.cost.estimate import Estimate, UnpricedError, estimate
from infra.cost.traffic import BadAssumptionError, traffic_of
from infra.graph import Graph, capture
from infra.settings import stackfile

# Errors that the user can fix.
EXPECTED = (
    pulumi.RunError,
    stackfile.NoStackError,
    stackfile.BadStackFileError,
    stackfile.BadSettingError,
    BadAssumptionError,
    BadDocumentError,
    UnpricedError,
)
GraphOf = Callable[[str, Mapping[str, Any] | None], Graph]  # graph of a stack with changed settings


def run(args: argparse.Namespace, graph_of: GraphOf = capture) -> int:
    """Price the stacks and print the result; return exit status 1 if the sum exceeds --at-most."""
    results = list(bills(args, graph_of))
    if args.json:
        print(json.dumps(printed.as_json(results), indent=2))
    else:
        print(printed.markdown(results) if args.markdown else printed.text(results))
    usd = sum(bill.now.usd for bill in results)
    if args.at_most is None or usd <= args.at_most:
        return 0
    print(f"fabric cost: {usd:,.2f} USD a month are more than --at-most {args.at_most:,.2f}", file=sys.stderr)
    return 1


def bills(args: argparse.Namespace, graph_of: GraphOf) -> Iterator[Bill]:
    """Yield one bill per stack.

    All arguments are checked before the first graph, because capturing a graph takes seconds.
    """
    stacks, changes = dict.fromkeys(args.stacks or ["dev"]), stackfile.changes_of(args.settings)
    for stack in stacks:
        stackfile.check(stack)
        traffic_of(stack, args.assumed)
    earlier = _earlier(Path(args.against)) if args.against else None

    def priced(stack: str, settings: Mapping[str, Any], assumed: list[str]) -> Estimate:
        if sys.stderr.isatty():
            print(f"pricing {stack} …", file=sys.stderr)
        return estimate(graph_of(stack, settings), traffic_of(stack, assumed))

    for stack in stacks:
        if earlier is not None:
            before = earlier.get(stack)
        elif changes or args.assumed:
            before = priced(stack, {}, [])
        else:
            before = None
        yield Bill(now=priced(stack, changes, args.assumed), before=before)


def _earlier(path: Path) -> dict[str, Estimate]:
    try:
        parsed = json.loads(path.read_text())
        return {stack: estimate_of(stack, one) for stack, one in parsed["stacks"].items()}
    except OSError as error:
        raise BadDocumentError(f"--against {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, BadDocumentError):
        raise BadDocumentError(
            f"--against {path}: is not an estimate: run fabric cost --json before the change, and pass that file"
        ) from None
