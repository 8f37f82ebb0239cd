"""Objects in the buckets of S3, Google Cloud Storage and Azure Blob Storage.

Each cloud is spoken to by its own library, through one client for all threads. The library finds
credentials where it always does; nothing here takes, keeps or prints any.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple, Protocol

from speciesnet.errors import (
    BrokenBodyError,
    BrokenConnectionError,
    CredentialsError,
    InputError,
    ObjectChangedError,
    RemoteError,
)

EXTRAS = ("az", "gs", "s3")  # of the package, and schemes of URLs
CONNECT_SECONDS = 10
READ_SECONDS = 30  # between two pieces of an answer
ATTEMPTS = 5  # of one request, with growing pauses between them
CONNECTIONS = 64  # that are kept open; at least as many as there are readers
PIECE_BYTES = 2**14
# By which browsers show pages and tables; not mimetypes, whose answers are of the computer it runs on.
CONTENT_TYPES = {
    ".css": "text/css", ".csv": "text/csv", ".html": "text/html", ".jpg": "image/jpeg",
    ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml",
}  # fmt: skip
NOTE = "speciesnet"  # the name of the metadata that tells who wrote an object

_LIBRARIES = ("azure", "boto3", "botocore", "google", "requests", "urllib3")
_SIGN_IN = {
    "az": "with a new AZURE_STORAGE_CONNECTION_STRING, or az login",
    "gs": "with gcloud auth application-default login",
    "s3": "with aws sso login, or aws configure",
}
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
_CREDENTIALS = frozenset(
    {
        # Codes in answers of S3 and Azure.
        "AuthenticationFailed",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidAuthenticationInfo",
        "InvalidClientTokenId",
        "InvalidToken",
        "NoAuthenticationInformation",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        # What the libraries raise before they ask.
        "ClientAuthenticationError",
        "CredentialUnavailableError",
        "InvalidOperation",  # of Google's: asked without any
        "NoCredentialsError",
        "PartialCredentialsError",
        "RefreshError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)


class Version(NamedTuple):
    """Of an object: what changes whenever it is written, and who wrote it (or "")."""

    tag: str
    note: str


class Sink(Protocol):
    """Where bytes go; what it raises ends the reading."""

    def write(self, data: bytes, /) -> int:
        """Takes all of them."""
        ...


class Cloud(Protocol):
    """One kind of buckets; raises ``OSError`` or ``CredentialsError``, through ``in_words``."""

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        """Gives an object piece by piece."""
        ...

    def version(self, bucket: str, key: str) -> Version | None:
        """Of an object, without reading it; None where there is none."""
        ...

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        """Makes or replaces an object, at once or not at all.

        Args:
            bucket: Its name.
            key: Of the object.
            source: What it holds.
            size: Bytes.
            replaces: The tag that it must have until then; None if it must not exist.
            note: Kept with it.

        Raises:
            ObjectChangedError: It has another tag.
        """
        ...

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Of all objects that begin with a prefix."""
        ...


_clients: dict[str, Cloud] = {}
_making = threading.Lock()


def cloud(scheme: str) -> Cloud:
    """The client of a scheme, made once for all threads.

    Raises:
        RemoteError: Its library is not installed.
        CredentialsError: There are none, and this cloud needs some.
    """
    with _making:
        if scheme not in _clients:
            try:
                _clients[scheme] = {"az": _Azure, "gs": _Google, "s3": _S3}[scheme]()
            except ImportError as error:
                raise RemoteError(
                    f'{scheme}:// needs more packages: pip install "speciesnet[{scheme}]"'
                ) from error
        return _clients[scheme]


@contextmanager
def in_words(scheme: str, bucket: str) -> Iterator[None]:
    """What the libraries raise, as one of the errors above; no text of theirs, which may hold keys."""
    try:
        yield
    except (OSError, InputError) as error:
        is_ours = isinstance(error, RemoteError | InputError)
        if is_ours or type(error) is OSError or getattr(error, "filename", None):  # a full disk
            raise
        raise BrokenConnectionError(f"the connection broke ({type(error).__name__})") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _LIBRARIES:
            raise
        raise _in_words(error, scheme, bucket) from error


