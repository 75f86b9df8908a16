"""Attacks of unreviewed code and of deployments, with the credentials of the GitHub Actions roles on the emulator.

Three stacks in one account: dev, prod and prod-secondary. Each has its GitHub roles and one role of its own. The
emulator has AWS's own ReadOnlyAccess and PowerUserAccess, and enforces IAM.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pulumi import Output, ResourceOptions

from infra import settings
from infra.guardrails.boundary import Boundary, BoundaryArgs
from infra.guardrails.github import GithubOidc, GithubOidcArgs
from infra.guardrails.pulumi_state import PulumiState
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infra.settings import GithubOidcSettings
from infrafabric.operators import bootstrap
from local import deploy, stack
from local import platform as local_platform
from local.platform import ACCOUNT, Platform
from tests.engine.workspace import NO_CLI

REGION = "us-west-2"  # of the state: prod's recovery region
BUCKET = f"infrafabric-pulumi-{ACCOUNT}-{REGION}"
RESULTS = f"infrafabric-prod-results-{ACCOUNT}-us-east-1"
SECRET = "infrafabric-prod-anthropic-api-key"
PRIMARY = settings.PrimarySettings(stack="organization/infrafabric/prod", region="us-east-1")
STACKS = {"dev": ("dev", "us-east-1"), "prod": ("prod", "us-east-1"), "prod-secondary": ("prod", REGION)}
PULL_REQUEST = "pull_request"
REVIEWED = "environment:prod-preview"
MAIN = "ref:refs/heads/main"


@dataclass(frozen=True)
class Account:
    """AWS account with three stacks, and clients with the credentials of their GitHub roles."""

    platform: Platform

    def credentials(self, stack_name: str, purpose: str, subject: str) -> dict[str, str]:
        """Return the credentials that a workflow job whose token has ``subject`` gets for a role."""
        claims = {
            "iss": "https://token.actions.githubusercontent.com",
            "aud": "sts.amazonaws.com",
            "sub": f"repo:acme/fabric:{subject}",
        }
        parts = ({"alg": "none"}, claims)
        token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        given = self.platform.client("sts").assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/infrafabric-{stack_name}-github-{purpose}",
            RoleSessionName="workflow",
            WebIdentityToken=f"{token}.",
        )["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def preview(self, stack_name: str) -> Clients:
        subject = PULL_REQUEST if stack_name == "dev" else REVIEWED
        return Clients(self.platform.endpoint_url, self.credentials(stack_name, "preview", subject))

    def drift(self, stack_name: str) -> Clients:
        return Clients(self.platform.endpoint_url, self.credentials(stack_name, "drift", MAIN))

    def deploy(self, stack_name: str) -> Clients:
        subject = f"environment:{stack_name}"
        return Clients(self.platform.endpoint_url, self.credentials(stack_name, "deploy", subject))


@dataclass(frozen=True)
class Clients:
    """boto3 clients with the credentials of one role."""

    endpoint_url: str
    credentials: dict[str, str]

    def of(self, service: str, region: str = REGION) -> Any:
        config = Config(retries={"max_attempts": 1})
        return boto3.client(
            service, endpoint_url=self.endpoint_url, region_name=region, config=config, **self.credentials
        )

    def read(self, key: str, bucket: str = BUCKET, **version: str) -> bytes:
        return self.of("s3").get_object(Bucket=bucket, Key=key, **version)["Body"].read()

    def write(self, key: str, bucket: str = BUCKET) -> None:
        self.of("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")


def checkpoint(stack_name: str, ending: str = ".json") -> str:
    return f".pulumi/stacks/infrafabric/{stack_name}{ending}"


@pytest.fixture(scope="module")
def fresh_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Account with the roles of three stacks, and an empty bucket for their state."""
    with local_platform.running(tmp_path_factory.mktemp("fresh-account"), only_emulator=True) as platform:
        yield _prepared(platform)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Account with the roles of three stacks, and with what the attacks look for."""
    with local_platform.running(tmp_path_factory.mktemp("account"), only_emulator=True) as platform:
        _fill(platform)
        yield _prepared(platform)


def _prepared(platform: Platform) -> Account:
    _bootstrap(platform)
    for stack_name, (environment, region) in STACKS.items():
        context = stack.emulator_context(platform, region)
        program = _program(stack_name, environment, region)
        deploy.deploy(program, stack_name=stack_name, config={}, context=context)
    return Account(platform)


def _bootstrap(platform: Platform) -> None:
    clients = {service: platform.client(service, REGION) for service in ("s3", "kms", "iam")}
    for step in bootstrap.steps(bootstrap.Names.of(REGION, ACCOUNT), **clients):
        if not step.done():
            step.make()


def _program(stack_name: str, environment: str, region: str) -> Any:
    def program() -> None:
        context = StackContext(
            stack=stack_name,
            environment=environment,
            region=region,
            cost_center="tests",
            account_id=Output.from_input(ACCOUNT),
        )
        state = PulumiState(context=context, primary=PRIMARY if stack_name == "prod-secondary" else None)
        boundary = Boundary("boundary", BoundaryArgs(context=context, allowed_regions=[REGION], state=state))
        bound = ResourceOptions(transformations=[boundary.bind])
        Role("api", context.tags("api", DataClass.NONE, "api"), bound, service="lambda.amazonaws.com")
        GithubOidc(
            "github",
            GithubOidcArgs(
                context=context,
                settings=GithubOidcSettings(repository="acme/fabric", create_provider=stack_name == "dev"),
                boundary=boundary,
                data_key_arn=context.arn("kms", "key/data"),
                state=state,
            ),
        )

    return program


def _fill(platform: Platform) -> None:
    """Store what the attacks look for: state of all stacks, and prod's results and secret."""
    _bootstrap(platform)
    s3 = platform.client("s3", REGION)
    keys = [".pulumi/meta.yaml", ".pulumi/locks/organization/infrafabric/prod/a.json"]
    for stack_name in STACKS:
        keys += [checkpoint(stack_name, ending) for ending in (".json", ".json.bak")]
        keys += [f".pulumi/{kind}/infrafabric/{stack_name}/1.json" for kind in ("history", "backups")]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    s3_of_prod = platform.client("s3")
    s3_of_prod.create_bucket(Bucket=RESULTS)
    s3_of_prod.put_object(Bucket=RESULTS, Key="sessions/report.json", Body=b"{}")
    tags = [{"Key": "Project", "Value": "infrafabric"}, {"Key": "Environment", "Value": "prod"}]
    platform.client("secretsmanager").create_secret(Name=SECRET, SecretString="key", Tags=tags)
    platform.client("sqs").create_queue(
        QueueName="infrafabric-prod-h01-inbox", tags={tag["Key"]: tag["Value"] for tag in tags}
    )
    platform.client("dynamodb").create_table(
        TableName="infrafabric-prod-sessions",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=tags,
    )


