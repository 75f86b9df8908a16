"""``fabric release``: shift calls to a stack's newly published function versions step by step, or roll back.

For stacks whose ``runtime.rollout`` is ``by-steps``: there ``pulumi up`` publishes versions and moves no alias.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from infrafabric.cli.numbers import not_negative
from infrafabric.operators.rollout import (
    AliasState,
    LambdaAliases,
    RolloutDeps,
    RolloutPlan,
    error_counter,
    readers_first,
    roll_back,
    roll_out,
)


def register(groups: Any) -> None:
    """Add the command to ``fabric``'s parser."""
    parser = groups.add_parser("release", help="move functions to their new version by steps", description=__doc__)
    parser.add_argument("--stack", required=True, help="dev, prod …")
    parser.add_argument("--function", action="append", dest="functions", metavar="NAME", help="only api, h01 …")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--status", action="store_true", help="print the versions, and move nothing")
    mode.add_argument("--rollback", action="store_true", help="all calls to the stable version again")
    parser.add_argument("--step", type=_percent, default=10, metavar="PERCENT", help="size of a step (default: 10)")
    parser.add_argument("--linear", action="store_true", help="repeat the step to the end; default: one step, then all")
    parser.add_argument(
        "--interval", type=not_negative, default=300, metavar="SECONDS", help="between steps (default: 300)"
    )
    parser.add_argument(
        "--errors",
        type=not_negative,
        default=5,
        metavar="PERCENT",
        help="error rate that rolls back (default: 5)",
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
        refusal = error.response["Error"]
        text = f"AWS refused {error.operation_name}: {refusal['Code']}: {refusal['Message']}"
        print(f"fabric release: {text}", file=sys.stderr)
    except BotoCoreError as error:
        print(f"fabric release: {error}: are credentials and a region set?", file=sys.stderr)
    except KeyboardInterrupt:
        print(
            "fabric release: stopped; the weights stay as they are. Run it again to continue, or with --rollback",
            file=sys.stderr,
        )
        raise
    return 2


def _release(args: argparse.Namespace) -> int:
    import boto3  # noqa: PLC0415  other commands need no AWS SDK

    aliases = LambdaAliases(boto3.client("lambda"))
    prefix = f"infrafabric-{args.stack}-"
    names = [f"{prefix}{name}" for name in args.functions] if args.functions else list(aliases.functions(prefix))
    names = readers_first(names)
    if not names:
        print(f"fabric release: no function is called {prefix}… in this account and region", file=sys.stderr)
        return 2

    def report(state: AliasState, text: str) -> None:
        if not args.json:
            print(f"{state.function}: {text}", flush=True)

    counter = error_counter(boto3.client("cloudwatch"), lambda: datetime.now(UTC), lambda s: timedelta(seconds=s))
    deps = RolloutDeps(
        state=aliases.state, set_weight=aliases.set_weight, errors=counter, wait=time.sleep, report=report
    )
    plan = RolloutPlan(step_percent=args.step, linear=args.linear, interval_s=args.interval, error_percent=args.errors)
    fine = True
    for name in reversed(names) if args.rollback else names:  # in sequence: a bad version stops at the first function
        if args.rollback:
            roll_back(name, deps)
        elif not args.status and not (fine := roll_out(name, plan, deps)):
            break
    _print([aliases.state(name) for name in names], as_json=args.json)
    return 0 if fine else 1


def _print(states: list[AliasState], *, as_json: bool) -> None:
    if as_json:
        rows = [{"function": s.function, "stable": s.stable, "newest": s.newest, "percent": s.percent} for s in states]
        print(json.dumps({"functions": rows}, indent=2))
        return
    for state in states:
        share = "all calls" if state.settled else f"{state.percent} % of the calls to version {state.newest}"
        print(f"{state.function:40} version {state.stable:>4}  {share}")
