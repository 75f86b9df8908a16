"""Compiles requirements/*.in to the locked files: hashes, every platform, and no word of where packages came from."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
UV = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
PLAIN = ["--no-emit-index-url", "--no-header"]
# Pulumi installs what it finds beside the program, whose folder Pulumi.yaml names as main, and there pip starts.
FOR_PROGRAM = {HERE.parent: ".", HERE.parent / "infra": ".."}
HEAD = """\
# What the program needs, twice: at the top for `pip install -r`, and in infra/, where alone `pulumi install` looks.
# Compiled from requirements/program.in by `make lock`; -e puts infra, infrafabric and lambdas on the path, to which
# Pulumi adds no more than infra/.
-e {root}
"""


def compile_to(target: Path, source: str, *more: str) -> str:
    done = subprocess.run(
        [*UV, *PLAIN, *more, source, "-o", str(target)], cwd=HERE, check=True, capture_output=True, text=True
    )
    return done.stdout


compile_to(HERE / "runtime.txt", "runtime.in", "--generate-hashes")
compile_to(HERE / "dev.txt", "dev.in", "--generate-hashes", "-c", "runtime.txt")
compile_to(HERE / "checkov.txt", "checkov.in", "--generate-hashes")
compile_to(HERE / "emulator.txt", "emulator.in", "--generate-hashes")
compile_to(HERE.parent / "requirements.txt", "program.in", "--no-annotate", "-c", "dev.txt")
pins = (HERE.parent / "requirements.txt").read_text()
for folder, root in FOR_PROGRAM.items():
    (folder / "requirements.txt").write_text(HEAD.format(root=root) + pins)
