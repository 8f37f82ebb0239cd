"""Containers of Azure Blob Storage.

The account is in AZURE_STORAGE_CONNECTION_STRING, or named by AZURE_STORAGE_ACCOUNT.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import requests
from azure.core import MatchConditions
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobProperties, BlobServiceClient, ContentSettings, ExponentialRetry
from requests.adapters import HTTPAdapter

from speciesnet.errors import CredentialsError
from speciesnet.files import clouds
from speciesnet.files.clouds import Sink, Version, translated_errors


class Client:
    """A client of Azure; see ``clouds.Cloud``."""

    def __init__(self) -> None:
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=clouds.CONNECTIONS))
        retries = ExponentialRetry(
            initial_backoff=1,
            increment_base=2,
            random_jitter_range=1,
            retry_total=clouds.ATTEMPTS - 1,
        )
        self._client = _new_client(
            transport=RequestsTransport(session=session, session_owner=False),
            retry_policy=retries,
            connection_timeout=clouds.CONNECT_SECONDS,
            read_timeout=clouds.READ_SECONDS,
        )

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        """Writes an object to a sink, piece by piece."""
        with translated_errors("az", bucket):
            stream = self._client.get_blob_client(bucket, key).download_blob()
            clouds.copy_to(sink, stream.chunks())
            return _version(stream.properties)

    def version(self, bucket: str, key: str) -> Version | None:
        """The version of an object; None if there is no such object."""
        try:
            with translated_errors("az", bucket):
                return _version(self._client.get_blob_client(bucket, key).get_blob_properties())
        except FileNotFoundError:
            return None

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        """Creates or replaces an object; see ``clouds.Cloud.write``."""
        condition: dict[str, Any] = {"overwrite": False}  # keyword arguments of different types
        if replaces:
            unmodified = MatchConditions.IfNotModified
            condition = {"overwrite": True, "etag": replaces, "match_condition": unmodified}
        with translated_errors("az", bucket):
            response = self._client.get_blob_client(bucket, key).upload_blob(
                source,
                length=size,
                metadata={clouds.NOTE: note},
                content_settings=ContentSettings(content_type=clouds.content_type(key)),
                **condition,
            )
            return Version(response["etag"], note)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys of all objects that start with a prefix."""
        with translated_errors("az", bucket):
            container = self._client.get_container_client(bucket)
            yield from container.list_blob_names(name_starts_with=prefix)


def _new_client(**options: Any) -> BlobServiceClient:
    """A client of the account in the environment, with the options of the library."""
    if connection := os.environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        try:
            return BlobServiceClient.from_connection_string(connection, **options)
        except ValueError as error:
            raise CredentialsError(
                "AZURE_STORAGE_CONNECTION_STRING is malformed. Copy it from the account's keys."
            ) from error
    account = os.environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise CredentialsError(
            "az:// needs an account. Set AZURE_STORAGE_CONNECTION_STRING, or set "
            "AZURE_STORAGE_ACCOUNT and run az login."
        )
    from azure.identity import DefaultAzureCredential  # slow to import, and needed here only

    url = f"https://{account}.blob.core.windows.net"
    return BlobServiceClient(url, credential=DefaultAzureCredential(), **options)


def _version(properties: BlobProperties) -> Version:
    return Version(properties.etag, clouds.note_in(properties.metadata))