def _in_words(error: Exception, scheme: str, bucket: str) -> Exception:
    if (cause := getattr(error, "cause", None)) is not None:  # what Google's library gave up on
        return _in_words(cause, scheme, bucket)
    status, code = _status_and_code(error)
    if code in _CREDENTIALS or (status == 401 and scheme != "az"):
        return CredentialsError(
            f"The credentials for {scheme}://{bucket} have expired or are refused ({code}); sign in "
            f"again {_SIGN_IN[scheme]}, and give the same command again."
        )
    if code in _NO_BUCKET or (status == 404 and "bucket does not exist" in str(error)):
        return RemoteError(f"there is no bucket {bucket}; check its name")
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "there is no such file")
    if status in (401, 403):
        return RemoteError(
            f"no permission for the bucket {bucket} ({code}); check the rights of the account"
        )
    if status == 412 or code == "BlobAlreadyExists":
        return ObjectChangedError("it was changed in the meantime")
    if status in (408, 409, 429) or status >= 500:
        return BrokenConnectionError(f"the cloud is busy or out of order ({status} {code})")
    if status:
        return RemoteError(f"the cloud refused ({status} {code})")
    return BrokenConnectionError(f"the cloud does not answer ({code})")


def _status_and_code(error: Exception) -> tuple[int, str]:
    """HTTP status (0 where there was no answer) and the cloud's name for what went wrong."""
    name = type(error).__name__
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict):  # botocore
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return int(status), str(answer.get("Error", {}).get("Code") or name)
    status = getattr(error, "status_code", None) or getattr(error, "code", None)  # Azure, Google
    code = getattr(error, "error_code", None)
    status = getattr(status, "value", status)
    return status if isinstance(status, int) else 0, str(getattr(code, "value", code) or name)


def _content_type(key: str) -> str:
    return CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


def _copy(pieces: Iterator[bytes], sink: Sink) -> None:
    for piece in pieces:
        sink.write(piece)


