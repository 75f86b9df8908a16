"""``fabric release`` on the emulator's Lambda: a real alias moves by steps and back."""

from __future__ import annotations

import json

import pytest

from infrafabric.cli.main import main


@pytest.fixture
def release(aws_shell, capsys):
    def run(*argv: str) -> tuple[int, str, str]:
        status = main(["release", "--stack", "dev", *argv])
        out, error = capsys.readouterr()
        return status, out, error

    return run


def test_a_new_version_gets_its_share_then_all_calls_and_can_be_taken_back(stage, release):
    functions = stage.platform.client("lambda")
    name = "infrafabric-dev-watchdog"
    before = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    functions.update_function_configuration(FunctionName=name, Description="another version")
    newest = functions.publish_version(FunctionName=name)["Version"]
    assert newest != before

    share = {"AdditionalVersionWeights": {newest: 0.1}}
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=before, RoutingConfig=share)
    _, out, _ = release("--function", "watchdog", "--status", "--json")
    assert json.loads(out)["functions"] == [{"function": name, "stable": before, "newest": newest, "percent": 10}]

    assert release("--function", "watchdog", "--rollback")[0] == 0
    assert (
        not functions.get_alias(FunctionName=name, Name="live").get("RoutingConfig", {}).get("AdditionalVersionWeights")
    )

    status, out, _ = release("--function", "watchdog", "--interval", "0.01")
    assert status == 0
    assert f"{name}: 10 % of the calls go to version {newest}" in out.splitlines()
    assert functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == newest


def test_every_function_of_the_stack_is_found_by_its_name(release):
    status, out, _ = release("--status", "--json")
    found = {row["function"].removeprefix("infrafabric-dev-") for row in json.loads(out)["functions"]}
    assert status == 0
    assert {"api", "coordinator", "h01", "h10", "recorder", "watchdog"} <= found


@pytest.mark.parametrize("step", ["0", "100", "ten"])
def test_a_step_that_is_none_is_one_clear_line(release, capsys, step):
    with pytest.raises(SystemExit) as stop:
        release("--step", step)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"'{step}': a whole number from 1 to 99" in said
    assert said.count("\n") == 1


def test_a_stack_that_is_not_there_is_one_clear_line(release, monkeypatch):
    status, _, error = release("--stack", "nowhere")
    assert status == 2
    assert error == "fabric release: no function is called infrafabric-nowhere-… in this account and region\n"
