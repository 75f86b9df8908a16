"""Comparison of checkov's findings with policy/accepted.yaml, and errors of the scan."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from policy.scan import Accepted, CheckovFinding, ScanError, accepted, compare, scan

REASON = "a reason that is long enough to be one"


def entry(check="CKV_1", resource="aws_sqs_queue.*", *stacks):
    return Accepted.model_validate({"checks": [check], "resources": [resource], "stacks": stacks, "reason": REASON})


QUEUE = "aws_sqs_queue.bus-h01-queue"
SCANNED = {"dev": {QUEUE}, "prod": {QUEUE}}
FOUND = CheckovFinding("dev", "CKV_1", QUEUE)


@pytest.mark.parametrize(
    "other",
    [
        CheckovFinding("dev", "CKV_2", FOUND.resource),
        CheckovFinding("dev", FOUND.check, "aws_sns_topic.bus-topic"),
        CheckovFinding("prod", FOUND.check, FOUND.resource),
    ],
)
def test_a_finding_that_no_entry_covers_is_unlisted(other):
    assert compare([FOUND, other], [entry("CKV_1", "aws_sqs_queue.*", "dev")], SCANNED) == ([other], [])


def test_an_entry_without_stacks_is_for_all_of_them():
    everywhere = [CheckovFinding(stack, FOUND.check, FOUND.resource) for stack in ("dev", "prod")]
    assert compare(everywhere, [entry()], SCANNED) == ([], [])


def test_an_entry_that_nothing_needs_is_stale():
    assert compare([], [entry()], SCANNED) == ([], ["CKV_1 on aws_sqs_queue.*"])


def test_an_entry_is_stale_in_a_stack_where_nothing_needs_it():
    assert compare([FOUND], [entry("CKV_1", "aws_sqs_queue.*", "dev", "prod")], SCANNED) == ([], ["CKV_1 in prod"])


def test_an_entry_for_a_resource_that_the_settings_leave_out_is_not_stale():
    entries = [entry("CKV_1", "aws_config_rule.*"), entry("CKV_1", "aws_sqs_queue.*", "prod")]
    assert compare([], entries, {"dev": {QUEUE}, "prod": set()}) == ([], [])


def test_an_entry_for_a_setting_that_no_stack_has_is_not_stale():
    caused = entry().model_copy(update={"setting": "edge without recovery"})
    assert compare([], [caused], SCANNED) == ([], [])


def test_a_check_that_an_entry_lists_in_vain_is_stale():
    both = Accepted(checks=("CKV_1", "CKV_2"), resources=("aws_sqs_queue.*",), reason=REASON)
    assert compare([FOUND], [both], SCANNED) == ([], ["CKV_2 on aws_sqs_queue.*"])


def test_an_entry_gives_a_reason():
    with pytest.raises(ValidationError, match="reason"):
        Accepted.model_validate({"checks": ["CKV_1"], "resources": ["*"], "reason": "because"})


def test_the_committed_list_is_readable_and_covers_no_type_of_resource_in_general():
    for accepted_entry in accepted():
        assert all(pattern.startswith("aws_") for pattern in accepted_entry.resources)


def fake_checkov(tmp_path, text):
    """Write a checkov program that prints ``text``."""
    program = tmp_path / "checkov"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}\nEOF\n")
    program.chmod(0o700)
    return program


PLAN = {"planned_values": {"root_module": {"resources": [{}, {}]}}}


def test_a_checkov_that_skipped_resources_is_not_believed(tmp_path):
    report = {"summary": {"resource_count": 1, "passed": 9, "parsing_errors": 0}, "results": {"failed_checks": []}}
    with pytest.raises(ScanError, match="did not read all 2 resources of dev"):
        scan({"dev": PLAN}, fake_checkov(tmp_path, json.dumps(report)))


def test_a_checkov_that_says_nothing_readable_is_an_error(tmp_path):
    with pytest.raises(ScanError, match="no report"):
        scan({"dev": PLAN}, fake_checkov(tmp_path, "Traceback"))


def test_a_checkov_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(ScanError, match="make validate installs it"):
        scan({"dev": PLAN}, tmp_path / "nothing")
