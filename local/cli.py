"""``fabric local up|down|status`` and ``fabric demo``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn


def register(groups: Any) -> None:
    """Adds ``fabric local`` to ``fabric``'s parser."""
    group = groups.add_parser("local", help="the platform on this machine", description="The platform on this machine")
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    up = _command(commands, "up", "start the platform, deploy a stack, and keep it running", "up")
    up.add_argument("--stack", default="dev", help="which Pulumi.<stack>.yaml (default: dev)")
    up.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="another value for a setting of the stack, such as fleet.size=3; may be given again",
    )  # fmt: skip
    _command(commands, "down", "stop the platform", "down")
    _command(commands, "status", "whether it runs, and where", "status")


def register_demo(groups: Any) -> None:
    """Adds ``fabric demo``."""
    demo = _command(groups, "demo", "deploy the dev stack here, run a ten-agent session, print its report", "demo")
    demo.add_argument("--goal", help="what the agents find out")
    demo.add_argument("--agents", type=int, default=10, help="how many agents (default: 10)")


def _command(commands: Any, name: str, text: str, function: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.set_defaults(run=_late(function))
    return parser


def _late(function: str) -> Callable[[argparse.Namespace], int]:
    """Loads the platform, and with it Pulumi, only when a command runs it."""

    def run(args: argparse.Namespace) -> int:
        from local import commands  # noqa: PLC0415

        be_interruptible()
        try:
            return getattr(commands, function)(args)
        except commands.EXPECTED as error:
            print(f"fabric: {error}", file=sys.stderr)
            return 1

    return run


def be_interruptible() -> None:
    """Being ended is like Ctrl-C: what was started is stopped on the way out. Neither is lost."""
    signal.signal(signal.SIGTERM, _end)
    sys.unraisablehook = _interrupt_again


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _interrupt_again(unraisable: Any) -> None:
    """An interruption that meets a finalizer comes again once that is done.

    Python drops what a finalizer raises, and collecting what a deployment leaves takes long enough to be met. As a
    signal, because nothing else wakes a thread that waits; and not Ctrl-C's, which a process in the background ignores.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        assert main is not None, "it runs"
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGTERM)).start()
    else:
        sys.__unraisablehook__(unraisable)