def denied(call: Any, *args: Any, **more: Any) -> bool:
    """Tell whether IAM denies the call; every other error is the test's."""
    try:
        call(*args, **more)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
            return True
        raise
    return False


@pytest.mark.parametrize("stack_name", STACKS)
def test_a_preview_reads_the_checkpoint_of_its_stack_and_the_layout_of_the_state(account, stack_name):
    preview = account.preview(stack_name)
    assert preview.read(".pulumi/meta.yaml") == b"{}"
    assert preview.read(checkpoint(stack_name)) == b"{}"
    with pytest.raises(ClientError, match="NoSuchKey"):  # 403 would end every command of the CLI
        preview.read(checkpoint(stack_name, ".pulumi-tags"))


def test_a_standbys_preview_reads_its_primarys_checkpoint(account):
    assert account.preview("prod-secondary").read(checkpoint("prod")) == b"{}"


@pytest.mark.parametrize(
    ("stack_name", "key"),
    [
        ("dev", checkpoint("prod")),
        ("dev", checkpoint("prod-secondary")),
        ("prod", checkpoint("prod-secondary")),
        ("prod", checkpoint("dev")),
        ("prod", checkpoint("prod", ".json.bak")),
        ("prod", ".pulumi/locks/organization/infrafabric/prod/a.json"),
        *((own, f".pulumi/{kind}/infrafabric/{own}/1.json") for own in STACKS for kind in ("history", "backups")),
        *(("dev", f".pulumi/{kind}/infrafabric/prod/1.json") for kind in ("history", "backups")),
    ],
)
def test_a_preview_reads_no_other_checkpoint_no_history_and_no_backup(account, stack_name, key):
    assert denied(account.preview(stack_name).read, key)


