"""Terraform and its AWS provider: how they are found and run, and what stands in for arguments that are newer."""

from __future__ import annotations

import json
import os
import pickle
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infra.graph import Graph, Resource
from infra.graph.terraform.names import PROVIDER
from policy.provider import stand_ins
from policy.provider.installation import VARIABLE, Installation, NotInstalledError, find
from policy.provider.judge import Judgement, Provider, stale
from policy.provider.stand_ins import STAND_INS, StandIn
from policy.provider.terraform import Terraform, TerraformError

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
TARGET = f"{platform.system().lower()}_{MACHINE}"


def program(folder: Path, text: str = "") -> Path:
    """Write an executable called terraform that runs ``text`` as Python."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "terraform"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


def unpacked(mirror: Path, version: str, target: str = TARGET) -> Path:
    (mirror / PROVIDER / version / target).mkdir(parents=True)
    return mirror


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with Terraform, and without a provider."""
    folders = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_DATA_DIRS": str(tmp_path / "shared")}
    return {"PATH": str(program(tmp_path / "bin").parent), "HOME": str(tmp_path / "home"), **folders}


def test_without_terraform_the_path_is_named(tmp_path):
    with pytest.raises(NotInstalledError, match="terraform is not on the PATH"):
        find({"PATH": str(tmp_path)})


def test_without_the_provider_the_variable_is_named(environment, tmp_path):
    with pytest.raises(NotInstalledError, match=f"hashicorp/aws is not in a local mirror of Terraform .*{VARIABLE}"):
        find(environment, tmp_path / "opt")
    with pytest.raises(NotInstalledError, match=f"is not in {tmp_path / 'mine'}"):
        find({**environment, VARIABLE: str(tmp_path / "mine")}, tmp_path / "opt")


@pytest.mark.parametrize("folder", ["home/.terraform.d/plugins", "data/terraform/plugins", "shared/terraform/plugins"])
@pytest.mark.skipif(platform.system() == "Darwin", reason="the folders of Linux")
def test_the_provider_is_found_in_the_mirrors_that_terraform_reads(environment, tmp_path, folder):
    unpacked(tmp_path / folder, "5.100.0")
    assert find(environment, tmp_path / "opt").plugins == tmp_path / folder


def test_the_provider_is_found_in_a_folder_of_opt_in_its_newest_version(environment, tmp_path):
    for version in ("5.9.0", "5.100.0", "5.99.1"):
        unpacked(tmp_path / "opt" / "plugins", version)
    unpacked(tmp_path / "opt" / "plugins", "6.0.0", target="plan9_mips")
    found = find(environment, tmp_path / "opt")
    assert (found.plugins, found.version_text) == (tmp_path / "opt" / "plugins", "5.100.0")


def test_the_folder_that_the_variable_names_comes_before_every_other(environment, tmp_path):
    unpacked(tmp_path / "opt" / "plugins", "5.100.0")
    packed = tmp_path / "mine" / PROVIDER
    packed.mkdir(parents=True)
    for name in (f"6.30.0_{TARGET}", "6.31.0_plan9_mips"):
        (packed / f"terraform-provider-aws_{name}.zip").touch()
    found = find({**environment, VARIABLE: str(tmp_path / "mine")}, tmp_path / "opt")
    assert (found.plugins, found.version) == (tmp_path / "mine", (6, 30, 0))


def run(tmp_path: Path, text: str) -> Terraform:
    terraform = program(tmp_path / "bin", text)
    return Terraform(Installation(terraform=terraform, plugins=tmp_path, version=(5, 100, 0)))


