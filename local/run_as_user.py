"""Set user and group ID of this process, then replace it by a command: ``python run_as_user.py ID COMMAND ...``.

``subprocess`` has an option ``user``, but with it Python starts the process by ``fork`` instead of ``vfork``, and a
fork runs the fork handlers of every library. Those of gRPC, which Pulumi's SDK loads, restart gRPC's threads in the
child, between ``fork`` and ``exec``; from time to time the child crashes there.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> None:
    """Run the command ``arguments[1:]`` with user and group ID ``arguments[0]``, without supplementary groups."""
    identity, command = int(arguments[0]), arguments[1:]
    os.setgroups([])
    os.setgid(identity)
    os.setuid(identity)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
