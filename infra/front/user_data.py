"""User data of the application's instances, and the placeholder application, which runs until the first release.

The same settings give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_GAP = re.compile(r"@[A-Z0-9_]+@")
LONGEST = 16_384  # EC2's limit in bytes, before base64


def render(*, region: str, bucket: str, key: str, sha256: str, environment: Mapping[str, str], over_ipv6: bool) -> str:
    """Return the instance's start script in base64.

    Args:
        over_ipv6: use the IPv6 endpoints of Systems Manager.

    Raises:
        ValueError: a value contains a character that would break out of its line, or the script exceeds EC2's limit.
    """
    lines = [f"{name}={value}" for name, value in sorted(environment.items())]
    odd = [line for line in (*lines, region, bucket, key, sha256) if re.search(r"['\"\\\s$`@]", line)]
    if odd:
        raise ValueError(f"user data cannot contain {odd[0]!r}: no quotes, spaces, backslashes, dollars or at-signs")
    session_manager = _fill("session_manager.sh", REGION=region) if over_ipv6 else ""
    script = _fill(
        "app_user_data.sh",
        REGION=region,
        BUCKET=bucket,
        KEY=key,
        SHA256=sha256,
        ENVIRONMENT="\n".join(lines),
        SESSION_MANAGER=session_manager,
    )
    if len(script.encode()) > LONGEST:
        raise ValueError(
            f"user data has {len(script.encode())} bytes, but EC2 allows {LONGEST}: shorten the templates or the values"
        )
    return base64.b64encode(script.encode()).decode()


def _fill(template: str, **values: str) -> str:
    return _GAP.sub(lambda gap: values[gap.group().strip("@")], (_TEMPLATES / template).read_text())


@cache
def placeholder() -> bytes:
    """Return a tar archive with the executable ``run``.

    The archive is not compressed, because compressors differ, and the archive's digest is part of its name.
    """
    program = (_TEMPLATES / "placeholder_app.py").read_bytes()
    entry = tarfile.TarInfo("run")
    entry.size, entry.mode, entry.mtime = len(program), 0o755, 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


def placeholder_digest() -> str:
    """Return the SHA-256 of the placeholder archive."""
    return hashlib.sha256(placeholder()).hexdigest()
