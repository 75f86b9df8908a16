from __future__ import annotations

import json

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
