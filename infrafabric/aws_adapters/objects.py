"""Objects of an S3 bucket."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from infrafabric.bus.claim_check import check_out
from infrafabric.bus.refusal import Reason, Refused, quoted_value
from infrafabric.swarm.limits import MAX_RESULT_BYTES

_READERS = 16  # concurrent reads; the client's connection pool is twice as large
_MISSING, _DENIED = "NoSuchKey", "AccessDenied"  # S3's codes


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True)
class S3Objects:
    """Reads and writes the objects of one bucket."""

    s3: Any
    bucket: str

    def put(self, key: str, body: bytes) -> str:
        """Store a JSON document. Returns its ``s3://`` URI."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
        return f"s3://{self.bucket}/{key}"

    def put_new(self, key: str, body: bytes) -> bool:
        """Store a JSON document, unless an object with this key exists. Returns whether it was stored."""
        try:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PRECONDITION_FAILED:
                raise
            return False
        return True

    def get(self, key: str, limit_bytes: int | None = None) -> bytes:
        """Return an object's bytes, cut off after ``limit_bytes``."""
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]
        return body.read(limit_bytes) if limit_bytes else body.read()

    def find(self, key: str, limit_bytes: int | None = None) -> bytes | None:
        """Return an object's bytes, cut off after ``limit_bytes``, or None if the object does not exist.

        Raises:
            botocore.exceptions.ClientError: any other error, also a denied access, which says nothing about the object.
        """
        try:
            return self.get(key, limit_bytes)
        except ClientError as error:
            if self._is_missing(key, error):
                return None
            raise

    def find_all(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the objects in the order of ``keys``, None for a missing one, cut off after ``MAX_RESULT_BYTES``.

        One byte more than that is read, so that a larger object is told from one of just this size. Concurrent, because
        fifty reads in sequence take seconds.
        """
        if not keys:
            return []
        with ThreadPoolExecutor(_READERS, thread_name_prefix="read") as pool:
            return list(pool.map(lambda key: self.find(key, MAX_RESULT_BYTES + 1), keys))

    def resolve(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a message's content, fetched from S3 if the message holds a claim-check reference.

        Raises:
            Refused: as ``check_out``; also if the object does not exist (any more), which no retry would change.
            botocore.exceptions.ClientError: any other error, also a denied access.
        """
        try:
            return check_out(content, get=self.get, bucket=self.bucket)
        except ClientError as error:
            if not self._is_missing(split_s3_uri(content["s3_uri"])[1], error):
                raise
            text = f"no object at {quoted_value(content['s3_uri'])}: send the message again"
            raise Refused(Reason.BAD_REFERENCE, text) from None

    def _is_missing(self, key: str, error: ClientError) -> bool:
        """Tell whether an object that could not be read does not exist.

        Without the right to list the bucket, S3 denies a missing object instead of saying that it is missing (Amazon S3
        API Reference, GetObject). Our roles may list some prefixes only, and AWS does not document whether S3 tests
        such a condition here. So a denied object is looked for by its key, which these roles may list.

        Raises:
            botocore.exceptions.ClientError: also the list is denied.
        """
        code = error.response["Error"]["Code"]
        if code != _DENIED:
            return code == _MISSING
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        return all(one["Key"] != key for one in listed.get("Contents", ()))
