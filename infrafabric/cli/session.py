"""``fabric session``: start sessions, follow them, read their reports, redrive dead-lettered messages.

The environment names the stack: FABRIC_API_URL and FABRIC_API_KEY (outputs ``api_url`` and ``api_key``). Without a key,
requests are signed with the AWS credentials of the shell. With --operator, requests are signed, and about the sessions
of all owners.
Exit status: 0 done, 1 the API refused the request or the session is not COMPLETE, 2 bad usage or API unreachable.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlencode

from infrafabric.api.paths import OPERATOR_PATH
from infrafabric.cli.api_client import ApiClient, ApiError, ApiKeyAuthentication, SigV4Authentication
from infrafabric.cli.numbers import finite
from infrafabric.cli.redrive import Count, redrive
from infrafabric.printable import json_text, one_line, printable
from infrafabric.swarm.status import FINAL_STATUSES, SessionStatus

_POLL_S = 1.0


def register(groups: Any) -> None:
    """Add the group to ``fabric``'s parser."""
    group = groups.add_parser("session", help="start, follow and cancel sessions", description=__doc__)
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    start = _command(commands, "start", "start a session", _start)
    work = start.add_mutually_exclusive_group(required=True)
    work.add_argument("--goal", help="research goal; the coordinator splits the goal into tasks")
    work.add_argument("--task", action="append", dest="tasks", metavar="TEXT", help="a task; may be repeated")
    start.add_argument(
        "--id",
        dest="session_id",
        help="idempotency key: up to 64 of a-z, 0-9 and - (default: a new one)",
    )
    start.add_argument("--agents", type=int, help="number of agents (default: the whole fleet)")
    start.add_argument(
        "--deadline", type=int, dest="deadline_s", metavar="SECONDS", help="30 to 86400, from now (default: 1800)"
    )
    start.add_argument(
        "--budget",
        type=finite,
        dest="budget_usd",
        metavar="USD",
        help="at most the caller's maxBudgetUsd (default: 1)",
    )
    start.add_argument(
        "--quorum", type=finite, metavar="0..1", help="share of tasks that completes the session (default: 1, all)"
    )
    start.add_argument(
        "--max-tokens",
        type=int,
        metavar="TOKENS",
        help="longest answer of an agent, 1024 to 64000 (default: the stack's)",
    )
    start.add_argument(
        "--label",
        action="append",
        dest="labels",
        metavar="LABEL",
        help="a short text to find the session by, such as team:research; may be repeated, up to 10 times",
    )
    start.add_argument("--watch", action="store_true", help="wait for the end and print the report")
    start.set_defaults(operator=False)  # for --watch; an operator starts nothing
    listing = _command(commands, "list", "the newest 20 sessions", _list)
    listing.add_argument("--label", metavar="LABEL", help="only sessions with this label")
    _add_operator(listing)
    for name, text, run in (
        ("show", "status of a session", _show),
        ("watch", "wait for the end of a session and print its report", _watch),
        ("report", "a session's report", _report),
        ("cancel", "cancel a session", _cancel),
    ):
        command = _command(commands, name, text, run)
        command.add_argument("session_id", metavar="ID")
        _add_operator(command)
    redrive_ = _command(commands, "redrive", "move dead-lettered messages back into their queue", _redrive)
    redrive_.add_argument("--dlq-url", required=True, help="an agent's: output agents.hNN.dlq_url")
    redrive_.add_argument(
        "--queue-url",
        required=True,
        help="an agent's: output agents.hNN.queue_url; the recorder's: output record_queue_url",
    )
    redrive_.add_argument("--reason", help="only messages with this reason, such as 'stale'")


def _command(commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="print the API's JSON")
    parser.set_defaults(run=_with_one_line_errors(run))
    return parser


def _add_operator(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--operator",
        action="store_true",
        help="among the sessions of all owners, by internal id; signs with the AWS credentials of the shell",
    )


