from __future__ import annotations

import json

import pytest

from infra.settings import KeySettings
from infrafabric.bus.registry import Registry


def policy_of(estate, key):
    return {s["Sid"]: s for s in json.loads(estate.of("kms/key:Key")[key]["policy"])["Statement"]}


def test_each_principal_has_a_signing_key_of_its_own(primary):
    keys = {n: k for n, k in primary.of("kms/key:Key").items() if n != "keys-data"}
    assert set(keys) == {"keys-coordinator", *(f"keys-h{n:02}" for n in range(1, 11))}
    assert {(k["customerMasterKeySpec"], k["keyUsage"]) for k in keys.values()} == {
        ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
    }


def test_the_data_key_rotates_and_signing_keys_cannot(primary):
    assert {n for n, key in primary.of("kms/key:Key").items() if key["enableKeyRotation"]} == {"keys-data"}


def test_every_key_has_an_alias_that_carries_the_stack(dev):
    aliases = {a["name"] for a in dev.of("kms/alias:Alias").values()}
    assert {"alias/infrafabric-dev-data", "alias/infrafabric-dev-signing-h01"} <= aliases
    assert len(aliases) == len(dev.of("kms/key:Key"))


def test_the_registry_is_what_the_bus_reads_and_holds_every_principal(primary):
    stored = primary.of("s3/bucketObjectv2:BucketObjectv2")["storage-registry"]
    registry = Registry.parse(stored["content"].encode())
    principals = ["if://agent/coordinator", *(f"if://agent/h{n:02}" for n in range(1, 11))]
    assert set(json.loads(stored["content"])) == set(principals)
    assert all(registry.keys_of(principal) for principal in principals)
    assert (stored["key"], stored["serverSideEncryption"]) == ("registry/keys.json", "aws:kms")


def test_iam_of_the_account_decides_about_every_key_action_by_action(primary):
    for key in primary.of("kms/key:Key"):
        account = policy_of(primary, key)["IamOfThisAccountDecides"]
        assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
        assert "kms:PutKeyPolicy" in account["Action"], "or nobody could ever change it again"
        assert ("kms:Sign" in account["Action"]) == (key != "keys-data")


def test_log_groups_of_this_account_alone_are_encrypted_with_the_data_key(primary):
    logs = policy_of(primary, "keys-data")["LogGroupsOfThisAccount"]
    assert logs["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    assert logs["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:us-east-1:123456789012:log-group:*"}
    }


@pytest.mark.parametrize(
    ("generation", "retired", "trusted"),
    [(1, None, (1,)), (2, None, (2, 1)), (2, 1, (2,)), (3, None, (3, 2)), (3, 1, (3, 2)), (3, 2, (3,)), (9, 1, (9, 8))],
)
def test_a_generation_and_the_one_before_are_trusted_until_that_one_is_retired(generation, retired, trusted):
    retired = {} if retired is None else {"h01": retired}
    keys = KeySettings(generations={"h01": generation}, retired=retired)
    assert keys.trusted_generations("h01") == trusted
    assert keys.trusted_generations("h02") == (1,)


def test_a_rotated_principal_has_two_keys_until_the_previous_one_is_retired(rotating):
    keys = {name: key for name, key in rotating.of("kms/key:Key").items() if name != "keys-data"}
    assert set(keys) == {"keys-coordinator", "keys-coordinator-g2", "keys-h01-g4"}
    assert {key["deletionWindowInDays"] for key in keys.values()} == {30}, "a key that goes can be had back"
    assert {
        alias["name"].removeprefix("alias/infrafabric-dev-") for alias in rotating.of("kms/alias:Alias").values()
    } == {
        "data",
        "signing-coordinator",
        "signing-coordinator-g2",
        "signing-h01-g4",
    }


def test_the_registry_lists_two_keys_only_during_a_rotation(rotating):
    """Release 0.1.0 reads no list."""
    content = rotating.of("s3/bucketObjectv2:BucketObjectv2")["storage-registry"]["content"]
    registry = Registry.parse(content.encode())
    assert len(registry.keys_of("if://agent/coordinator")) == 2
    assert isinstance(json.loads(content)["if://agent/h01"], str)


def test_a_function_gets_the_current_key_and_the_previous_one_as_the_registry_has_them(rotating):
    variables = rotating.of("lambda/function:Function")["coordinator-function"]["environment"]["variables"]
    registry = Registry.parse(rotating.of("s3/bucketObjectv2:BucketObjectv2")["storage-registry"]["content"].encode())
    current, previous = registry.keys_of("if://agent/coordinator")
    assert (variables["SIGNING_KEY_ARN"].rpartition("/")[2], variables["SIGNING_PUBLIC_KEY"]) == (
        "keys-coordinator-g2",
        current.text,
    )
    assert (
        variables["PREVIOUS_SIGNING_KEY_ARN"].rpartition("/")[2],
        variables["PREVIOUS_SIGNING_PUBLIC_KEY"],
    ) == ("keys-coordinator", previous.text)
    agent = rotating.of("lambda/function:Function")["agents-h01-function"]["environment"]["variables"]
    assert agent["SIGNING_KEY_ARN"].endswith("keys-h01-g4")
    assert "PREVIOUS_SIGNING_KEY_ARN" not in agent


@pytest.mark.parametrize("function", ["agents-h01-function", "coordinator-function"])
def test_a_function_changes_only_after_the_registry_has_its_new_key(rotating, function):
    assert "storage-registry" in rotating.before(function)
