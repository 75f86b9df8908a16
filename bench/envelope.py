"""Cost of the message envelope relative to a raw Ed25519 signature: ``python -m bench.envelope [--json]``.

The benchmark compares sign+encode and parse+verify with Ed25519 from ``cryptography`` on the same signed bytes. Both
alternate in rounds of a few milliseconds, shorter than a scheduler's time slice, and the fastest round of each counts,
so that other processes on the machine affect neither.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console
from rich.table import Table

from infrafabric.bus.envelope import Citation, Performative, compose, parse, sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry
from infrafabric.bus.uris import new_message_id
from infrafabric.bus.verify import verify

TARGET = 0.7  # minimum rate, relative to the raw signature
COORDINATOR, H01 = "if://agent/coordinator", "if://agent/h01"
AT = 1_764_000_000_000


def measure(*, rounds: int = 240, calls: int = 25) -> dict[str, Any]:
    """Measure microseconds per call and the ratio of rates (1.0: the envelope costs nothing) for both directions.

    ``{"message_bytes", "signed_bytes", "target", "sign": {"envelope_us", "raw_us", "ratio", "met"}, "verify": {…}}``
    """
    key = Ed25519PrivateKey.generate()
    signer = PemSigner(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), principal=COORDINATOR)
    registry, public = Registry({COORDINATOR: signer.public_key}), key.public_key()
    draft = request()
    wire = sign(draft, signer)
    envelope = parse(wire)
    return {
        "message_bytes": len(wire),
        "signed_bytes": len(envelope.signed),
        "target": TARGET,
        "sign": _compare(lambda: sign(draft, signer), lambda: key.sign(envelope.signed), rounds, calls),
        "verify": _compare(
            lambda: verify(wire, registry=registry, now_ms=AT, receiver=H01),
            lambda: public.verify(envelope.signature, envelope.signed),
            rounds,
            calls,
        ),
    }


def request() -> dict[str, Any]:
    """Return a request for one task, as a draft without signature."""
    return compose(
        performative=Performative.REQUEST,
        sender=COORDINATOR,
        receiver=H01,
        conversation_id="if://conversation/navidocs-research-2025-11-14",
        message_id=new_message_id(),
        timestamp=AT,
        reply_by=AT + 1_800_000,
        content={
            "task": "Analyze AWS EC2 pricing models",
            "context": {"use_case": "NaviDocs deployment", "target_users": 100, "monthly_budget_usd": 1000},
            "evidence": ["s3://if-state/session-1/market-analysis.json", "s3://if-state/session-1/requirements.md"],
        },
        citation=Citation("if://analysis/navidocs-infrafabric-2025-11-14", "sha256:" + "ab" * 32),
    )


def _compare(ours: Callable[[], object], raw: Callable[[], object], rounds: int, calls: int) -> dict[str, Any]:
    times = [(_round_us(ours, calls), _round_us(raw, calls)) for _ in range(rounds)]
    envelope_us, raw_us = (min(column) for column in zip(*times, strict=True))
    ratio = raw_us / envelope_us
    return {
        "envelope_us": round(envelope_us, 2),
        "raw_us": round(raw_us, 2),
        "ratio": round(ratio, 3),
        "met": ratio >= TARGET,
    }


def _round_us(call: Callable[[], object], calls: int) -> float:
    start_ns = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - start_ns) / calls / 1000


def main() -> int:
    """Measure and print a table or JSON. Return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.envelope", description="Cost of the message envelope relative to raw Ed25519"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    figures = measure()
    if args.json:
        print(json.dumps(figures))
        return 0
    table = Table(title=f"IF.bus envelope, {figures['message_bytes']} bytes, relative to raw Ed25519")
    for column in ("", "envelope µs", "raw µs", f"ratio (target ≥ {TARGET})", ""):
        table.add_column(column, justify="right")
    for name, label in (("sign", "sign + encode"), ("verify", "parse + verify")):
        row = figures[name]
        verdict = "met" if row["met"] else "missed"
        table.add_row(label, str(row["envelope_us"]), str(row["raw_us"]), str(row["ratio"]), verdict)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
