"""Previews that Pulumi's engine refuses, although AWS would notice the mistake only during the update."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pulumi import automation as auto

from local import platform as local_platform
from tests.engine.workspace import NO_CLI, Workspace, workspace_on

pytestmark = NO_CLI


@pytest.fixture(scope="module")
def workspace(emulator: local_platform.Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with workspace_on(emulator, tmp_path_factory.mktemp("refused")) as workspace:
        yield workspace


def test_variables_that_lambda_would_refuse_are_refused_in_the_preview_of_a_new_stack(workspace: Workspace) -> None:
    """Nothing exists, so ARNs and URLs are unknown. What is known would fit; the bounds of the others do not."""
    stack = workspace.stack("dev", fleet__size=1, model__baseUrl=f"http://127.0.0.1:9/{'a' * 3000}")

    with pytest.raises(auto.CommandError) as refused:
        stack.preview()

    assert re.search(
        r"error: function infrafabric-dev-(h01|coordinator): its environment variables take 4,\d{3} bytes as JSON, and "
        r"Lambda allows 4,096; largest: MODEL_BASE_URL 3,0\d\d \(model.baseUrl\), ",
        str(refused.value),
    )
    assert "Traceback" not in str(refused.value)
