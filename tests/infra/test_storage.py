from __future__ import annotations

import json

import pytest


def rules(estate, bucket):
    made = estate.of("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")[f"storage-{bucket}-lifecycle"]
    return {rule["id"]: rule for rule in made["rules"]}


@pytest.mark.parametrize("bucket", ["state", "results", "assets"])
def test_data_is_encrypted_with_our_key_and_the_bucket_key_saves_its_requests(primary, bucket):
    name = f"storage-{bucket}-encryption"
    made = primary.of("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")[name]
    (rule,) = made["rules"]
    assert rule["bucketKeyEnabled"] is True
    default = rule["applyServerSideEncryptionByDefault"]
    assert default["sseAlgorithm"] == "aws:kms"
    assert default["kmsMasterKeyId"].endswith("key/keys-data")


def test_access_logs_of_every_other_bucket_go_to_the_logs_bucket(primary):
    logged = {i["bucket"]: i for i in primary.of("s3/bucketLogging:BucketLogging").values()}
    logs = primary.of("s3/bucket:Bucket")["storage-logs-bucket"]["bucket"]
    # S3 delivers access logs within a region, and the standby has that region's log bucket.
    here = {i["bucket"] for i in primary.of("s3/bucket:Bucket").values() if not i.get("region")}
    others = here - {logs}
    assert set(logged) == others
    assert {i["targetBucket"] for i in logged.values()} == {logs}


def test_a_bucket_logs_once_the_logs_bucket_lets_s3_deliver(lavish):
    """S3 tests the target once when logging is configured, and the provider does not retry."""
    logged = lavish.of("s3/bucketLogging:BucketLogging")
    assert {"storage-state-logging", "trail-audit-logging", "config-history-logging"} <= set(logged)
    for name in logged:
        assert "storage-logs-policy" in lavish.before(name), f"{name}: InvalidTargetBucketForLogging on the first up"


def test_only_s3_delivers_logs_and_only_of_our_buckets(dev):
    policy = json.loads(dev.of("s3/bucketPolicy:BucketPolicy")["storage-logs-policy"]["policy"])
    (delivery,) = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert delivery["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:s3:::infrafabric-dev-*"},
        "StringEquals": {"aws:SourceAccount": "123456789012"},
    }
    encryption = dev.of("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    default = encryption["storage-logs-encryption"]["rules"][0]["applyServerSideEncryptionByDefault"]
    assert default == {"sseAlgorithm": "AES256"}, "S3 cannot deliver logs into a bucket with a KMS key of ours"


def test_half_uploads_and_old_versions_do_not_pile_up(primary):
    for bucket in ("state", "results", "logs", "assets"):
        assert rules(primary, bucket)["abort-uploads"]["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
        assert rules(primary, bucket)["forget-old-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 30}


def test_what_a_message_points_to_outlives_the_message_and_then_goes(primary):
    rule = rules(primary, "results")["expire-claim-check"]
    assert rule["filter"] == {"prefix": "claim-check/"}
    assert rule["expiration"]["days"] > 14, "SQS keeps a message for 14 days"


def test_results_move_to_cheaper_storage_by_themselves(primary):
    assert rules(primary, "results")["tier"]["transitions"] == [{"days": 0, "storageClass": "INTELLIGENT_TIERING"}]
    assert "tier" not in rules(primary, "logs")


def test_logs_go_when_the_settings_say(dev, prod):
    assert rules(dev, "logs")["expire-all"]["expiration"] == {"days": 14}
    assert rules(prod, "logs")["expire-all"]["expiration"] == {"days": 365}


def test_the_table_of_sessions_forgets_by_itself_and_can_be_wound_back(dev, prod):
    for estate in (dev, prod):
        table = estate.of("dynamodb/table:Table")["sessions-table"]
        assert (table["hashKey"], table["rangeKey"], table["billingMode"]) == ("pk", "sk", "PAY_PER_REQUEST")
        assert table["ttl"] == {"attributeName": "expires_at", "enabled": True}
        assert table["pointInTimeRecovery"] == {"enabled": True}
        assert table["serverSideEncryption"]["kmsKeyArn"].endswith("key/keys-data")
        assert table["deletionProtectionEnabled"] is (estate is prod)


@pytest.mark.parametrize(("index", "partition"), [("by_created", "listing"), ("by_owner", "owner")])
def test_sessions_are_listed_by_the_time_they_were_made_all_or_an_owners(primary, index, partition):
    table = primary.of("dynamodb/table:Table")["sessions-table"]
    keys = {one["name"]: one["keySchemas"] for one in table["globalSecondaryIndexes"]}
    assert keys[index] == [
        {"attributeName": partition, "keyType": "HASH"},
        {"attributeName": "created", "keyType": "RANGE"},
    ]
    assert {partition, "created"} < {attribute["name"] for attribute in table["attributes"]}


def test_only_a_stack_that_can_be_thrown_away_is_destroyed_with_what_its_buckets_hold(dev, prod):
    assert {b["forceDestroy"] for b in dev.of("s3/bucket:Bucket").values()} == {True}
    assert {b["forceDestroy"] for b in prod.of("s3/bucket:Bucket").values()} == {False}
