"""``fabric``: command line for operators and users of the platform."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import entry_points
from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class _Parser(argparse.ArgumentParser):
    """argparse parser with one-line usage errors, and module docstrings without reST marks."""

    def format_help(self) -> str:
        return super().format_help().replace("``", "")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns its exit status: 0 done, 1 negative result, 2 bad usage or input, 130 interrupted.

    Raises:
        SystemExit: 2 for arguments that cannot be parsed, 0 after --help.
    """
    parser = _Parser(prog="fabric", description="InfraFabric on AWS")
    groups = parser.add_subparsers(metavar="GROUP", required=True)
    # Entry points, because the local platform adds commands and this package must not import it.
    for group in sorted(entry_points(group="infrafabric.commands"), key=lambda entry: entry.name):
        try:
            register = group.load()
        except ModuleNotFoundError as error:
            # The checkout moved a module after its entry points were installed.
            parser.error(f"fabric {group.name} cannot be loaded ({error}): run make setup")
        register(groups)
    args = parser.parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has ended. Without this the interpreter's last flush would report the broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