def test_a_preview_reads_no_older_version_of_its_checkpoint(account):
    """The bucket keeps versions for 90 days; an old one is encrypted with the key before a rotation."""
    s3 = account.platform.client("s3", REGION)
    version = s3.put_object(Bucket=BUCKET, Key=checkpoint("dev"), Body=b"{}")["VersionId"]
    assert denied(account.preview("dev").read, checkpoint("dev"), VersionId=version)


def test_a_preview_writes_nothing(account):
    preview = account.preview("dev")
    assert denied(preview.write, checkpoint("dev"))
    assert denied(preview.write, ".pulumi/locks/organization/infrafabric/dev/a.json")


@pytest.mark.parametrize("stack_name", STACKS)
def test_a_preview_reads_no_content_of_any_stack(account, stack_name):
    preview = account.preview(stack_name)
    assert denied(preview.read, "sessions/report.json", RESULTS)
    assert denied(preview.of("s3").list_objects_v2, Bucket=RESULTS)
    assert denied(preview.of("secretsmanager", "us-east-1").get_secret_value, SecretId=SECRET)
    table = "infrafabric-prod-sessions"
    assert denied(preview.of("dynamodb", "us-east-1").scan, TableName=table)
    queue = f"{account.platform.endpoint_url}/{ACCOUNT}/infrafabric-prod-h01-inbox"
    assert denied(preview.of("sqs", "us-east-1").receive_message, QueueUrl=queue)


def ciphertext(account: Account, alias: str) -> bytes:
    kms = account.platform.client("kms", REGION)
    return kms.encrypt(KeyId=alias, Plaintext=b"a data key of Pulumi")["CiphertextBlob"]


@pytest.mark.parametrize("purpose", ["preview", "drift", "deploy"])
@pytest.mark.parametrize(
    ("stack_name", "own", "others"),
    [("dev", "dev", "prod"), ("prod", "prod", "dev"), ("prod-secondary", "prod", "dev")],
)
def test_a_role_decrypts_the_secrets_of_its_environment_alone(account, purpose, stack_name, own, others):
    kms = getattr(account, purpose)(stack_name).of("kms")
    mine = ciphertext(account, f"alias/infrafabric-pulumi-{own}")
    assert kms.decrypt(CiphertextBlob=mine)["Plaintext"] == b"a data key of Pulumi"
    assert denied(kms.decrypt, CiphertextBlob=ciphertext(account, f"alias/infrafabric-pulumi-{others}"))


@pytest.mark.parametrize("purpose", ["preview", "drift", "deploy"])
@pytest.mark.parametrize("stack_name", STACKS)
def test_the_key_of_release_0_1_0_decrypts_no_old_checkpoint_for_a_workflow(account, purpose, stack_name):
    kms = getattr(account, purpose)(stack_name).of("kms")
    assert denied(kms.decrypt, CiphertextBlob=ciphertext(account, "alias/infrafabric-pulumi"))


