"""``fabric``: what an operator does with the platform from a shell."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import entry_points
from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class _Parser(argparse.ArgumentParser):
    """argparse, with a usage error in one line, and modules' docstrings as they read in a shell."""

    def format_help(self) -> str:
        return super().format_help().replace("``", "")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Runs one command; its exit status: 0 done, 1 the answer is no, 2 bad usage or input, 130 interrupted.

    Raises:
        SystemExit: 2 for arguments that cannot be parsed, 0 after --help.
    """
    parser = _Parser(prog="fabric", description="InfraFabric on AWS")
    groups = parser.add_subparsers(metavar="GROUP", required=True)
    # Entry points, because the local platform adds its commands and this package must not import it.
    for group in sorted(entry_points(group="infrafabric.commands"), key=lambda entry: entry.name):
        group.load()(groups)
    args = parser.parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has gone. Without this the interpreter's last flush would complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
