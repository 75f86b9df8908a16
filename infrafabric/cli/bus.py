"""``fabric bus``: verify and sign IF.bus messages by hand. docs/if-bus.md defines the envelope."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infrafabric.bus.canonical import MAX_BYTES, loads
from infrafabric.bus.envelope import sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import BadRegistry, Registry
from infrafabric.bus.signing import SigningError
from infrafabric.bus.structure import SCHEMA, check_unsigned, is_principal
from infrafabric.bus.uris import agent_uri, new_message_id
from infrafabric.bus.verify import verify
from infrafabric.printable import one_line
from infrafabric.recorder.proof import BadLineError, HistoryLine, prove

OK, INVALID, BAD_INPUT = 0, 1, 2
_HISTORY_QUERY = "export lines with psql -AtX -c 'SELECT row_to_json(one) FROM signed_history AS one'"


class _BadInput(Exception):
    """Argument or file that cannot be used."""


def register(groups: Any) -> None:
    """Add the group to ``fabric``'s parser; ``groups`` is the result of ``add_subparsers``."""
    group = groups.add_parser("bus", help="verify and sign IF.bus messages", description="IF.bus messages by hand")
    commands = group.add_subparsers(metavar="COMMAND", required=True)
    verifier = commands.add_parser(
        "verify",
        help="verify the message on standard input",
        description="Verifies the message on standard input and prints {valid, reason, detail} as JSON. "
        "With --history, verifies rows of history and prints {row, valid, reason, detail} for each. "
        "Exit status: 0 valid, 1 invalid (one row at least), 2 not JSON or bad usage.",
    )
    verifier.add_argument("--registry", required=True, type=Path, metavar="FILE", help="JSON: principal to public key")
    verifier.add_argument("--receiver", metavar="URI", help="principal of the reader (default: any)")
    verifier.add_argument("--at", type=int, metavar="MS", help="time of the age check, Unix ms (default: now)")
    verifier.add_argument(
        "--history",
        action="store_true",
        help="standard input has lines of the view signed_history as JSON; a verdict is printed per line",
    )
    verifier.set_defaults(run=_verify)
    signer = commands.add_parser(
        "sign",
        help="sign the message on standard input",
        description="Signs the JSON message on standard input and prints it. "
        "Exit status: 0 signed, 1 every reader would refuse the message, 2 not JSON or bad usage.",
    )
    signer.add_argument("--key", required=True, type=Path, metavar="FILE", help="Ed25519 private key, PEM (PKCS #8)")
    signer.add_argument("--fill", action="store_true", help="fill in schema, message_id and timestamp if missing")
    signer.set_defaults(run=_sign)


def _verify(args: argparse.Namespace) -> int:
    if args.receiver is not None and not is_principal(args.receiver):
        return _complain("verify", f"--receiver {args.receiver!r}: a principal is {agent_uri('<name>')}")
    if args.history and (args.receiver is not None or args.at is not None):
        return _complain("verify", "--history takes neither --receiver nor --at: the recorder judged receiver and age")
    try:
        registry = _registry(args.registry)
        if args.history:
            return _verify_history(registry)
    except _BadInput as error:
        return _complain("verify", str(error))
    now_ms = time.time_ns() // 1_000_000 if args.at is None else args.at
    try:
        envelope = verify(_message(), registry=registry, now_ms=now_ms, receiver=args.receiver)
    except Refused as refusal:
        _print({"valid": False, "reason": refusal.reason, "detail": refusal.detail})
        return BAD_INPUT if refusal.reason is Reason.NOT_JSON else INVALID
    _print({"valid": True, "reason": "ok", "detail": f"{envelope.performative} {envelope.message_id}"})
    return OK


def _verify_history(registry: Registry) -> int:
    """Print a verdict for each row of history on standard input.

    Raises:
        _BadInput: a line that the view signed_history cannot have, or no line.
    """
    status = None
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            verdict = prove(HistoryLine.parse(line.decode()), registry)
        except (BadLineError, UnicodeDecodeError) as error:
            problem = str(error) if isinstance(error, BadLineError) else "not UTF-8"
            raise _BadInput(f"standard input, line {number}: {problem}; {_HISTORY_QUERY}") from None
        _print(asdict(verdict))
        status = INVALID if not verdict.valid else OK if status is None else status
    if status is None:
        raise _BadInput(f"standard input has no line; {_HISTORY_QUERY}")
    return status


def _sign(args: argparse.Namespace) -> int:
    try:
        pem = _read(args.key)
        message = loads(_message())
        if args.fill and isinstance(message, dict):
            now_ms = time.time_ns() // 1_000_000
            message = {"schema": SCHEMA, "message_id": new_message_id(), "timestamp": now_ms, **message}
        check_unsigned(message)
        wire = sign(message, PemSigner(pem, principal=message["sender"]))
    except _BadInput as error:
        return _complain("sign", str(error))
    except SigningError as error:
        return _complain("sign", f"--key {args.key}: {error}")
    except Refused as refusal:
        hint = " (--fill adds schema, message_id and timestamp)" if refusal.reason is Reason.MISSING_MEMBER else ""
        _complain("sign", f"{refusal}{hint}")
        return BAD_INPUT if refusal.reason is Reason.NOT_JSON else INVALID
    sys.stdout.buffer.write(wire + b"\n")
    return OK


def _message() -> bytes:
    return sys.stdin.buffer.read(MAX_BYTES + 1)  # one byte beyond the limit shows that the message is too large


def _registry(path: Path) -> Registry:
    try:
        return Registry.parse(_read(path))
    except BadRegistry as error:
        raise _BadInput(f"{path}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _BadInput(f"{path}: {error.strerror}") from None


def _print(verdict: dict[str, Any]) -> None:
    print(json.dumps(verdict))


def _complain(command: str, text: str) -> int:
    print(f"fabric bus {command}: {one_line(text)}", file=sys.stderr)
    return BAD_INPUT
