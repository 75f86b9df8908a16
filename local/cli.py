"""Commands of ``fabric local`` and ``fabric demo``: arguments and signals."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn


def register(groups: Any) -> None:
    """Add ``fabric local`` to the parser of ``fabric``."""
    group = groups.add_parser("local", help="the platform on this machine", description="The platform on this machine")
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    up = _command(commands, "up", "start the platform, deploy a stack, and keep it running", "up")
    up.add_argument("--stack", default="dev", help="name of the stack, as in Pulumi.<stack>.yaml (default: dev)")
    set_help = "override a setting of the stack, such as fleet.size=3; can be repeated"
    up.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help=set_help)
    engine_help = "let the Pulumi CLI deploy the stack, with its state below .local, as it would deploy to AWS"
    up.add_argument("--engine", choices=["pulumi"], help=engine_help)
    _command(commands, "down", "stop the platform", "down")
    _command(commands, "status", "show whether the platform runs, and its endpoint", "status")
    env = _command(commands, "env", 'print the variables of the platform: eval "$(fabric local env)"', "env")
    env.add_argument("--stack", help="stack of a platform with several (default: the one that was asked for)")
    text = "run a command of the Pulumi CLI on the platform: fabric local pulumi -- preview --diff"
    pulumi = commands.add_parser("pulumi", help=text, description=text)
    pulumi.add_argument("--stack", help="stack to work on (default: the one that was asked for)")
    pulumi.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help=set_help)
    pulumi.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="command and options of pulumi")
    pulumi.set_defaults(run=_lazy("pulumi_command"))


def register_demo(groups: Any) -> None:
    """Add ``fabric demo`` to the parser of ``fabric``."""
    demo = _command(groups, "demo", "deploy the dev stack on this machine, run a session, print the report", "demo")
    demo.add_argument("--goal", help="goal of the session")
    demo.add_argument("--agents", type=int, default=10, help="number of agents (default: 10)")


def _command(commands: Any, name: str, text: str, function: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.set_defaults(run=_lazy(function))
    return parser


def _lazy(function: str) -> Callable[[argparse.Namespace], int]:
    """Return a command that imports ``local.commands``, and with it Pulumi, only when the command runs."""

    def run(args: argparse.Namespace) -> int:
        from local import commands  # noqa: PLC0415

        handle_interruptions()
        try:
            return getattr(commands, function)(args)
        except commands.EXPECTED as error:
            print(f"fabric: {error}", file=sys.stderr)
            return 1

    return run


def handle_interruptions() -> None:
    """Handle SIGTERM like Ctrl-C, so that a command stops its processes, and never lose either signal."""
    signal.signal(signal.SIGTERM, _raise_interrupt)
    sys.unraisablehook = _repeat_interrupt


def _raise_interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _repeat_interrupt(unraisable: Any) -> None:
    """Send SIGTERM to the main thread again if a finalizer has swallowed a KeyboardInterrupt.

    Python discards exceptions in finalizers, and the garbage collection after a deployment takes long enough for an
    interruption to fall into it. Only a signal wakes a waiting thread; SIGINT is ignored by background processes.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        assert main is not None, "the main thread runs"
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGTERM)).start()
    else:
        sys.__unraisablehook__(unraisable)
