"""``fabric preview``: what a reviewer has to know of a ``pulumi preview``.

``summarize`` reads the output of ``pulumi preview --json``, one file per stack. With
PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true the output also has the verdict of policy packs. Exit status: 0 done, 1 a
preview fails or violates a mandatory rule, 2 bad usage or input.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any


def register(groups: Any) -> None:
    """Add the command to ``fabric``'s parser."""
    preview = groups.add_parser("preview", help="summary of a pulumi preview for its reviewer", description=__doc__)
    commands = preview.add_subparsers(metavar="COMMAND", required=True)
    summarize = commands.add_parser("summarize", help="print counts, deleted data, policy, cost, effect on sessions")
    summarize.add_argument("files", nargs="*", metavar="FILE", help="output of pulumi preview --json, one per stack")
    summarize.add_argument("--cost", metavar="FILE", help="output of fabric cost --against … --json")
    form = summarize.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print the comment for a pull request")
    summarize.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from infra.preview import command  # noqa: PLC0415  other commands do not need it

    try:
        return command.run(args)
    except command.BadPreviewError as error:
        print(f"fabric preview: {error}", file=sys.stderr)
        return 2
