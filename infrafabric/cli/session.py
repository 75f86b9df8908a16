"""``fabric session``: start sessions, look at them, read their reports, bring dead letters back.

The environment says which stack is meant: FABRIC_API_URL and FABRIC_API_KEY (outputs ``api_url`` and ``api_key``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from infrafabric.cli.api_client import ApiClient, ApiError

_LOOK_S = 1.0
_FINAL = ("COMPLETE", "PARTIAL", "FAILED", "CANCELLED")


def register(groups: Any) -> None:
    """Adds the group to ``fabric``'s parser."""
    group = groups.add_parser("session", help="start, watch and cancel sessions", description=__doc__)
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    start = _command(commands, "start", "start a session", _start)
    what = start.add_mutually_exclusive_group(required=True)
    what.add_argument("--goal", help="what to find out; the coordinator splits it into tasks")
    what.add_argument("--task", action="append", dest="tasks", metavar="TEXT", help="a task; may be given many times")
    start.add_argument("--id", dest="session_id", help="the session's id, and the key that makes a repeat harmless")
    start.add_argument("--agents", type=int)
    start.add_argument("--deadline", type=int, dest="deadline_s", metavar="SECONDS")
    start.add_argument("--budget", type=float, dest="budget_usd", metavar="USD")
    start.add_argument("--quorum", type=float, metavar="0..1")
    start.add_argument("--watch", action="store_true", help="wait for the end and print the report")
    _command(commands, "list", "the newest sessions", _list)
    for name, text, run in (
        ("show", "where a session stands", _show),
        ("watch", "wait for a session's end and print its report", _watch),
        ("report", "a session's report", _report),
        ("cancel", "cancel a session", _cancel),
    ):
        _command(commands, name, text, run).add_argument("session_id", metavar="ID")
    redrive = _command(commands, "redrive", "move an agent's dead letters back into its queue", _redrive)
    redrive.add_argument("--dlq-url", required=True, help="output agents.hNN.dlq_url")
    redrive.add_argument("--queue-url", required=True, help="output agents.hNN.queue_url")
    redrive.add_argument("--reason", help="only letters refused for this reason, as in 'stale'")


def _command(commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="print the API's JSON")
    parser.set_defaults(run=_saying_problems(run))
    return parser


def _saying_problems(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def safely(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except ApiError as error:
            print(f"fabric session: {error}", file=sys.stderr)
            return 1 if error.status else 2

    return safely


def _client() -> ApiClient:
    url, key = os.environ.get("FABRIC_API_URL"), os.environ.get("FABRIC_API_KEY")
    if not url or not key:
        raise ApiError(
            "FABRIC_API_URL and FABRIC_API_KEY are not set: they are the stack's outputs api_url and api_key "
            "(pulumi stack output --show-secrets, or fabric local up)"
        )
    return ApiClient(url.rstrip("/"), key)


def _start(args: argparse.Namespace) -> int:
    names = ("session_id", "goal", "tasks", "agents", "deadline_s", "budget_usd", "quorum")
    body = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    session = _client().call("POST", "/sessions", body)
    args.session_id = session["session_id"]
    if args.watch:
        return _watch(args)
    _print(session, args.json, f"{session['session_id']}  {session['status']}")
    return 0


def _list(args: argparse.Namespace) -> int:
    found = _client().call("GET", "/sessions")
    _print(found, args.json, "\n".join(_line(session) for session in found["sessions"]) or "no sessions yet")
    return 0


def _show(args: argparse.Namespace) -> int:
    session = _client().call("GET", f"/sessions/{args.session_id}")
    _print(session, args.json, _line(session))
    return 0


def _watch(args: argparse.Namespace) -> int:
    client, said = _client(), ""
    while True:
        session = client.call("GET", f"/sessions/{args.session_id}")
        if _line(session) != said:
            said = _line(session)
            print(said, file=sys.stderr)
        if session["status"] in _FINAL:
            return _report(args)
        time.sleep(_LOOK_S)


def _report(args: argparse.Namespace) -> int:
    report = _client().call("GET", f"/sessions/{args.session_id}/report")
    _print(report, args.json, "\n".join([report["summary"], "", *map(_finding, report["findings"])]))
    return 0 if report["status"] == "COMPLETE" else 1


def _cancel(args: argparse.Namespace) -> int:
    session = _client().call("DELETE", f"/sessions/{args.session_id}")
    _print(session, args.json, f"{session['session_id']}  {session['status']}")
    return 0


def _redrive(args: argparse.Namespace) -> int:
    """Message by message, because an attribute says why each is there; SQS's own redrive would take all."""
    import boto3  # noqa: PLC0415  only this command needs it

    sqs, moved, kept, started_ms = boto3.client("sqs"), 0, 0, time.time_ns() // 1_000_000
    while batch := _received(sqs, args.dlq_url):
        for letter in batch:
            if int(letter["Attributes"]["SentTimestamp"]) > started_ms:
                kept += 1  # refused again meanwhile: moving it once more would never end
                continue
            reason = letter.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
            if args.reason and reason != args.reason:
                kept += 1
                continue
            # Sent before deleted: an interruption leaves a copy too many, never one too few, and agents know repeats.
            sqs.send_message(QueueUrl=args.queue_url, MessageBody=letter["Body"])
            sqs.delete_message(QueueUrl=args.dlq_url, ReceiptHandle=letter["ReceiptHandle"])
            moved += 1
    _print({"moved": moved, "kept": kept}, args.json, f"{moved} moved, {kept} kept")
    return 0


def _received(sqs: Any, url: str) -> list[dict[str, Any]]:
    answer = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["SentTimestamp"],
        VisibilityTimeout=60,
        WaitTimeSeconds=0,
    )
    return answer.get("Messages", [])


def _line(session: dict[str, Any]) -> str:
    tasks = session["tasks"]
    counts = f"{tasks['done']} of {tasks['total']} done, {tasks['failed']} failed"
    money = f"{session['cost_usd']:.6f} of {session['budget_usd']:g} USD"
    return "  ".join(
        part for part in (session["session_id"], session["status"], counts, money, session["reason"]) if part
    )


def _finding(finding: dict[str, Any]) -> str:
    return f"{finding['confidence']:.2f}  {finding['agent']}  {finding['text']}  ({', '.join(finding['sources'])})"


def _print(document: Any, as_json: bool, text: str) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False) if as_json else text)
