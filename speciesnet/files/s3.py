"""Buckets of Amazon S3; AWS_ENDPOINT_URL selects other servers that speak its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from speciesnet.errors import BrokenBodyError, BrokenConnectionError
from speciesnet.files import clouds
from speciesnet.files.clouds import Sink, Version, status_and_code, translated_errors

PIECE_BYTES = 2**14


class Client:
    """A client of S3; see ``clouds.Cloud``."""

    def __init__(self) -> None:
        session = botocore.session.Session()
        is_anonymous = session.get_credentials() is None  # then only public buckets can be read
        self._client: Any = session.create_client(  # botocore creates its methods at run time
            "s3",
            config=Config(
                connect_timeout=clouds.CONNECT_SECONDS,
                read_timeout=clouds.READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": clouds.ATTEMPTS},
                max_pool_connections=clouds.CONNECTIONS,
                signature_version=UNSIGNED if is_anonymous else None,
            ),
        )

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        """Writes an object to a sink, piece by piece."""
        with translated_errors("s3", bucket):
            response = self._client.get_object(Bucket=bucket, Key=key)
            with closing(response["Body"]) as body:
                try:
                    with translated_errors("s3", bucket):
                        clouds.copy_to(sink, body.iter_chunks(PIECE_BYTES))
                except BrokenConnectionError as error:
                    raise BrokenBodyError(error.reason) from error
            return _version(response)

    def version(self, bucket: str, key: str) -> Version | None:
        """The version of an object; None if there is no such object."""
        with translated_errors("s3", bucket):
            try:
                return _version(self._client.head_object(Bucket=bucket, Key=key))
            except ClientError as error:
                if status_and_code(error)[0] == 404:
                    return None
            # The response to HEAD has no body with the reason; the response to GET has one.
            try:
                response = self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if status_and_code(error)[1] == "NoSuchKey":  # the cloud has recovered
                    return None
                raise
            response["Body"].close()
            return _version(response)

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        """Creates or replaces an object; see ``clouds.Cloud.write``."""

        def put(**condition: str) -> Version:
            source.seek(0)
            response = self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=source,
                ContentLength=size,
                ContentType=clouds.content_type(key),
                Metadata={clouds.NOTE: note},
                **condition,
            )
            return Version(response["ETag"], note)

        with translated_errors("s3", bucket):
            try:
                return put(**({"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}))
            except ClientError as error:
                if status_and_code(error)[1] != "NotImplemented":
                    raise
                return put()  # a server without conditions; the caller has just checked the version

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys of all objects that start with a prefix."""
        with translated_errors("s3", bucket):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", ()):
                    yield item["Key"]


def _version(response: Mapping[str, Any]) -> Version:
    return Version(response["ETag"], clouds.note_in(response.get("Metadata")))
