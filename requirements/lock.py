"""Compiles requirements/*.in to the locked files: hashes, every platform, and no word of where packages came from."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
UV = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
PLAIN = ["--no-emit-index-url", "--no-header"]


def compile_to(target: Path, source: str, *more: str) -> str:
    done = subprocess.run(
        [*UV, *PLAIN, *more, source, "-o", str(target)], cwd=HERE, check=True, capture_output=True, text=True
    )
    return done.stdout


compile_to(HERE / "runtime.txt", "runtime.in", "--generate-hashes")
compile_to(HERE / "dev.txt", "dev.in", "--generate-hashes", "-c", "runtime.txt")
compile_to(HERE / "checkov.txt", "checkov.in", "--generate-hashes")
compile_to(HERE / "emulator.txt", "emulator.in", "--generate-hashes")
compile_to(HERE / "program.txt", "program.in", "--no-annotate", "-c", "dev.txt")  # pip takes no hashes beside -e
