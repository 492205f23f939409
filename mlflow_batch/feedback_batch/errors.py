"""Errors of a whole request, in MLflow's own JSON form."""

from typing import Self


class RequestError(Exception):
    """A request that is answered with an error, as a whole.

    Args:
        status: the HTTP status.
        code: one of MLflow's error codes.
        message: for a person; never holds what was sent.

    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    @classmethod
    def malformed(cls, message: str) -> Self:
        """Give the error of a body that is not what it should be."""
        return cls(400, "MALFORMED_REQUEST", message)

    @classmethod
    def too_large(cls, message: str) -> Self:
        """Give the error of a body that is larger than we take; the same in parts will do."""
        return cls(413, "REQUEST_LIMIT_EXCEEDED", message)

    @classmethod
    def encoding(cls, message: str) -> Self:
        """Give the error of a ``Content-Encoding`` that we do not know."""
        return cls(415, "INVALID_PARAMETER_VALUE", message)

    @classmethod
    def unsupported(cls, message: str) -> Self:
        """Give the error of a server on which this does not work."""
        return cls(501, "NOT_IMPLEMENTED", message)

    @classmethod
    def away(cls, message: str) -> Self:
        """Give the error of a database that gives no answer."""
        return cls(503, "TEMPORARILY_UNAVAILABLE", message)
