"""``fabric cost``: what stacks cost a month by list prices, and what a change makes of it.

The graph is the one that ``pulumi preview`` would show, so no account and no credentials are needed.
Exit status: 0 done, 1 the stacks cost more than --at-most, 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from infrafabric.cli.numbers import finite


def register(groups: Any) -> None:
    """Adds the command to ``fabric``'s parser."""
    cost = groups.add_parser(
        "cost", help="what a stack costs a month, and what a change makes of it", description=__doc__
    )
    cost.add_argument(
        "--stack",
        action="append",
        dest="stacks",
        metavar="NAME",
        help="which Pulumi.<stack>.yaml (default: dev); may be given again",
    )
    cost.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="another value for a setting, such as network.nat=single: shows the difference; may be given again",
    )
    cost.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        dest="assumed",
        help="another month than docs/cost.md assumes, such as sessions=500; may be given again",
    )
    cost.add_argument(
        "--against", metavar="FILE", help="what this command printed with --json before: shows the difference to that"
    )
    cost.add_argument("--at-most", type=finite, metavar="USD", help="what the stacks may cost together")
    form = cost.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document, line by line")
    form.add_argument("--markdown", action="store_true", help="as a pull request's comment")
    cost.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from infra.cost import command  # noqa: PLC0415  Pulumi takes a second to import

    try:
        return command.run(args)
    except command.EXPECTED as error:
        print(f"fabric cost: {error}", file=sys.stderr)
        return 2
