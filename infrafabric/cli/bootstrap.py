"""``fabric bootstrap``: prepare an account for the first ``pulumi up``; later runs only check."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from infrafabric.operators.bootstrap import (
    ENVIRONMENTS,
    STATE_KEY_ALIAS,
    BootstrapError,
    Names,
    bucket_label,
    secrets_key_alias,
    steps,
)

_MOVE = f"""Secrets of existing stacks are encrypted with {STATE_KEY_ALIAS}, now the key of the bucket's objects alone.
Move each existing stack, then rotate its secrets: older checkpoints stay readable with the old key
(docs/runbooks/rotate-keys.md, "Key of Pulumi's secrets"):"""


def register(groups: Any) -> None:
    """Add the command to ``fabric``'s parser."""
    text = "create the bucket and the keys for Pulumi's state, and RDS's role"
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
    move = names.move if _has_older_stacks(names, outcomes) else []
    if args.json:
        facts = {
            "region": names.region,
            "bucket": names.bucket,
            "key": STATE_KEY_ALIAS,
            "secrets_keys": {environment: secrets_key_alias(environment) for environment in ENVIRONMENTS},
        }
        print(json.dumps({**facts, "steps": outcomes, "move": move, "next": [names.login, *names.init]}, indent=2))
        return 0
    for title, commands in ((_MOVE, move), ("Next:", [names.login, *names.init])):
        if commands:
            print("\n  ".join([f"\n{title}", *commands]))
    return 0


def _has_older_stacks(names: Names, outcomes: list[dict[str, str]]) -> bool:
    """Tell whether the bucket is older than the environments' keys, so that its stacks use the bucket's key."""
    by_label = {step["what"]: step["outcome"] for step in outcomes}
    keys = {by_label[f"key {secrets_key_alias(environment)}"] for environment in ENVIRONMENTS}
    return by_label[bucket_label(names)] == "already there" and keys != {"already there"}
