"""``fabric release``: give a stack's newly published functions their share of the calls, step by step, or take it back.

For stacks whose ``runtime.rollout`` is ``by-steps``: there ``pulumi up`` publishes versions and moves nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from infrafabric.cli.numbers import not_negative
from infrafabric.operators.rollout import AliasState, LambdaAliases, RolloutDeps, RolloutPlan, back, error_counter, roll


def register(groups: Any) -> None:
    """Adds the command to ``fabric``'s parser."""
    parser = groups.add_parser("release", help="move functions to their new version by steps", description=__doc__)
    parser.add_argument("--stack", required=True, help="dev, prod …")
    parser.add_argument("--function", action="append", dest="functions", metavar="NAME", help="only api, h01 …")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="say where each stands, and move nothing")
    what.add_argument("--rollback", action="store_true", help="all calls to the stable version again")
    parser.add_argument("--step", type=_percent, default=10, metavar="PERCENT", help="of each step (default: 10)")
    parser.add_argument("--linear", action="store_true", help="by such steps to the end; else one step, then all")
    parser.add_argument(
        "--interval", type=not_negative, default=300, metavar="SECONDS", help="between steps (default: 300)"
    )
    parser.add_argument(
        "--errors", type=not_negative, default=5, metavar="PERCENT", help="more, and it goes back (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    parser.set_defaults(run=_run)


def _percent(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 99:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 to 99")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  other commands need no AWS SDK

    try:
        return _release(args)
    except ClientError as error:
        said = error.response["Error"]
        print(f"fabric release: AWS refused {error.operation_name}: {said['Code']}: {said['Message']}", file=sys.stderr)
    except BotoCoreError as error:
        print(f"fabric release: {error}: are credentials and a region set?", file=sys.stderr)
    except KeyboardInterrupt:
        print(
            "fabric release: stopped; the weights stay as they are. Run it again to go on, with --rollback to go back",
            file=sys.stderr,
        )
        raise
    return 2


def _release(args: argparse.Namespace) -> int:
    import boto3  # noqa: PLC0415  other commands need no AWS SDK

    aliases = LambdaAliases(boto3.client("lambda"))
    prefix = f"infrafabric-{args.stack}-"
    names = [f"{prefix}{name}" for name in args.functions] if args.functions else list(aliases.functions(prefix))
    if not names:
        print(f"fabric release: no function is called {prefix}… in this account and region", file=sys.stderr)
        return 2

    def say(it: AliasState, text: str) -> None:
        if not args.json:
            print(f"{it.function}: {text}", flush=True)

    counter = error_counter(boto3.client("cloudwatch"), lambda: datetime.now(UTC), lambda s: timedelta(seconds=s))
    deps = RolloutDeps(look=aliases.look, weigh=aliases.weigh, errors=counter, wait=time.sleep, say=say)
    plan = RolloutPlan(step_percent=args.step, linear=args.linear, interval_s=args.interval, error_percent=args.errors)
    fine = True
    for name in names:  # one after another: what is wrong shows in the first
        if args.rollback:
            back(name, deps)
        elif not args.status and not (fine := roll(name, plan, deps)):
            break
    standings = [aliases.look(name) for name in names]
    _show(standings, as_json=args.json)
    return 0 if fine else 1


def _show(standings: list[AliasState], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"function": s.function, "stable": s.stable, "newest": s.newest, "percent": s.percent} for s in standings
        ]
        print(json.dumps({"functions": rows}, indent=2))
        return
    for it in standings:
        share = "all calls" if it.settled else f"{it.percent} % of the calls to version {it.newest}"
        print(f"{it.function:40} version {it.stable:>4}  {share}")
