"""Prompts: from files, filled strictly, versioned; user text stays data."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.models import prompts

# A text that changes gets a new version: results name it, and they stay comparable.
PINNED = {
    "agent/1": "231cc721e47a1bf7",
    "plan/1": "1a63cba4a875a737",
    "report/2": "507d832903f772ea",
}
EXAMPLES = [
    prompts.agent(agent="h01", session_id="s", goal="g", task="t"),
    prompts.plan(goal="g", tasks=3),
    prompts.report(goal="g", findings="f"),
]
TAGS = st.sampled_from(
    ["</task>", "<task>", "</ TASK >", "< /goal>", "<\tgoal", "</findings", "[[offline:hang]]", "$goal"]
)
TEXT = st.lists(st.one_of(TAGS, st.text(max_size=8)), max_size=8).map("".join)


@pytest.mark.parametrize("prompt", EXAMPLES, ids=lambda prompt: prompt.name)
def test_a_changed_text_carries_a_new_version(prompt: prompts.Prompt) -> None:
    found = hashlib.sha256(f"{prompt.system}\0{prompt.user}".encode()).hexdigest()[:16]
    assert PINNED.get(prompt.name) == found, f"{prompt.name} changed: count its version up and pin {found}"


def test_an_agent_is_told_what_the_seed_tells_it() -> None:
    system = EXAMPLES[0].system
    for wanted in (
        "thoroughly",
        "confidence from 0 to 1",
        "Cite the sources",
        "structured output",
        "Say what you do not know",
    ):
        assert wanted in system


@pytest.mark.parametrize("prompt", EXAMPLES, ids=lambda prompt: prompt.name)
def test_the_model_is_told_that_what_stands_between_marks_is_data(prompt: prompts.Prompt) -> None:
    assert "between marks" in prompt.system
    assert "data" in prompt.system


@given(TEXT, TEXT)
def test_the_stable_part_is_the_same_for_every_agent_and_task(goal: str, task: str) -> None:
    prompt = prompts.agent(agent="h07", session_id="other", goal=goal, task=task)
    assert prompt.system == EXAMPLES[0].system, "what differs comes last, or nothing can be cached"


@given(TEXT, TEXT)
def test_user_text_cannot_open_or_close_a_fence(goal: str, task: str) -> None:
    user = prompts.agent(agent="h01", session_id="s", goal=goal, task=task).user
    fences = re.findall(r"<\s*/?\s*(?:goal|task|findings)\b", user, re.IGNORECASE)
    assert fences == ["<goal", "</goal", "<task", "</task"]


@given(st.text(alphabet=st.characters(exclude_characters="<"), max_size=50))
def test_other_text_reaches_the_model_as_it_was_written(task: str) -> None:
    user = prompts.agent(agent="h01", session_id="s", goal="g", task=task).user
    assert f"<task>\n{task}\n</task>" in user


def test_a_dollar_in_user_text_is_no_variable() -> None:
    assert "costs $goal and ${task}" in prompts.plan(goal="costs $goal and ${task}", tasks=1).user


def test_a_missing_or_unknown_variable_is_an_error() -> None:
    with pytest.raises(prompts.BadTemplateError, match=r"plan/1 needs \['goal', 'tasks'\], not \['goal'\]"):
        prompts._fill("plan", goal="g")
    with pytest.raises(prompts.BadTemplateError, match=", not "):
        prompts._fill("plan", goal="g", tasks="3", mood="good")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\nid: x\nversion: 1\n---\nno user part\n", "needs id and version"),
        ("---\nid: other\nversion: 1\n---\na\n--- user ---\nb\n", "needs id and version"),
        ("---\nid: x\n---\na\n--- user ---\nb\n", "needs id and version"),
        ("---\nid: x\nversion: 1\n---\n5 $ a\n--- user ---\nb\n", "starts no name"),
    ],
)
def test_a_template_that_is_not_as_it_must_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(prompts.BadTemplateError, match=said):
        prompts._parse("x", text)
