"""Diagnostics of earlier runs: the same configuration, Terraform and provider give the same diagnostics again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

Diagnostics = list[dict[str, Any]]
VERDICTS = Path(__file__).resolve().parents[2] / ".build" / "provider"


def diagnostics_of(
    documents: list[dict[str, Any]], terraform: Path, folder: Path | None, run: Callable[[], Diagnostics]
) -> Diagnostics:
    """Return the diagnostics kept in ``folder`` for configurations, or those of ``run``, which are then kept.

    Args:
        documents: configurations, which name the provider's version.
        terraform: program, told from another version by its size and time.
        folder: None: nothing is kept.
        run: runs Terraform on the configurations.
    """
    if folder is None:
        return run()
    program = terraform.stat()
    text = json.dumps([documents, program.st_size, program.st_mtime_ns], sort_keys=True)
    kept = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    diagnostics = run()
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=folder, delete=False) as unfinished:
        json.dump(diagnostics, unfinished)
    Path(unfinished.name).replace(kept)  # another process never reads half a file
    return diagnostics