@pytest.mark.parametrize("subject", [PULL_REQUEST, MAIN, "ref:refs/heads/a-branch", "environment:prod"])
@pytest.mark.parametrize("stack_name", ["prod", "prod-secondary"])
def test_prods_preview_role_is_for_the_environment_with_reviewers_alone(account, stack_name, subject):
    """A branch can change the workflow, but not the subject of a job without approval."""
    assert denied(account.credentials, stack_name, "preview", subject)
    assert account.credentials(stack_name, "preview", REVIEWED)


@pytest.mark.parametrize("purpose", ["drift", "deploy"])
def test_a_pull_request_gets_no_other_role(account, purpose):
    for stack_name in STACKS:
        for subject in (PULL_REQUEST, REVIEWED):
            assert denied(account.credentials, stack_name, purpose, subject)


def test_a_drift_check_reads_what_a_preview_reads_and_its_own_buckets(account):
    prod = account.drift("prod")
    assert prod.read(checkpoint("prod")) == prod.read("sessions/report.json", RESULTS) == b"{}"
    dev = account.drift("dev")
    assert denied(dev.read, checkpoint("prod"))
    assert denied(dev.read, "sessions/report.json", RESULTS)
    assert denied(prod.read, ".pulumi/history/infrafabric/prod/1.json")
    assert denied(dev.of("secretsmanager", "us-east-1").get_secret_value, SecretId=SECRET)


def test_a_deployment_reads_and_writes_the_state_of_its_stack(account):
    dev = account.deploy("dev")
    for key in (
        checkpoint("dev"),
        checkpoint("dev", ".json.bak"),
        ".pulumi/history/infrafabric/dev/2.json",
        ".pulumi/backups/infrafabric/dev/2.json",
        ".pulumi/locks/organization/infrafabric/dev/a.json",
    ):
        dev.write(key)
        assert dev.read(key) == b"{}"
    dev.of("s3").delete_object(Bucket=BUCKET, Key=".pulumi/locks/organization/infrafabric/dev/a.json")


@pytest.mark.parametrize(("stack_name", "victim"), [("dev", "prod"), ("prod", "dev"), ("prod", "prod-secondary")])
def test_a_deployment_touches_no_state_of_another_stack(account, stack_name, victim):
    role = account.deploy(stack_name)
    for key in (checkpoint(victim), f".pulumi/history/infrafabric/{victim}/1.json"):
        assert denied(role.read, key)
        assert denied(role.write, key)


def test_a_standbys_deployment_reads_its_primarys_checkpoint_and_does_not_write_it(account):
    standby = account.deploy("prod-secondary")
    assert standby.read(checkpoint("prod")) == b"{}"
    assert denied(standby.write, checkpoint("prod"))


def test_a_deployment_opens_no_way_around_the_keys_and_the_bucket_of_the_state(account):
    dev = account.deploy("dev")
    kms, prod_key = dev.of("kms"), "alias/infrafabric-pulumi-prod"
    (prod_arn,) = {account.platform.client("kms", REGION).describe_key(KeyId=prod_key)["KeyMetadata"]["Arn"]}
    mine = account.platform.client("kms", REGION).describe_key(KeyId="alias/infrafabric-pulumi-dev")["KeyMetadata"]
    assert denied(kms.update_alias, AliasName="alias/infrafabric-pulumi-dev", TargetKeyId=prod_arn)
    assert denied(kms.delete_alias, AliasName=prod_key)
    assert denied(kms.create_grant, KeyId=prod_arn, GranteePrincipal=mine["Arn"], Operations=["Decrypt"])
    assert denied(kms.schedule_key_deletion, KeyId=mine["Arn"])
    assert denied(dev.of("s3").put_bucket_policy, Bucket=BUCKET, Policy="{}")


def test_a_deployment_of_dev_touches_nothing_that_is_tagged_as_prods(account):
    dev = account.deploy("dev")
    assert denied(dev.of("secretsmanager", "us-east-1").get_secret_value, SecretId=SECRET)
    assert denied(dev.of("dynamodb", "us-east-1").scan, TableName="infrafabric-prod-sessions")
    assert denied(dev.read, "sessions/report.json", RESULTS)


TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
)
RIGHTS = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@pytest.mark.parametrize("victim", ["infrafabric-prod-secondary-api", "infrafabric-dev-api"])
def test_a_deployment_of_prod_changes_no_role_of_another_stack(account, victim):
    """The name of prod-secondary's role begins like those of prod's own."""
    iam = account.deploy("prod").of("iam")
    change_trust = {"RoleName": victim, "PolicyDocument": TRUST}
    adopt = {"RoleName": victim, "Tags": [{"Key": "Stack", "Value": "prod"}]}
    assert denied(iam.tag_role, **adopt)
    assert denied(iam.update_assume_role_policy, **change_trust)
    assert denied(iam.untag_role, RoleName=victim, TagKeys=["Stack", "Project"])
    assert denied(iam.update_role, RoleName=victim, MaxSessionDuration=7200)
    assert denied(iam.delete_role, RoleName=victim)
    assert denied(iam.put_role_policy, RoleName=victim, PolicyName="granted", PolicyDocument=RIGHTS)


def test_a_deployment_creates_changes_and_deletes_roles_of_its_stack_within_the_boundary(account):
    iam = account.deploy("prod").of("iam")
    role = {"RoleName": "infrafabric-prod-new", "AssumeRolePolicyDocument": TRUST}
    boundary = {"PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/infrafabric-prod-boundary"}
    tags = [{"Key": "Project", "Value": "infrafabric"}, {"Key": "Stack", "Value": "prod"}]
    assert denied(iam.create_role, **role, Tags=tags), "without the boundary"
    assert denied(iam.create_role, **role, **boundary), "without the tag"
    foreign = [tags[0], {"Key": "Stack", "Value": "prod-secondary"}]
    assert denied(iam.create_role, **role, **boundary, Tags=foreign)
    iam.create_role(**role, **boundary, Tags=tags)
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=TRUST)
    iam.tag_role(RoleName=role["RoleName"], Tags=[{"Key": "CostCenter", "Value": "research"}])
    assert denied(iam.tag_role, RoleName=role["RoleName"], Tags=foreign)
    iam.delete_role(RoleName=role["RoleName"])


def test_a_role_of_the_platform_reads_no_state_whatever_a_deployment_grants_it(account):
    """A deployment could give a function of its own every right within the boundary."""
    account.deploy("dev").of("iam").put_role_policy(
        RoleName="infrafabric-dev-api", PolicyName="granted", PolicyDocument=RIGHTS
    )
    given = account.platform.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/infrafabric-dev-api", RoleSessionName="function"
    )["Credentials"]
    function = Clients(
        account.platform.endpoint_url,
        {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        },
    )
    for stack_name in STACKS:
        assert denied(function.read, checkpoint(stack_name))
    for alias in ("alias/infrafabric-pulumi", "alias/infrafabric-pulumi-dev", "alias/infrafabric-pulumi-prod"):
        assert denied(function.of("kms").decrypt, CiphertextBlob=ciphertext(account, alias))
    assert denied(function.of("secretsmanager", "us-east-1").get_secret_value, SecretId=SECRET)


PROGRAM = """
import pulumi

pulumi.export("password", pulumi.Output.secret("of " + pulumi.get_stack()))
if primary := pulumi.Config().get("primary"):
    pulumi.export("handed_over", pulumi.StackReference(primary).get_output("password"))
"""