def _with_one_line_errors(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def run_with_errors(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except ApiError as error:
            print(f"fabric session: {one_line(str(error))}", file=sys.stderr)
            return 1 if error.status else 2

    return run_with_errors


def _client(*, operator: bool = False) -> ApiClient:
    url, key = os.environ.get("FABRIC_API_URL"), os.environ.get("FABRIC_API_KEY")
    if not url:
        raise ApiError(
            "FABRIC_API_URL is not set: set it to the stack's output api_url, and FABRIC_API_KEY to its api_key "
            "(pulumi stack output --show-secrets, or fabric local up)"
        )
    if operator:
        return ApiClient(url.rstrip("/"), SigV4Authentication.of_environment(url, OPERATOR_PATH))
    return ApiClient(url.rstrip("/"), ApiKeyAuthentication(key) if key else SigV4Authentication.of_environment(url))


def _start(args: argparse.Namespace) -> int:
    names = ("session_id", "goal", "tasks", "agents", "deadline_s", "budget_usd", "quorum", "max_tokens", "labels")
    body = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    session = _client().call("POST", "/sessions", body)
    args.session_id = session["session_id"]
    if args.watch:
        return _watch(args)
    _print(session, args.json, f"{session['session_id']}  {session['status']}")
    return 0


def _list(args: argparse.Namespace) -> int:
    client, query = _client(operator=args.operator), {"label": args.label} if args.label else {}
    page = client.call("GET", f"/sessions?{urlencode(query)}")
    while not page["sessions"] and page["cursor"]:  # a rare label: the API returns a cursor before it has found one
        page = client.call("GET", f"/sessions?{urlencode({**query, 'cursor': page['cursor']})}")
    nothing = f"no session has the label {args.label}" if args.label else "no sessions yet"
    _print(page, args.json, "\n".join(_line(session) for session in page["sessions"]) or nothing)
    return 0


def _show(args: argparse.Namespace) -> int:
    session = _client(operator=args.operator).call("GET", _path(args))
    _print(session, args.json, _line(session))
    return 0


def _watch(args: argparse.Namespace) -> int:
    client, printed = _client(operator=args.operator), ""
    while True:
        session = client.call("GET", _path(args))
        if _line(session) != printed:
            printed = _line(session)
            print(printed, file=sys.stderr)
        if session["status"] in FINAL_STATUSES:
            return _report(args)
        time.sleep(_POLL_S)


def _report(args: argparse.Namespace) -> int:
    report = _client(operator=args.operator).call("GET", f"{_path(args)}/report")
    lines = [report["summary"], "", *map(_finding, report["findings"])]
    if more := report["findings_left_out"]:
        lines += ["", f"{more:,} more findings are in the objects that s3_key of each result names (--json)"]
    _print(report, args.json, "\n".join(lines))
    return 0 if report["status"] == SessionStatus.COMPLETE else 1


def _cancel(args: argparse.Namespace) -> int:
    session = _client(operator=args.operator).call("DELETE", _path(args))
    _print(session, args.json, f"{session['session_id']}  {session['status']}")
    return 0


def _redrive(args: argparse.Namespace) -> int:
    import boto3  # noqa: PLC0415  only this command needs it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    count, now_ms = Count(), time.time_ns() // 1_000_000
    urls = {"dlq_url": args.dlq_url, "queue_url": args.queue_url}
    try:
        redrive(boto3.client("sqs"), **urls, reason=args.reason, started_ms=now_ms, count=count)
    except ClientError as error:
        refusal = error.response["Error"]
        problem = f"AWS refused {error.operation_name}: {refusal['Code']}: {refusal.get('Message', '')}"
        print(
            f"fabric session redrive: {problem} ({count.moved} moved before; run it again)",
            file=sys.stderr,
        )
        return 2
    except BotoCoreError as error:
        print(f"fabric session redrive: {error}: are credentials and a region set?", file=sys.stderr)
        return 2
    _print(asdict(count), args.json, f"{count.moved} moved, {count.kept} kept")
    return 0


def _path(args: argparse.Namespace) -> str:
    return f"/sessions/{quote(args.session_id, safe='')}"


def _line(session: dict[str, Any]) -> str:
    tasks = session["tasks"]
    counts = f"{tasks['done']} of {tasks['total']} done, {tasks['failed']} failed"
    money = f"{session['cost_usd']:.6f} of {session['budget_usd']:g} USD"
    named = (session["session_id"], session.get("owner", ""))  # an operator reads the owner, too
    return "  ".join(
        one_line(part)
        for part in (*named, session["status"], counts, money, *_labels(session), session["reason"])
        if part
    )


def _labels(session: dict[str, Any]) -> list[str]:
    return [f"[{', '.join(session['labels'])}]"] if session.get("labels") else []


def _finding(finding: dict[str, Any]) -> str:
    text = f"{finding['confidence']:.2f}  {finding['agent']}  {finding['text']}  ({', '.join(finding['sources'])})"
    return one_line(text)


def _print(document: Any, as_json: bool, text: str) -> None:
    print(json_text(document) if as_json else printable(text))
