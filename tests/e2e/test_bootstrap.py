"""``fabric bootstrap`` against S3, KMS and IAM APIs: made once, found ever after, nobody else's bucket touched."""

from __future__ import annotations

import json

import pytest

from infrafabric.cli.main import main

BUCKET = "infrafabric-pulumi-000000000000-us-east-1"
OF_RDS = "/aws-service-role/rds.amazonaws.com/"


@pytest.fixture
def bootstrap(aws_shell, capsys):
    def run(*argv: str) -> tuple[int, str, str]:
        status = main(["bootstrap", *argv])
        out, error = capsys.readouterr()
        return status, out, error

    return run


def outcomes(out: str) -> set[str]:
    return {step["outcome"] for step in json.loads(out)["steps"]}


def test_a_dry_run_makes_nothing_then_all_is_made_once_and_found_ever_after(stage, bootstrap):
    s3, kms, iam = (stage.platform.client(service) for service in ("s3", "kms", "iam"))
    status, out, _ = bootstrap("--dry-run", "--json")
    assert (status, outcomes(out)) == (0, {"would be made"})
    assert BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert not iam.list_roles(PathPrefix=OF_RDS)["Roles"]

    status, out, _ = bootstrap("--json")
    facts = json.loads(out)
    made = {step["what"] for step in facts["steps"] if step["outcome"] == "made"}
    # A new bucket is its owner's alone, and not public, by S3's own defaults.
    assert status == 0
    role = "service-linked role of rds.amazonaws.com"
    keys = {"key alias/infrafabric-pulumi", "key alias/infrafabric-pulumi-dev", "key alias/infrafabric-pulumi-prod"}
    assert {*keys, f"bucket {BUCKET}", "versioned", "TLS only", role} <= made
    assert len(iam.list_roles(PathPrefix=OF_RDS)["Roles"]) == 1
    assert facts["next"] == [
        f"pulumi login 's3://{BUCKET}?region=us-east-1'",
        "pulumi stack init dev --secrets-provider='awskms://alias/infrafabric-pulumi-dev?region=us-east-1'",
        "pulumi stack init prod --secrets-provider='awskms://alias/infrafabric-pulumi-prod?region=us-east-1'",
        "pulumi stack init prod-secondary --secrets-provider='awskms://alias/infrafabric-pulumi-prod?region=us-east-1'",
    ]
    assert facts["move"] == [], "no stack is older than the keys"
    assert len({kms.describe_key(KeyId=key.removeprefix("key "))["KeyMetadata"]["Arn"] for key in keys}) == 3
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    key = kms.describe_key(KeyId="alias/infrafabric-pulumi")["KeyMetadata"]["Arn"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=BUCKET)["Policy"]

    status, out, _ = bootstrap("--json")
    assert (status, outcomes(out)) == (0, {"already there"})


def test_what_was_broken_off_or_changed_is_finished_by_the_next_run(stage, bootstrap):
    bootstrap()
    s3 = stage.platform.client("s3")
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.delete_public_access_block(Bucket=BUCKET)
    status, out, _ = bootstrap("--json")
    made = {step["what"] for step in json.loads(out)["steps"] if step["outcome"] == "made"}
    assert (status, made) == (0, {"not public", "TLS only"})


def test_an_account_of_release_0_1_0_keeps_its_key_and_is_told_how_to_move_its_stacks(stage, bootstrap):
    bootstrap()
    kms = stage.platform.client("kms")
    old = kms.describe_key(KeyId="alias/infrafabric-pulumi")["KeyMetadata"]["Arn"]
    for environment in ("dev", "prod"):
        kms.delete_alias(AliasName=f"alias/infrafabric-pulumi-{environment}")

    status, out, _ = bootstrap()
    lines = out.splitlines()
    assert status == 0
    assert "already there  key alias/infrafabric-pulumi" in lines
    assert "made           key alias/infrafabric-pulumi-prod" in lines
    assert kms.describe_key(KeyId="alias/infrafabric-pulumi")["KeyMetadata"]["Arn"] == old
    provider = "'awskms://alias/infrafabric-pulumi-prod?region=us-east-1'"
    for stack in ("prod", "prod-secondary"):
        assert f"  pulumi stack change-secrets-provider --stack {stack} {provider}" in lines
    assert "rotate its secrets: older checkpoints stay readable with the old key" in out

    assert "change-secrets-provider" not in bootstrap()[1], "said once"


def test_people_are_told_what_was_made_and_what_to_run_next(bootstrap):
    status, out, _ = bootstrap("--bucket", "another-state-bucket")
    assert status == 0
    assert "made           bucket another-state-bucket" in out.splitlines()
    assert out.rstrip().splitlines()[-4] == "  pulumi login 's3://another-state-bucket?region=us-east-1'"


@pytest.mark.parametrize("name", ["UPPER", "a", "-leading", "dots.in.it", "x" * 64])
def test_a_name_that_s3_does_not_take_is_one_line_and_nothing_is_made(bootstrap, name):
    status, out, error = bootstrap("--bucket", name) if not name.startswith("-") else bootstrap(f"--bucket={name}")
    assert (status, out) == (2, "")
    assert error == f"fabric bootstrap: --bucket {name!r}: 3 to 63 of a-z, 0-9 and hyphens, not at either end\n"


def test_without_a_region_it_says_which_to_give(bootstrap, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert bootstrap() == (2, "", "fabric bootstrap: no region: give --region, or set AWS_REGION\n")


def test_wrong_credentials_are_one_line(bootstrap, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS0")
    status, out, error = bootstrap()
    assert (status, out) == (2, "")
    assert error.startswith("fabric bootstrap: AWS refused GetCallerIdentity: ")
    assert error.count("\n") == 1
