"""Objects in the buckets of S3, Google Cloud Storage and Azure Blob Storage.

Each cloud is accessed through its own library, with one client for all threads. The library finds
credentials as it always does; this package does not take, keep or print any.
"""

from __future__ import annotations

import errno
import importlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol

from speciesnet.errors import (
    BrokenConnectionError,
    CredentialsError,
    InputError,
    ObjectChangedError,
    RemoteError,
)

MODULES = {"az": "azure", "gs": "gcs", "s3": "s3"}  # by scheme, which is also the extra to install
CONNECT_SECONDS = 10
READ_SECONDS = 30  # between two pieces of a response
ATTEMPTS = 5  # of one request, with increasing pauses between them
CONNECTIONS = 64  # kept open; at least as many as there are readers
# For browsers that show pages and tables; not mimetypes, whose answers depend on the computer.
CONTENT_TYPES = {
    ".css": "text/css", ".csv": "text/csv", ".html": "text/html", ".jpg": "image/jpeg",
    ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml",
}  # fmt: skip
NOTE = "speciesnet"  # the name of the metadata that identifies who wrote an object

_LIBRARIES = ("azure", "boto3", "botocore", "google", "requests", "urllib3")
_SIGN_IN = {
    "az": "with a new AZURE_STORAGE_CONNECTION_STRING, or az login",
    "gs": "with gcloud auth application-default login",
    "s3": "with aws sso login, or aws configure",
}
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
_CREDENTIALS = frozenset({
    # Codes in responses of S3 and Azure.
    "AuthenticationFailed", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
    "InvalidAuthenticationInfo", "InvalidClientTokenId", "InvalidToken", "NoAuthenticationInformation",
    "RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired",
    # Exceptions that the libraries raise before they send a request; InvalidOperation is Google's.
    "ClientAuthenticationError", "CredentialUnavailableError", "InvalidOperation",
    "NoCredentialsError", "PartialCredentialsError", "RefreshError", "SSOTokenLoadError",
    "TokenRetrievalError", "UnauthorizedSSOTokenError",
})  # fmt: skip


class Version(NamedTuple):
    """The version of an object.

    Attributes:
        tag: Changes whenever the object is written.
        note: Identifies the writer; "" if it left no note.
    """

    tag: str
    note: str


class Sink(Protocol):
    """A destination for bytes; reading stops if it raises an exception."""

    def write(self, data: bytes, /) -> int:
        """Takes all of the bytes."""
        ...


class Cloud(Protocol):
    """A client of one cloud. It raises ``OSError`` or ``CredentialsError``; see ``translated_errors``."""

    def read(self, bucket: str, key: str, sink: Sink) -> Version:
        """Writes an object to a sink, piece by piece."""
        ...

    def version(self, bucket: str, key: str) -> Version | None:
        """The version of an object, without reading it; None if there is no such object."""
        ...

    def write(
        self, bucket: str, key: str, source: BinaryIO, size: int, replaces: str | None, note: str
    ) -> Version:
        """Atomically creates or replaces an object.

        Args:
            bucket: The name of the bucket.
            key: The key of the object.
            source: The content.
            size: The number of bytes.
            replaces: The tag that the object must have beforehand; None if it must not exist yet.
            note: A note to keep with the object.

        Raises:
            ObjectChangedError: The object has a different tag.
        """
        ...

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The keys of all objects that start with a prefix."""
        ...


_clients: dict[str, Cloud] = {}
_creating = threading.Lock()


def cloud(scheme: str) -> Cloud:
    """The client for a scheme, created once for all threads.

    Raises:
        RemoteError: The library of the cloud is not installed.
        CredentialsError: This cloud needs credentials, and there are none.
    """
    with _creating:
        if scheme not in _clients:
            try:
                module = importlib.import_module(f"speciesnet.files.{MODULES[scheme]}")
                _clients[scheme] = module.Client()
            except ImportError as error:
                raise RemoteError(
                    f'{scheme}:// needs more packages: pip install "speciesnet[{scheme}]"'
                ) from error
        return _clients[scheme]


@contextmanager
def translated_errors(scheme: str, bucket: str) -> Iterator[None]:
    """Raises the libraries' errors as our own, without their text, which may contain keys."""
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
        raise _translated(error, scheme, bucket) from error


def _translated(error: Exception, scheme: str, bucket: str) -> Exception:
    cause = getattr(error, "cause", None)  # set in Google's error after the last retry
    if isinstance(cause, Exception):
        return _translated(cause, scheme, bucket)
    status, code = status_and_code(error)
    if code in _CREDENTIALS or (status == 401 and scheme != "az"):
        return CredentialsError(
            f"The credentials for {scheme}://{bucket} have expired or are refused ({code}). Sign in "
            f"again {_SIGN_IN[scheme]}, and run the same command again."
        )
    if code in _NO_BUCKET or (status == 404 and "bucket does not exist" in str(error)):
        return RemoteError(f"there is no bucket {bucket}; check its name")
    if status == 404:
        return FileNotFoundError(errno.ENOENT, "there is no such file")
    if status in (401, 403):
        return RemoteError(
            f"no permission for the bucket {bucket} ({code}); check the permissions of the account"
        )
    if status == 412 or code == "BlobAlreadyExists":
        return ObjectChangedError("it was changed in the meantime")
    if status in (408, 409, 429) or status >= 500:
        return BrokenConnectionError(f"the cloud is busy or unavailable ({status} {code})")
    if status:
        return RemoteError(f"the cloud refused the request ({status} {code})")
    return BrokenConnectionError(f"the cloud does not respond ({code})")


def status_and_code(error: Exception) -> tuple[int, str]:
    """The HTTP status of an error (0 if there is no response), and the cloud's error code."""
    name = type(error).__name__
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return int(status), str(response.get("Error", {}).get("Code") or name)
    status = getattr(error, "status_code", None) or getattr(error, "code", None)  # Azure, Google
    code = getattr(error, "error_code", None)
    status = getattr(status, "value", status)
    return status if isinstance(status, int) else 0, str(getattr(code, "value", code) or name)


def content_type(key: str) -> str:
    """The MIME type of an object, by the ending of its key."""
    return CONTENT_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


def note_in(metadata: Mapping[str, str] | None) -> str:
    """The note in the metadata of an object, or ""."""
    return (metadata or {}).get(NOTE, "")


def copy_to(sink: Sink, pieces: Iterable[bytes]) -> None:
    """Writes the pieces of an object to a sink."""
    for piece in pieces:
        sink.write(piece)
