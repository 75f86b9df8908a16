from __future__ import annotations

import json

import pytest

from infra.history.database import _managed_secret


@pytest.fixture
def instance(primary):
    return primary.of("rds/instance:Instance")["database-instance"]


def test_the_database_is_encrypted_private_and_signs_in_with_iam(instance):
    assert instance["storageEncrypted"] is True
    assert instance["kmsKeyId"].endswith("key/keys-data")
    assert instance["publiclyAccessible"] is False
    assert instance["iamDatabaseAuthenticationEnabled"] is True


def test_plain_connections_are_refused_by_the_server(primary, instance):
    (group,) = primary.of("rds/parameterGroup:ParameterGroup").values()
    (forced,) = [one for one in group["parameters"] if one["name"] == "rds.force_ssl"]
    assert forced["value"] == "1"
    assert forced["applyMethod"] == "pending-reboot", "RDS says so of a default, and each preview would change it back"
    assert group["family"] == f"postgres{instance['engineVersion']}"
    assert instance["parameterGroupName"] == group["name"]


def test_it_lies_in_the_isolated_subnets(primary, instance):
    (group,) = primary.of("rds/subnetGroup:SubnetGroup").values()
    assert instance["dbSubnetGroupName"] == group["name"]
    assert all(subnet.startswith("network-database-") for subnet in group["subnetIds"])


def test_prod_survives_a_zone_a_slip_and_a_deletion_and_dev_can_be_thrown_away(dev, prod):
    kept, thrown = (e.of("rds/instance:Instance")["database-instance"] for e in (prod, dev))
    assert (kept["multiAz"], kept["deletionProtection"], kept["skipFinalSnapshot"]) == (True, True, False)
    assert kept["finalSnapshotIdentifier"] == "infrafabric-prod-database-final"
    assert (kept["backupRetentionPeriod"], kept["deleteAutomatedBackups"]) == (30, False)
    assert (thrown["multiAz"], thrown["deletionProtection"], thrown["skipFinalSnapshot"]) == (False, False, True)
    assert "finalSnapshotIdentifier" not in thrown


def test_backups_end_before_maintenance_begins(instance):
    assert instance["backupWindow"] == "03:00-04:00"
    assert instance["maintenanceWindow"] == "sun:04:00-sun:05:00"


def test_its_logs_have_an_end_because_the_groups_were_there_before(primary, instance):
    exports = instance["enabledCloudwatchLogsExports"]
    assert exports == ["postgresql", "upgrade"]
    groups = {g["name"] for g in primary.of("cloudwatch/logGroup:LogGroup").values()}
    assert {f"/aws/rds/instance/{instance['identifier']}/{export}" for export in exports} <= groups
    assert {f"database-log-{export}" for export in exports} <= primary.before("database-instance")


def test_old_majors_cost_nothing_extra_because_they_are_not_kept(instance):
    assert instance["engineLifecycleSupport"] == "open-source-rds-extended-support-disabled"


def test_another_major_is_a_setting_and_its_old_parameters_stay_as_long_as_they_are_in_use(dev, prod):
    """RDS refuses a major upgrade without explicit permission, and refuses to delete a parameter group in use."""
    for estate, stays in ((dev, False), (prod, True)):
        assert estate.of("rds/instance:Instance")["database-instance"]["allowMajorVersionUpgrade"] is True
        (group,) = estate.of("rds/parameterGroup:ParameterGroup").values()
        assert group["skipDestroy"] is stays
        asked = estate.options["database-parameters"]
        assert (asked.deleteBeforeReplaceDefined, asked.deleteBeforeReplace) == (True, False)


def test_minors_come_by_themselves_unless_one_is_named(frugal, instance):
    """RDS never downgrades: after an automatic upgrade every update would request the pinned minor, and fail."""
    assert (instance["engineVersion"], instance["autoMinorVersionUpgrade"]) == ("18", True)
    pinned = frugal.of("rds/instance:Instance")["database-instance"]
    assert (pinned["engineVersion"], pinned["autoMinorVersionUpgrade"]) == ("18.1", False)


def test_storage_that_crosses_into_stripes_says_so_and_smaller_storage_does_not(lavish, instance):
    """RDS accepts IOPS and throughput only from 400 GB on, and requires at least these values."""
    assert not {"iops", "storageThroughput"} & set(instance)
    striped = lavish.of("rds/instance:Instance")["database-instance"]
    assert (striped["allocatedStorage"], striped["iops"], striped["storageThroughput"]) == (400, 12_000, 500)


def test_a_managed_password_is_known_to_rds_alone(dev):
    instance = dev.of("rds/instance:Instance")["database-instance"]
    assert instance["manageMasterUserPassword"] is True
    assert "password" not in instance
    (secret,) = dev.granted("migrator")["ReadMasterSecret"]["Resource"]
    assert ":secret:rds!" in secret


def test_a_password_of_our_own_is_stored_in_the_shape_that_rds_gives_to_its_own(prod):
    instance = prod.of("rds/instance:Instance")["database-instance"]
    assert "manageMasterUserPassword" not in instance
    stored = prod.of("secretsmanager/secretVersion:SecretVersion")["database-master-value"]
    assert json.loads(stored["secretString"]) == {"username": "ifadmin", "password": instance["password"]}


def test_the_recorder_signs_in_as_itself_and_not_as_the_master(primary):
    (user,) = primary.granted("recorder")["Connect"]["Resource"]
    assert user == "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-MOCK/recorder"
    variables = primary.of("lambda/function:Function")["migrator-function"]["environment"]["variables"]
    assert (variables["DB_USER"], variables["RECORDER_USER"]) == ("ifadmin", "recorder")


def test_a_preview_that_hands_the_password_to_rds_passes_before_there_is_a_managed_secret():
    assert _managed_secret([]) == ""
