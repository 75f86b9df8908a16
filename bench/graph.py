"""The whole graph of a stack under mocks: how long a preview's program takes, without any engine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

_PROGRAM = """
import sys, time
start = time.perf_counter()
import pulumi
from infra import program, stackfile
imported = time.perf_counter()

class Nothing(pulumi.runtime.Mocks):
    made = 0
    def new_resource(self, args):
        Nothing.made += 1
        extra = {"arn": f"arn:aws:mock:us-east-1:000000000000:{args.name}", "accountId": "000000000000"}
        if args.typ == "aws:rds/instance:Instance":
            extra["masterUserSecrets"] = [{"secretArn": extra["arn"], "secretStatus": "active", "kmsKeyId": ""}]
        return f"{args.name}-id", {**extra, **args.inputs}
    def call(self, args):
        der = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
        return {"accountId": "000000000000", "partition": "aws", "publicKey": der, "id": "x", "region": "us-east-1"}

stack = sys.argv[1]
secrets = {"infrafabric:databasePassword": "bench-not-a-secret"}
pulumi.runtime.set_mocks(Nothing(), project="infrafabric", stack=stack, preview=False)
pulumi.runtime.set_all_config({**stackfile.read(stack), **secrets}, list(secrets))
pulumi.runtime.test(program.stack)()
print(imported - start, time.perf_counter() - imported, Nothing.made)
"""


def measure() -> dict[str, Any]:
    """Seconds to import and to run, and resources declared, for each stack, in fresh processes."""
    found = {}
    for stack in ("dev", "prod"):
        done = subprocess.run([sys.executable, "-c", _PROGRAM, stack], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the {stack} graph cannot be measured: {done.stderr.strip()[-1500:]}")
        imported, run, made = done.stdout.split()
        found[stack] = {"import_s": float(imported), "run_s": float(run), "resources": int(made)}
    return found
