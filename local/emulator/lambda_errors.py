"""Errors of the Lambda API, in the form in which Lambda sends them."""

from __future__ import annotations

import json

HttpResponse = tuple[int, dict[str, str], bytes]
_STATUS = {
    "InvalidParameterValueException": 400,
    "CallbackTimeoutException": 400,  # also of a callback that is closed (Lambda API Reference)
    "ResourceNotFoundException": 404,
    "DurableExecutionAlreadyStartedException": 409,
    "TooManyRequestsException": 429,
    "ServiceException": 500,
}
_LOWER_CASE = ("InvalidParameterValueException", "TooManyRequestsException")  # their member is "message"


class LambdaApiError(Exception):
    """Error of a call of the Lambda API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def response(self) -> HttpResponse:
        """Return the HTTP response.

        The header carries the code: SDKs do not read it from the body, whose ``Type`` is who caused the error.
        """
        status = _STATUS[self.code]
        member = "message" if self.code in _LOWER_CASE else "Message"
        body = json.dumps({"Type": "User" if status < 500 else "Service", member: self.message}).encode()
        return status, {"content-type": "application/json", "x-amzn-errortype": self.code}, body


def known_code(code: str, status: int) -> str:
    """Return ``code`` if the Lambda API has it, else the most general code of the HTTP status's class."""
    if code in _STATUS:
        return code
    return "InvalidParameterValueException" if status < 500 else "ServiceException"
