"""Buckets of Google Cloud Storage; STORAGE_EMULATOR_HOST selects a server without credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import google.auth
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter

from speciesnet.files import clouds
from speciesnet.files.clouds import Sink, Version, translated_errors


class Client:
    """A client of Google Cloud Storage; see ``clouds.Cloud``."""

    def __init__(self) -> None:
        self._client = _new_client()
        for scheme in ("https://", "http://"):
            self._client._http.mount(scheme, HTTPAdapter(pool_maxsize=clouds.CONNECTIONS))

    @property
    def _options(self) -> dict[str, Any]:  # keyword arguments of different types
        return {
            "timeout": (clouds.CONNECT_SECONDS, clouds.READ_SECONDS),
            "retry": DEFAULT_RETRY.with_delay(0.5, 10).with_timeout(clouds.READ_SECONDS),
        }

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        """Writes an object to a sink, piece by piece."""
        with translated_errors("gs", bucket):
            blob = self._client.bucket(bucket).blob(key)
            blob.download_to_file(sink, **self._options)
            if blob.generation is None:  # emulators do not send it with the content
                blob.reload(**self._options)
            return _version(blob)

    def version(self, bucket: str, key: str) -> Version | None:
        """The version of an object; None if there is no such object."""
        with translated_errors("gs", bucket):
            blob = self._client.bucket(bucket).get_blob(key, **self._options)
            return blob and _version(blob)

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        """Creates or replaces an object; see ``clouds.Cloud.write``."""
        with translated_errors("gs", bucket):
            blob = self._client.bucket(bucket).blob(key)
            blob.metadata = {clouds.NOTE: note}
            blob.upload_from_file(
                source,
                size=size,
                content_type=clouds.content_type(key),
                if_generation_match=int(replaces or 0),
                **self._options,
            )
            return _version(blob)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys of all objects that start with a prefix."""
        fields = "items(name),nextPageToken"
        with translated_errors("gs", bucket):
            for blob in self._client.list_blobs(
                bucket, prefix=prefix, fields=fields, **self._options
            ):
                yield blob.name


def _new_client() -> storage.Client:
    if not os.environ.get("STORAGE_EMULATOR_HOST"):
        try:
            credentials, project = google.auth.default()
            return storage.Client(credentials=credentials, project=project or "none")
        except DefaultCredentialsError:
            pass
    return storage.Client.create_anonymous_client()


def _version(blob: storage.Blob) -> Version:
    return Version(str(blob.generation), clouds.note_in(blob.metadata))
