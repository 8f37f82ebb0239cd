"""Buckets on servers on this machine, and the responses of clouds that refuse a request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults import Answer, Proxy

AZURE_ACCOUNT = "devstoreaccount1"
# Azurite's own, printed in its documentation: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
EXPIRED = {
    "s3": Answer(
        400, b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
    ),
    "gs": Answer(
        401,
        b'{"error": {"code": 401, "message": "Invalid Credentials"}}',
        {"Content-Type": "application/json"},
    ),
    "az": Answer(
        403,
        b"<Error><Code>AuthenticationFailed</Code><Message>Not valid now.</Message></Error>",
        {"x-ms-error-code": "AuthenticationFailed", "Content-Type": "application/xml"},
    ),
}
FORBIDDEN = {
    "s3": Answer(403, b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"),
    "gs": Answer(
        403,
        b'{"error": {"code": 403, "message": "does not have access"}}',
        {"Content-Type": "application/json"},
    ),
    "az": Answer(
        403,
        b"<Error><Code>AuthorizationFailure</Code><Message>No.</Message></Error>",
        {"x-ms-error-code": "AuthorizationFailure", "Content-Type": "application/xml"},
    ),
}


@dataclass
class Bucket:
    """A new bucket behind a proxy.

    Attributes:
        scheme: The scheme of its URLs.
        name: The name of the bucket.
        proxy: The proxy between the program and the server.
        put: Makes an object, past the proxy.
        get: Reads one, past the proxy.
        names: The names of all objects.
    """

    scheme: str
    name: str
    proxy: Proxy
    put: Callable[[str, bytes], Any]
    get: Callable[[str], bytes]
    names: Callable[[], list[str]]

    def url(self, key: str = "") -> str:
        return f"{self.scheme}://{self.name}/{key}"

    def put_file(self, key: str, path: Path) -> str:
        self.put(key, path.read_bytes())
        return self.url(key)


@functools.cache
def _client_past(port: int) -> Any:
    import boto3

    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")


def _s3(name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for variable, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": proxy.address,
    }.items():
        monkeypatch.setenv(variable, value)
    client: Any = _client_past(proxy.upstream)
    client.create_bucket(Bucket=name)
    return Bucket(
        "s3",
        name,
        proxy,
        lambda key, data: client.put_object(Bucket=name, Key=key, Body=data),
        lambda key: client.get_object(Bucket=name, Key=key)["Body"].read(),
        lambda: [o["Key"] for o in client.list_objects_v2(Bucket=name).get("Contents", ())],
    )


def _gs(name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.upstream}")
    client: Any = storage.Client.create_anonymous_client()
    client.project = "test"
    made = client.create_bucket(name)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.address)
    return Bucket(
        "gs",
        name,
        proxy,
        lambda key, data: made.blob(key).upload_from_string(data),
        lambda key: made.blob(key).download_as_bytes(),
        lambda: [blob.name for blob in client.list_blobs(name)],
    )


def _az(name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    from azure.storage.blob import BlobServiceClient

    def connection(port: int) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{AZURE_ACCOUNT};"
        )

    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection(proxy.port))
    service: Any = BlobServiceClient.from_connection_string(connection(proxy.upstream))
    made = service.create_container(name)
    return Bucket(
        "az",
        name,
        proxy,
        lambda key, data: made.upload_blob(key, data, overwrite=True),
        lambda key: made.download_blob(key).readall(),
        lambda: list(made.list_blob_names()),
    )


MAKERS = {"s3": _s3, "gs": _gs, "az": _az}
