"""Errors in the form in which OpenAI's API sends them. Knows nothing of what went wrong where.

Messages about the protocol are in English, like its names; those of a RequestError are in the
client's language.
"""

from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """An error with the HTTP status that tells it; param names the field that is to be changed.

    retry_after is the time in seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after


def describe_error(error: ApiError) -> dict[str, Any]:
    """Return an error's body."""
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": error.message,
            "type": kinds.get(error.status, kind),
            "param": error.param,
            "code": error.code,
        }
    }


def respond_with(error: ApiError) -> JSONResponse:
    """Return the response that tells an error."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(describe_error(error), error.status, headers)
