"""Variants of the stacks: together they use every setting, and none breaks the rules or lacks a price."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from infra.cost.estimate import estimate
from infra.cost.traffic import TRAFFIC
from infra.settings import Settings, stackfile
from policy import over_graph
from policy.config import SETTINGS, Config
from policy.variants.coverage import unused
from policy.variants.listed import BadVariantsError, variants

STACKS = ("dev", "prod", "prod-secondary")
VARIANTS = variants()


def stacks() -> Iterator[Settings]:
    """Return the settings of the reference stacks and of all variants."""
    for stack in STACKS:
        yield Settings.model_validate(json.loads(stackfile.read(stack, folder=stackfile.REFERENCE)[SETTINGS]))
    for variant in VARIANTS.values():
        yield Settings.model_validate(json.loads(variant.text))


def test_every_setting_is_used_by_a_stack_or_a_variant():
    assert unused(stacks()) == [], "add the setting to a variant in tests/stacks/variants.yaml"


def test_a_setting_that_nobody_uses_is_named_with_what_is_missing():
    dev, *_ = stacks()
    missing = unused([dev])
    assert "residency: no stack has 'eu'" in missing
    assert "failover: no stack has True" in missing
    assert "dns: no stack has a value" in missing
    assert "database: no stack has null" in missing
    assert "fleet.size: no stack has another value than 10" in missing
    assert not [line for line in missing if line.startswith("dns.")], "a section that is left out has no settings"


@pytest.mark.parametrize("name", ["lavish", "frugal", "bare", "european", "rotating", "taken-over"])
def test_a_variant_breaks_no_mandatory_rule_and_has_a_price(name, request):
    variant = VARIANTS[name]
    graph = request.getfixturevalue(name.replace("-", "_")).graph(variant.stack)
    violations = over_graph.violations(graph, Config.of_text(variant.text))
    assert [(v.rule.name, v.resource) for v in violations if v.rule.mandatory] == []
    assert estimate(graph, TRAFFIC.get(variant.stack, TRAFFIC["prod"])).usd > 0


GOOD = "{name: a, stack: dev, why: an example for the test, settings: {fleet.size: 2}}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "variants.yaml: cannot be read: "),
        ("{}", "variants.yaml: must be a list of variants, each with name, stack, why and settings"),
        ("[5]", "variants.yaml: variant 1: "),
        (f"[{GOOD.replace('dev', 'test')}]", "variants.yaml: variant a: stack = 'test': Input should be 'dev', 'prod'"),
        (f"[{GOOD.replace('name: a, ', '')}]", "variants.yaml: variant 1: name: is missing"),
        (
            f"[{GOOD.replace('size', 'sise')}]",
            "variants.yaml: variant a: fleet.sise = 2: Extra inputs are not permitted",
        ),
        (
            f"[{GOOD.replace('fleet.size: 2', 'failover: true')}]",
            "variants.yaml: variant a: failover = True: needs dns",
        ),
        (f"[{GOOD}, {GOOD}]", "variants.yaml: variant a: is listed twice; names must differ"),
    ],
)
def test_a_mistake_in_the_list_is_one_line(tmp_path, text, problem):
    file = tmp_path / "variants.yaml"
    file.write_text(text)
    with pytest.raises(BadVariantsError) as error:
        variants(file)
    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)


def test_a_variant_has_one_agent_unless_it_says_otherwise(tmp_path):
    file = tmp_path / "variants.yaml"
    file.write_text(f"[{GOOD}, {GOOD.replace('name: a', 'name: b').replace('fleet.size: 2', 'api.waf: true')}]")
    assert [json.loads(one.text)["fleet"]["size"] for one in variants(file).values()] == [2, 1]


def test_a_variant_that_is_not_listed_is_refused_with_those_that_are():
    command = [sys.executable, "-m", "policy.variants", "--only", "lavishh"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=stackfile.ROOT)
    listed = ", ".join(VARIANTS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == f"--only lavishh: no such variant; listed are {listed}"
