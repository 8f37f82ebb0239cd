"""What a request is told when it is not answered."""

from __future__ import annotations

RETRY_SECONDS = 5  # after which one who was told to come back may
LONGEST_SENTENCE = 500  # characters: what the request itself holds comes back in some of them


class RefusedError(Exception):
    """A request that is not carried out.

    Args:
        status: HTTP status, 400 or above.
        sentence: Why, in words that name nothing of this computer.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence[:LONGEST_SENTENCE])
        self.status = status

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the answer."""
        if self.status == 503:
            return {"Retry-After": str(RETRY_SECONDS)}
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {}


def forbidden(sentence: str) -> RefusedError:
    """Of what may not be read."""
    return RefusedError(403, sentence)


def busy(sentence: str) -> RefusedError:
    """Of what can be had later."""
    return RefusedError(503, sentence)
