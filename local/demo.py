"""The main job, end to end: platform up, dev stack deployed, a ten-agent session, its report, everything down again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psycopg

from infrafabric.cli.api_client import ApiClient, ApiKeyAuthentication
from local import platform, stack
from local.deploy import Deployment
from local.view import Quiet, View, by_component

GOAL = "What does it take to move a multi-tenant yacht documentation platform (NaviDocs) to AWS, and what will it cost?"
_LOOK_S = 0.1
_FINAL = ("COMPLETE", "PARTIAL", "FAILED", "CANCELLED")
_ROWS_S = 20.0  # the history is written behind the session's end


def run(home: Path, view: View, *, goal: str | None, agents: int) -> int:
    """Exit status 0 when the session is COMPLETE, 1 otherwise.

    Raises:
        local.commands.EXPECTED: what kept it from running, after everything was stopped.
    """
    with platform.running(home, progress=view.part) as here:
        deployed = stack.put_up(here, report=view.step)
        view.deployed(deployed.deployment)
        view.part("functions")
        stack.warm(here, deployed)
        document = _session(here, deployed, view, goal or GOAL, agents)
    if isinstance(view, Quiet):
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        view.ended(document)
    return 0 if document["session"]["status"] == "COMPLETE" else 1


def _session(here: platform.Platform, deployed: stack.Deployed, view: View, goal: str, agents: int) -> dict[str, Any]:
    client = ApiClient(deployed.outputs["api_url"], ApiKeyAuthentication(deployed.outputs["api_key"]))
    started = time.monotonic()
    session_id = client.call("POST", "/sessions", {"goal": goal, "agents": agents})["session_id"]
    session = client.call("GET", f"/sessions/{session_id}")
    while session["status"] not in _FINAL:
        view.session(session)
        time.sleep(_LOOK_S)
        session = client.call("GET", f"/sessions/{session_id}")
    view.session(session)
    seconds = time.monotonic() - started
    report = client.call("GET", f"/sessions/{session_id}/report")
    results = _results(here, deployed, report)
    return {
        "session": session,
        "seconds": round(seconds, 3),
        "report": report,
        "tokens": sum(row["tokens"] for row in report["results"]),
        "timeline": results,
        "resources": _resources(deployed.deployment),
        "places": _places(here, deployed, session_id, report),
    }


def _results(here: platform.Platform, deployed: stack.Deployed, report: dict[str, Any]) -> list[dict[str, Any]]:
    """When each agent worked on what, from the stored results."""
    s3, bucket = here.client("s3", deployed.region), deployed.outputs["results_bucket"]
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


def _places(
    here: platform.Platform, deployed: stack.Deployed, session_id: str, report: dict[str, Any]
) -> dict[str, str]:
    bucket = deployed.outputs["results_bucket"]
    keys = [result["s3_key"] for result in report["results"] if result["s3_key"]]
    folder = keys[0].split("/agents/")[0] if keys else "sessions"
    places = {
        "results (S3)": f"s3://{bucket}/{folder}/agents/…  {len(keys)} objects",
        "report (S3)": f"s3://{bucket}/{folder}/report.json",
        "status (DynamoDB)": f"{deployed.outputs['sessions_table']}, pk = {session_id}",
    }
    if here.database_url:
        places["history (SQL)"] = _history(here.database_url, session_id, len(keys))
    return places


def _history(url: str, session_id: str, expected: int) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + _ROWS_S
        while True:
            tasks, sessions = (
                connection.execute(query, (session_id,)).fetchone()
                for query in (
                    "SELECT count(*) FROM task_results WHERE session_id = %s",
                    "SELECT count(*) FROM sessions WHERE session_id = %s",
                )
            )
            done = tasks and sessions and tasks[0] >= expected and sessions[0]
            if done or time.monotonic() > deadline:
                rows = (tasks[0] if tasks else 0, sessions[0] if sessions else 0)
                return f"{rows[0]} rows in task_results, {rows[1]} in sessions"
            time.sleep(_LOOK_S)


def _resources(deployment: Deployment) -> dict[str, Any]:
    return {
        "created": sum(deployment.count("created").values()),
        "recorded_only": dict(deployment.count("recorded")),
        "by_component": {
            component: {outcome: dict(kinds) for outcome, kinds in found.items()}
            for component, found in by_component(deployment).items()
        },
    }
