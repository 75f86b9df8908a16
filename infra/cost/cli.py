"""``fabric cost``: monthly cost of stacks at list prices, and the effect of a change.

The graph is the same as in ``pulumi preview``, so the command needs no account and no credentials. Exit status: 0 done,
1 the stacks cost more than --at-most, 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from infrafabric.cli.numbers import finite


def register(groups: Any) -> None:
    """Add the command to ``fabric``'s parser."""
    cost = groups.add_parser("cost", help="monthly cost of a stack, and the effect of a change", description=__doc__)
    cost.add_argument(
        "--stack",
        action="append",
        dest="stacks",
        metavar="NAME",
        help="stack of a Pulumi.<stack>.yaml (default: dev); may be repeated",
    )
    cost.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="change a setting, such as network.nat=single, and show the difference; may be repeated",
    )
    cost.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        dest="assumed",
        help="change an assumption of docs/cost.md, such as sessions=500, and show the difference; may be repeated",
    )
    cost.add_argument(
        "--against", metavar="FILE", help="earlier output of this command with --json; show the difference"
    )
    cost.add_argument(
        "--at-most", type=finite, metavar="USD", help="limit for the sum of all stacks; exit status 1 above the limit"
    )
    form = cost.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document with every line of the estimate")
    form.add_argument("--markdown", action="store_true", help="print the comment for a pull request")
    cost.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from infra.cost import command  # noqa: PLC0415  Pulumi takes a second to import

    try:
        return command.run(args)
    except command.EXPECTED as error:
        print(f"fabric cost: {error}", file=sys.stderr)
        return 2
