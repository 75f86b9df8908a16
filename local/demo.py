"""Demo: start the platform, deploy the dev stack, run a session, print its report, stop the platform."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psycopg

from infrafabric.cli.api_client import ApiClient, ApiKeyAuthentication
from infrafabric.printable import json_text
from infrafabric.swarm.session_ids import internal_id
from local import platform, stack
from local.deploy import Deployment
from local.view import Quiet, View, by_component

GOAL = "What does it take to move a multi-tenant yacht documentation platform (NaviDocs) to AWS, and what will it cost?"
_POLL_S = 0.1
_FINAL = ("COMPLETE", "PARTIAL", "FAILED", "CANCELLED")
_HISTORY_TIMEOUT_S = 20.0  # the recorder writes rows after the session has ended


def run(home: Path, view: View, *, goal: str | None, agents: int) -> int:
    """Run the demo. Return exit status 0 if the session is COMPLETE, else 1.

    Args:
        goal: goal of the session; None for the built-in goal.

    Raises:
        local.commands.EXPECTED: the platform, the deployment or the session failed; the platform is stopped.
    """
    with platform.running(home, progress=view.starting) as running:
        deployed = stack.deploy_stack(running, report=view.step)
        view.deployed(deployed.deployment)
        view.starting("functions")
        stack.warm_up(running, deployed)
        document = _run_session(running, deployed, view, goal or GOAL, agents)
    if isinstance(view, Quiet):
        print(json_text(document))
    else:
        view.ended(document)
    return 0 if document["session"]["status"] == "COMPLETE" else 1


def _run_session(
    running: platform.Platform, deployed: stack.EmulatedStack, view: View, goal: str, agents: int
) -> dict[str, Any]:
    client = ApiClient(deployed.outputs["api_url"], ApiKeyAuthentication(deployed.outputs["api_key"]))
    started = time.monotonic()
    session_id = client.call("POST", "/sessions", {"goal": goal, "agents": agents})["session_id"]
    session = client.call("GET", f"/sessions/{session_id}")
    while session["status"] not in _FINAL:
        view.session(session)
        time.sleep(_POLL_S)
        session = client.call("GET", f"/sessions/{session_id}")
    view.session(session)
    seconds = time.monotonic() - started
    report = client.call("GET", f"/sessions/{session_id}/report")
    timeline = _timeline(running, deployed, report)
    return {
        "session": session,
        "seconds": round(seconds, 3),
        "report": report,
        "tokens": sum(row["tokens"] for row in report["results"]),
        "timeline": timeline,
        "resources": _resources(deployed.deployment),
        "places": _locations(running, deployed, internal_id(session_id, _owner(deployed)), report),
    }


def _timeline(
    running: platform.Platform, deployed: stack.DeployedStack, report: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return agent, task, times, tokens and cost per stored result, by agent and start."""
    s3, bucket = running.client("s3", deployed.region), deployed.outputs["results_bucket"]
    rows = []
    for result in report["results"]:
        if not result["s3_key"]:
            continue
        stored = json.loads(s3.get_object(Bucket=bucket, Key=result["s3_key"])["Body"].read())
        rows.append(
            {
                "agent": result["agent"],
                "task_id": stored["task_id"],
                "status": result["status"],
                "started_ms": stored["started_ms"],
                "ended_ms": stored["ended_ms"],
                "tokens": result["tokens"],
                "cost_usd": result["cost_usd"],
            }
        )
    return sorted(rows, key=lambda row: (row["agent"], row["started_ms"]))


def _owner(deployed: stack.DeployedStack) -> str:
    """Return the client whose key the demo sends."""
    key, clients = deployed.outputs["api_key"], deployed.outputs["api_keys"]
    return next(client for client, keys in clients.items() if key in keys.values())


def _locations(
    running: platform.Platform, deployed: stack.DeployedStack, session_id: str, report: dict[str, Any]
) -> dict[str, str]:
    bucket = deployed.outputs["results_bucket"]
    keys = [result["s3_key"] for result in report["results"] if result["s3_key"]]
    folder = keys[0].split("/agents/")[0] if keys else "sessions"
    locations = {
        "results (S3)": f"s3://{bucket}/{folder}/agents/…  {len(keys)} objects",
        "report (S3)": f"s3://{bucket}/{folder}/report.json",
        "status (DynamoDB)": f"{deployed.outputs['sessions_table']}, pk = {session_id}",
    }
    if running.database_url:
        locations["history (SQL)"] = _history(running.database_url, session_id, len(keys))
    return locations


def _history(url: str, session_id: str, expected: int) -> str:
    """Wait for the recorder to write ``expected`` results, and describe the session's rows in the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + _HISTORY_TIMEOUT_S
        while True:
            tasks, sessions = (
                connection.execute(query, (session_id,)).fetchone()
                for query in (
                    "SELECT count(*) FROM task_results WHERE session_id = %s",
                    "SELECT count(*) FROM sessions WHERE session_id = %s",
                )
            )
            complete = tasks and sessions and tasks[0] >= expected and sessions[0]
            if complete or time.monotonic() > deadline:
                rows = (tasks[0] if tasks else 0, sessions[0] if sessions else 0)
                return f"{rows[0]} rows in task_results, {rows[1]} in sessions"
            time.sleep(_POLL_S)


def _resources(deployment: Deployment) -> dict[str, Any]:
    return {
        "created": sum(deployment.count("created").values()),
        "recorded_only": dict(deployment.count("recorded")),
        "by_component": {
            component: {outcome: dict(kinds) for outcome, kinds in outcomes.items()}
            for component, outcomes in by_component(deployment).items()
        },
    }
