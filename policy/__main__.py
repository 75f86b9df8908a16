"""``pulumi preview --policy-pack policy``: serves the pack to the engine, and ends with it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the engine starts this folder by itself

from policy.pack import serve

serve()
