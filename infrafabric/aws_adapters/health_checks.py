"""Health checks of AWS resources. Each check is one read, and returns "" or the reason why the resource is unusable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infrafabric.swarm.table_keys import PARTITION_KEY, SORT_KEY

Check = Callable[[], str]
_NO_SESSION = "health"  # no session's key: keys of sessions name a region and an epoch


def table_check(dynamodb: Any, table: str) -> Check:
    """Return a check that reads an item of the table which need not exist."""
    key = {PARTITION_KEY: {"S": _NO_SESSION}, SORT_KEY: {"S": _NO_SESSION}}
    return _check(lambda: dynamodb.get_item(TableName=table, Key=key))


def topic_check(sns: Any, topic_arn: str) -> Check:
    """Return a check that reads the topic's attributes."""
    return _check(lambda: sns.get_topic_attributes(TopicArn=topic_arn))


def key_check(kms: Any, key_arn: str) -> Check:
    """Return a check that reads the key's description, and requires an enabled key."""

    def state() -> str:
        found = kms.describe_key(KeyId=key_arn)["KeyMetadata"]["KeyState"]
        return "" if found == "Enabled" else f"the key is {found}"

    return _check(state)


def _check(read: Callable[[], Any]) -> Check:
    def check() -> str:
        try:
            found = read()
        except ClientError as error:
            return error.response["Error"]["Code"]
        except BotoCoreError as error:  # no connection, no credentials, a timeout
            return type(error).__name__
        return found if isinstance(found, str) else ""

    return check
