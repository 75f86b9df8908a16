"""Entry point of the policy pack: ``pulumi preview --policy-pack policy`` runs this folder as a process."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # not on the path when the engine starts

from policy.pack import serve

serve()
