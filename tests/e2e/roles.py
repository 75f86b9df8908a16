"""Clients with the credentials of a function's role, as whoever took the function over has them."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from local.platform import ACCOUNT, REGION
from tests.e2e.conftest import Stage


def client_as(stage: Stage, function: str, service: str) -> Any:
    """Return a boto3 client with the credentials of a function's role."""
    role = f"arn:aws:iam::{ACCOUNT}:role/infrafabric-dev-{function}"
    given = stage.platform.client("sts").assume_role(RoleArn=role, RoleSessionName=function)["Credentials"]
    return boto3.client(
        service,
        endpoint_url=stage.platform.endpoint_url,
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        config=Config(retries={"max_attempts": 1}),
    )
