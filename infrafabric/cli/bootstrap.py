"""``fabric bootstrap``: prepare an account for the first ``pulumi up``; later runs only check."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from infrafabric.operators.bootstrap import STATE_KEY_ALIAS, BootstrapError, Names, steps


def register(groups: Any) -> None:
    """Add the command to ``fabric``'s parser."""
    text = "create the bucket and the key for Pulumi's state, and RDS's role"
    parser = groups.add_parser("bootstrap", help=text, description=__doc__)
    parser.add_argument("--region", help="AWS region (default: the shell's)")
    parser.add_argument("--bucket", help="bucket name (default: infrafabric-pulumi-<account>-<region>)")
    parser.add_argument("--dry-run", action="store_true", help="check, and create nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  other commands need no AWS SDK

    try:
        return _bootstrap(args)
    except BootstrapError as error:
        print(f"fabric bootstrap: {error}", file=sys.stderr)
    except ClientError as error:
        refusal = error.response["Error"]
        print(
            f"fabric bootstrap: AWS refused {error.operation_name}: {refusal['Code']}: {refusal.get('Message', '')} "
            "(finished steps stay; run the command again)",
            file=sys.stderr,
        )
    except BotoCoreError as error:
        print(f"fabric bootstrap: {error}: are credentials and a region set?", file=sys.stderr)
    return 2


def _bootstrap(args: argparse.Namespace) -> int:
    import boto3  # noqa: PLC0415  other commands need no AWS SDK

    session = boto3.Session(region_name=args.region)
    if session.region_name is None:
        raise BootstrapError("no region: give --region, or set AWS_REGION")
    names = Names.of(session.region_name, session.client("sts").get_caller_identity()["Account"], args.bucket)
    outcomes: list[dict[str, str]] = []
    for step in steps(names, s3=session.client("s3"), kms=session.client("kms"), iam=session.client("iam")):
        # In a dry run a missing bucket cannot be asked about its properties.
        missing = args.dry_run and any(earlier["outcome"] == "would be made" for earlier in outcomes)
        outcome = "would be made" if missing else "already there" if step.done() else "made"
        if outcome == "made" and args.dry_run:
            outcome = "would be made"
        elif outcome == "made":
            step.make()
        outcomes.append({"what": step.label.strip(), "outcome": outcome})
        if not args.json:
            print(f"{outcome:14} {step.label}", flush=True)
    if args.json:
        facts = {"region": names.region, "bucket": names.bucket, "key": STATE_KEY_ALIAS}
        print(json.dumps({**facts, "steps": outcomes, "next": [names.login, names.init]}, indent=2))
    else:
        print(f"\nNext:\n  {names.login}\n  {names.init}")
    return 0