@dataclass(frozen=True)
class Project:
    """Pulumi project with a small program and its state in the account's bucket."""

    folder: Path
    account: Account

    def run(self, credentials: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "AWS_ENDPOINT_URL": self.account.platform.endpoint_url,
            "AWS_REGION": REGION,
            "PULUMI_BACKEND_URL": f"s3://{BUCKET}?region={REGION}&s3ForcePathStyle=true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **{name.upper(): value for name, value in credentials.items()},
        }
        command = ["pulumi", *words, "--non-interactive"]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def administer(self, *words: str) -> None:
        done = self.run({"aws_access_key_id": "test", "aws_secret_access_key": "test"}, *words)
        assert done.returncode == 0, done.stderr + done.stdout

    def objects(self) -> set[tuple[str, str]]:
        listed = self.account.platform.client("s3", REGION).list_objects_v2(Bucket=BUCKET)["Contents"]
        return {(found["Key"], found["ETag"]) for found in listed}


@pytest.fixture(scope="module")
def project(fresh_account: Account, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    (folder / "Pulumi.yaml").write_text(json.dumps({"name": "infrafabric", "runtime": runtime}))
    (folder / "__main__.py").write_text(PROGRAM)
    project = Project(folder, fresh_account)
    for stack_name, (environment, _) in STACKS.items():
        key = f"awskms://alias/infrafabric-pulumi-{environment}?region={REGION}"
        project.administer("stack", "init", stack_name, f"--secrets-provider={key}")
    project.administer("config", "set", "primary", PRIMARY.stack, "--stack", "prod-secondary")
    return project


@NO_CLI
def test_pulumi_updates_and_previews_each_stack_with_its_roles_and_a_preview_writes_nothing(project):
    account = project.account
    for stack_name in STACKS:
        updated = project.run(account.deploy(stack_name).credentials, "up", "--yes", "--stack", stack_name)
        assert updated.returncode == 0, updated.stderr + updated.stdout
    before = project.objects()
    for stack_name in STACKS:
        for role in (account.preview(stack_name), account.drift(stack_name)):
            name = f"organization/infrafabric/{stack_name}"
            previewed = project.run(role.credentials, "preview", "--refresh", "--stack", name, "--expect-no-changes")
            assert previewed.returncode == 0, previewed.stderr + previewed.stdout
    assert project.objects() == before, "no lock, no history"


@NO_CLI
def test_pulumi_hands_nothing_of_prod_over_to_a_program_that_a_pull_request_changed(project):
    """The attack of a branch: dev's preview with a reference to prod."""
    project.administer("config", "set", "primary", PRIMARY.stack, "--stack", "dev")
    previewed = project.run(project.account.preview("dev").credentials, "preview", "--stack", "dev")
    assert previewed.returncode != 0
    assert "Forbidden" in previewed.stdout
    assert "of prod" not in previewed.stdout


@NO_CLI
def test_a_moved_stack_leaves_checkpoints_of_the_old_key_that_no_workflow_can_decrypt(project):
    """Why an account of release 0.1.0 rotates its secrets after the move."""
    provider = f"awskms://alias/infrafabric-pulumi?region={REGION}"
    project.administer("stack", "init", "older", f"--secrets-provider={provider}")
    project.administer("up", "--yes", "--stack", "older")
    new = f"awskms://alias/infrafabric-pulumi-prod?region={REGION}"
    project.administer("stack", "change-secrets-provider", "--stack", "older", new)
    s3 = project.account.platform.client("s3", REGION)
    used = {
        key: json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        for key, _ in project.objects()
        if "/older" in key and not key.endswith(".history.json")
    }
    providers = {key: document["checkpoint"]["latest"]["secrets_providers"]["state"] for key, document in used.items()}
    assert providers[checkpoint("older")]["url"] == new
    old = {key: state for key, state in providers.items() if state["url"] == provider}
    assert {key.split("/")[1] for key in old} == {"stacks", "history", "backups"}, "and the copy .json.bak"
    (encrypted,) = {state["encryptedkey"] for state in old.values()}
    for role in (project.account.preview("prod"), project.account.deploy("dev")):
        assert denied(role.of("kms").decrypt, CiphertextBlob=base64.b64decode(encrypted))
