"""Implementation of ``fabric preview summarize``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from infra.preview import printed
from infra.preview.events import BadPreviewError, Preview, parse


def run(args: argparse.Namespace) -> int:
    """Print the summary; return exit status 1 if a preview fails or violates a mandatory rule.

    Raises:
        BadPreviewError: a file cannot be read, or is not what its option needs.
    """
    if not args.files and not args.cost:
        raise BadPreviewError("nothing to summarize: pass the output of pulumi preview --json, one file per stack")
    previews = [_preview(Path(name), args) for name in args.files]
    duplicates = {p.stack for p in previews if sum(other.stack == p.stack for other in previews) > 1}
    if duplicates:
        raise BadPreviewError(f"{', '.join(sorted(duplicates))}: has two previews: pass one file per stack")
    costs = _costs(Path(args.cost)) if args.cost else {}
    if args.json:
        print(json.dumps(printed.as_json(previews, costs), indent=2))
    else:
        print(printed.markdown(previews, costs) if args.markdown else printed.text(previews, costs))
    return 1 if any(map(_fails, previews)) else 0


def _preview(path: Path, args: argparse.Namespace) -> Preview:
    try:
        return parse(_read(path), str(path))
    except BadPreviewError as error:
        if not args.markdown:
            raise
        # The comment is written all the same: the one of an earlier preview would be taken for this one's.
        return Preview(stack=path.stem, changes=(), same=0, errors=(str(error),), violations=None, succeeded=False)


def _fails(preview: Preview) -> bool:
    return not preview.succeeded or any(violation.mandatory for violation in preview.violations or ())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BadPreviewError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadPreviewError(f"{path}: is not text in UTF-8: pass the output of pulumi preview --json") from None


def _costs(path: Path) -> dict[str, float]:
    try:
        stacks = json.loads(_read(path))["stacks"]
        return {name: float(one["change_usd"]) for name, one in stacks.items() if "change_usd" in one}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadPreviewError(
            f"--cost {path}: is not an estimate: pass the output of fabric cost --against FILE --json"
        ) from None
