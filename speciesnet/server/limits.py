"""What one request may hold."""

from __future__ import annotations

from dataclasses import dataclass

from speciesnet.server.errors import RefusedError


@dataclass(frozen=True)
class Limits:
    """What one request may hold; every check raises ``RefusedError``.

    Attributes:
        body_bytes: Of the whole.
        image_bytes: Of an image.
        images: Their number.
    """

    body_bytes: int
    image_bytes: int
    images: int

    def check_body(self, size: int) -> None:
        """Of the whole request, in bytes."""
        if size > self.body_bytes:
            limit = self.body_bytes / 2**20
            raise RefusedError(
                413, f"The request is larger than {limit:g} MiB; send fewer images at once."
            )

    def check_image(self, size: int, where: str) -> None:
        """Of one image in bytes, and what it is called."""
        if size > self.image_bytes:
            raise RefusedError(413, f"{where} is larger than {self.image_bytes / 2**20:g} MiB.")

    def check_images(self, count: int) -> None:
        """How many images there are."""
        if count > self.images:
            raise RefusedError(
                413, f"The request has more than {self.images} images; send fewer at once."
            )
        if not count:
            raise RefusedError(400, "The request has no images.")