def test_terraform_runs_without_settings_of_the_user_and_without_an_api(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("TF_CLI_ARGS", "-nonsense")
    monkeypatch.setenv("AWS_PROFILE", "production")
    text = "import json, os\nprint(json.dumps({'diagnostics': [dict(os.environ)]}))"
    (seen,) = run(tmp_path, text).validate(tmp_path)
    assert {key: value for key, value in seen.items() if key.startswith(("TF_", "AWS_"))} == {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "TF_CLI_CONFIG_FILE": str(tmp_path / "empty.tfrc"),
        "TF_IN_AUTOMATION": "1",
    }


def test_a_failure_of_terraform_itself_is_no_verdict(tmp_path):
    broken = run(tmp_path, "import sys\nsys.exit('no space left on device')")
    with pytest.raises(TerraformError, match="terraform init ended with 1: no space left on device"):
        broken.init(tmp_path)
    with pytest.raises(TerraformError, match="terraform validate printed no JSON: no space left on device"):
        broken.validate(tmp_path)
    with pytest.raises(TerraformError, match="terraform plan ended with 1: no space left on device"):
        broken.plan(tmp_path)
    with pytest.raises(TerraformError, match="terraform plan ended with 0"):
        run(tmp_path, "").plan(tmp_path)
    with pytest.raises(TerraformError, match="terraform plan ended with 3"):
        run(tmp_path, """import sys\nprint('{"type": "change_summary"}')\nsys.exit(3)""").plan(tmp_path)


def test_a_plan_gives_its_diagnostics_and_needs_a_plan_or_an_error(tmp_path):
    events = [
        {"type": "version"},
        {"type": "diagnostic", "diagnostic": {"severity": "warning", "summary": "old"}},
        {"type": "change_summary"},
    ]
    lines = "\n".join(map(json.dumps, events))
    assert run(tmp_path, f"print({lines!r})").plan(tmp_path) == [{"severity": "warning", "summary": "old"}]


def schema(**arguments: object) -> dict[str, object]:
    return {
        "aws_table": {
            "block": {"attributes": arguments, "block_types": {"index": {"block": {"attributes": {"name": {}}}}}}
        }
    }


def stand_in(argument: str, **more: Any) -> StandIn:
    return StandIn(type="aws_table", argument=argument, reason="", page="", **more)


def test_a_stand_in_is_for_a_provider_that_does_not_know_the_argument():
    assert stand_in("billing").is_refused(schema(), (5, 100, 0))
    assert not stand_in("billing").is_refused(schema(billing={}), (5, 100, 0))
    assert not stand_in("index").is_refused(schema(), (5, 100, 0))
    assert stand_in("index.keys").is_refused(schema(), (6, 99, 0))
    assert not stand_in("index.name").is_refused(schema(), (5, 100, 0))


def test_a_stand_in_for_a_value_is_for_a_provider_that_is_older():
    ed25519 = StandIn(
        type="aws_table", argument="billing", reason="", page="", value="new", instead="old", since=(6, 21, 0)
    )
    assert ed25519.is_refused(schema(billing={}), (6, 20, 3))
    assert not ed25519.is_refused(schema(billing={}), (6, 21, 0))


def test_a_stand_in_for_a_value_is_for_a_provider_without_the_argument_that_came_with_it():
    policy = stand_in("billing", value="new", instead="old", came_with="mode")
    assert policy.is_refused(schema(billing={}), (6, 99, 0))
    assert not policy.is_refused(schema(billing={}, mode={}), (5, 100, 0))


def test_an_argument_is_left_out_wherever_a_resource_has_it():
    configuration = {"aws_table": {"a": {"index": [{"keys": 1, "name": "x"}, {"name": "y"}]}, "b": {"name": "b"}}}
    assert stand_ins.found_in(configuration, stand_in("index.keys"))
    stand_ins.apply(configuration, stand_in("index.keys"))
    assert configuration == {"aws_table": {"a": {"index": [{"name": "x"}, {"name": "y"}]}, "b": {"name": "b"}}}
    assert not stand_ins.found_in(configuration, stand_in("index.keys"))


def test_a_value_is_replaced_alone_and_in_a_list():
    configuration = {"aws_table": {"a": {"runtime": "new"}, "b": {"runtime": ["older", "new"]}, "c": {"runtime": "x"}}}
    stand_ins.apply(configuration, stand_in("runtime", value="new", instead="old"))
    assert configuration["aws_table"] == {
        "a": {"runtime": "old"},
        "b": {"runtime": ["older", "old"]},
        "c": {"runtime": "x"},
    }


def test_the_keys_of_an_index_are_judged_as_the_older_arguments():
    (keys,) = (one for one in STAND_INS if one.argument.endswith("key_schema"))
    pairs = [{"key_type": "HASH", "attribute_name": "pk"}, {"key_type": "RANGE", "attribute_name": "sk"}]
    configuration = {"aws_dynamodb_table": {"t": {"global_secondary_index": [{"key_schema": pairs}]}}}
    stand_ins.apply(configuration, keys)
    (index,) = configuration["aws_dynamodb_table"]["t"]["global_secondary_index"]
    assert index == {"hash_key": "pk", "range_key": "sk"}


@pytest.mark.parametrize("listed", STAND_INS, ids=str)
def test_every_stand_in_has_a_reason_and_a_page(listed):
    assert len(listed.reason) >= 30
    assert listed.page.startswith("https://")
    assert bool(listed.value) == bool(listed.instead) == bool(listed.since or listed.came_with)


# Answers as Terraform does, and counts the plans in a file beside it.
ANSWERS = """
import json, pathlib, sys
plans = pathlib.Path(__file__).with_name("plans")
diagnostic = {"severity": "warning", "summary": "Deprecated", "detail": "use another", "address": "aws_sqs_queue.inbox"}
if sys.argv[1] == "providers":
    print(json.dumps({"provider_schemas": {"aws": {"resource_schemas": {}}}}))
if sys.argv[1] == "validate":
    print(json.dumps({"diagnostics": []}))
if sys.argv[1] == "plan":
    plans.write_text(plans.read_text() + "x" if plans.exists() else "x")
    print(json.dumps({"type": "diagnostic", "diagnostic": diagnostic}))
    print(json.dumps({"type": "change_summary"}))
"""


def declared(type_: str, logical_name: str, **inputs: Any) -> Resource:
    return Resource(
        type=type_,
        name=logical_name,
        urn=f"urn:pulumi:dev::infrafabric::{type_}::{logical_name}",
        id=f"{logical_name}-id",
        parent="",
        custom=True,
        inputs=inputs,
        secret=frozenset(),
        outputs=inputs,
        protect=False,
        aliases=(),
        depends_on=frozenset(),
        by_property={},
        provider="",
    )


def graph(**inputs: Any) -> Graph:
    provider = declared("pulumi:providers:aws", "here", region="eu-west-1")
    return Graph(stack="dev", resources=(provider, declared("aws:sqs/queue:Queue", "inbox", **inputs)), exports={})


def test_a_configuration_is_judged_once_until_it_changes(tmp_path):
    installed = run(tmp_path, ANSWERS).installation
    provider, verdicts = Provider(installed), tmp_path / "verdicts"
    first = provider.judge({"dev": graph(name="a")}, verdicts)
    assert provider.judge({"dev": graph(name="a")}, verdicts) == first
    assert len((tmp_path / "bin" / "plans").read_text()) == 1
    provider.judge({"dev": graph(name="b")}, verdicts)
    assert len((tmp_path / "bin" / "plans").read_text()) == 2


def test_a_warning_is_shown_and_is_no_failure(tmp_path):
    judgement = Provider(run(tmp_path, ANSWERS).installation).judge({"dev": graph(name="a")})["dev"]
    assert [str(finding) for finding in judgement.findings] == [
        "warning dev: aws_sqs_queue.inbox: Deprecated: use another"
    ]
    assert not judgement.failed
    assert judgement.summary("5.100.0") == "provider 5.100.0: 1 resources validated and planned, 1 finding"


def test_a_stand_in_that_no_stack_has_is_stale():
    def having(*found: StandIn) -> Judgement:
        names = frozenset(map(str, found))
        return Judgement(stack="dev", resources=1, findings=(), applied=names, found=names)

    one, another, *rest = [listed for listed in STAND_INS if not listed.setting]
    assert stale([having(one, *rest), having(another)]) == []
    assert stale([having(*rest), having(one)]) == [str(another)]


# Works until it is interrupted, and says so in a file beside it.
WAITS = """
import json, pathlib, signal, sys
beside = pathlib.Path(__file__)
if sys.argv[1] == "providers":
    print(json.dumps({"provider_schemas": {"aws": {"resource_schemas": {}}}}))
if sys.argv[1] == "validate":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    beside.with_name("working").touch()
    signal.alarm(20)  # ends it in any case
    try:
        signal.pause()
    except KeyboardInterrupt:
        beside.with_name("interrupted").touch()
        sys.exit(1)
"""
JUDGES = """
import pickle, sys
from policy.provider.judge import Provider
installation, graph = pickle.load(sys.stdin.buffer)
Provider(installation).judge({"dev": graph})
"""


def test_an_interrupt_ends_terraform_and_leaves_no_folder(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    asked = pickle.dumps((run(tmp_path, WAITS).installation, graph(name="a")))
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", JUDGES], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as judging:
        assert judging.stdin
        judging.stdin.write(asked)
        judging.stdin.close()
        while not (tmp_path / "bin" / "working").exists():
            assert judging.poll() is None
            time.sleep(0.01)
        judging.send_signal(signal.SIGINT)
        assert judging.wait(timeout=30) != 0
    assert (tmp_path / "bin" / "interrupted").exists()
    assert list(temporary.iterdir()) == []