class _S3:
    """AWS_ENDPOINT_URL leads to other servers that speak its protocol."""

    def __init__(self) -> None:
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config

        session = botocore.session.Session()
        anonymous = session.get_credentials() is None  # then only public buckets can be read
        self._client: Any = session.create_client(
            "s3",
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CONNECTIONS,
                signature_version=UNSIGNED if anonymous else None,
            ),
        )

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        with in_words("s3", bucket):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            with closing(answer["Body"]) as body:
                try:
                    with in_words("s3", bucket):
                        _copy(body.iter_chunks(PIECE_BYTES), sink)
                except BrokenConnectionError as error:
                    raise BrokenBodyError(error.reason) from error
            return self._version(answer)

    def version(self, bucket: str, key: str) -> Version | None:
        from botocore.exceptions import ClientError

        with in_words("s3", bucket):
            try:
                return self._version(self._client.head_object(Bucket=bucket, Key=key))
            except ClientError as error:
                if _status_and_code(error)[0] == 404:
                    return None
            # An answer to HEAD has no body that tells why: this one has.
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if _status_and_code(error)[1] == "NoSuchKey":  # the cloud is in order again
                    return None
                raise
            answer["Body"].close()
            return self._version(answer)

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        from botocore.exceptions import ClientError

        def put(**condition: str) -> Version:
            source.seek(0)
            answer = self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=source,
                ContentLength=size,
                ContentType=_content_type(key),
                Metadata={NOTE: note},
                **condition,
            )
            return Version(answer["ETag"], note)

        with in_words("s3", bucket):
            try:
                return put(**({"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "NotImplemented":
                    raise
                return put()  # a server that knows no conditions; the caller has just looked

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        with in_words("s3", bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    yield item["Key"]

    @staticmethod
    def _version(answer: Any) -> Version:
        return Version(answer["ETag"], answer.get("Metadata", {}).get(NOTE, ""))


class _Google:
    """STORAGE_EMULATOR_HOST leads to a server that speaks its protocol, without credentials."""

    def __init__(self) -> None:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud.storage import Client
        from requests.adapters import HTTPAdapter

        if os.environ.get("STORAGE_EMULATOR_HOST"):
            self._client: Any = Client.create_anonymous_client()
        else:
            try:
                credentials, project = google.auth.default()
                self._client = Client(credentials=credentials, project=project or "none")
            except DefaultCredentialsError:
                self._client = Client.create_anonymous_client()
        for scheme in ("https://", "http://"):
            self._client._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        self._timeout = (CONNECT_SECONDS, READ_SECONDS)

    def _options(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        patience = DEFAULT_RETRY.with_delay(0.5, 10).with_timeout(READ_SECONDS)
        return {"timeout": self._timeout, "retry": patience}

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        with in_words("gs", bucket):
            blob = self._client.bucket(bucket).blob(key)
            blob.download_to_file(sink, **self._options())
            if blob.generation is None:  # emulators do not tell with the content
                blob.reload(**self._options())
            return self._version(blob)

    def version(self, bucket: str, key: str) -> Version | None:
        with in_words("gs", bucket):
            blob = self._client.bucket(bucket).get_blob(key, **self._options())
            return blob and self._version(blob)

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        with in_words("gs", bucket):
            blob = self._client.bucket(bucket).blob(key)
            blob.metadata = {NOTE: note}
            blob.upload_from_file(
                source,
                size=size,
                content_type=_content_type(key),
                if_generation_match=int(replaces or 0),
                **self._options(),
            )
            return self._version(blob)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        with in_words("gs", bucket):
            for blob in self._client.list_blobs(
                bucket, prefix=prefix, fields="items(name),nextPageToken", **self._options()
            ):
                yield blob.name

    @staticmethod
    def _version(blob: Any) -> Version:
        return Version(str(blob.generation), (blob.metadata or {}).get(NOTE, ""))


class _Azure:
    """The account is in AZURE_STORAGE_CONNECTION_STRING, or named by AZURE_STORAGE_ACCOUNT."""

    def __init__(self) -> None:
        import requests
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import BlobServiceClient, ExponentialRetry
        from requests.adapters import HTTPAdapter

        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        options: dict[str, Any] = {
            "transport": RequestsTransport(session=session, session_owner=False),
            "retry_policy": ExponentialRetry(
                initial_backoff=1, increment_base=2, random_jitter_range=1, retry_total=ATTEMPTS - 1
            ),
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
        }
        account = os.environ.get("AZURE_STORAGE_ACCOUNT")
        if connection := os.environ.get("AZURE_STORAGE_CONNECTION_STRING"):
            make: Callable[..., Any] = BlobServiceClient.from_connection_string
            try:
                self._client: Any = make(connection, **options)
            except ValueError as error:
                raise CredentialsError(
                    "AZURE_STORAGE_CONNECTION_STRING is malformed; copy it from the account's keys."
                ) from error
        elif account:
            from azure.identity import DefaultAzureCredential

            self._client = BlobServiceClient(
                f"https://{account}.blob.core.windows.net",
                credential=DefaultAzureCredential(),
                **options,
            )
        else:
            raise CredentialsError(
                "az:// needs an account; set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT "
                "and give az login."
            )

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        with in_words("az", bucket):
            stream = self._client.get_blob_client(bucket, key).download_blob()
            _copy(stream.chunks(), sink)
            return self._version(stream.properties)

    def version(self, bucket: str, key: str) -> Version | None:
        try:
            with in_words("az", bucket):
                return self._version(
                    self._client.get_blob_client(bucket, key).get_blob_properties()
                )
        except FileNotFoundError:
            return None

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings

        condition: dict[str, Any] = {"overwrite": False}
        if replaces:
            unmodified = MatchConditions.IfNotModified
            condition = {"overwrite": True, "etag": replaces, "match_condition": unmodified}
        with in_words("az", bucket):
            answer = self._client.get_blob_client(bucket, key).upload_blob(
                source,
                length=size,
                metadata={NOTE: note},
                content_settings=ContentSettings(content_type=_content_type(key)),
                **condition,
            )
            return Version(answer["etag"], note)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        with in_words("az", bucket):
            container = self._client.get_container_client(bucket)
            yield from container.list_blob_names(name_starts_with=prefix)

    @staticmethod
    def _version(properties: Any) -> Version:
        return Version(properties.etag, (properties.metadata or {}).get(NOTE, ""))
