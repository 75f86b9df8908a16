"""Requests to the fake Messages API: validation, text and JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def invalid_request_message(body: Any) -> str:
    """Validate a request body. Return the API's message for the first error, or "" for a valid request."""
    if not isinstance(body, dict):
        return "Input should be a valid dictionary"
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            return f"{name}: Field required"
    if not isinstance(body["model"], str) or not body["model"]:
        return "model: Input should be a valid string"
    if not isinstance(body["max_tokens"], int) or isinstance(body["max_tokens"], bool) or body["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    return (
        _system_error(body.get("system"))
        or _messages_error(body["messages"])
        or _format_error(body.get("output_config"))
    )


def prompt_text(body: Mapping[str, Any]) -> str:
    """Return system prompt and messages of a valid request as one text."""
    contents = [body.get("system") or "", *(message["content"] for message in body["messages"])]
    blocks = [block for content in contents for block in ([content] if isinstance(content, str) else content)]
    return "\n".join(block if isinstance(block, str) else str(block.get("text", "")) for block in blocks)


def output_schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON schema that the response must fit, or None for free text."""
    return ((body.get("output_config") or {}).get("format") or {}).get("schema")


def _system_error(system: Any) -> str:
    return _content_error("system", system) if system is not None else ""


def _messages_error(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            return f"messages.{number}: Input should be a valid dictionary"
        if message.get("role") not in ("user", "assistant"):
            return f"messages.{number}.role: Input should be 'user' or 'assistant'"
        error = _content_error(f"messages.{number}.content", message.get("content"))
        if error:
            return error
    return ""


def _content_error(path: str, content: Any) -> str:
    if isinstance(content, str):
        return ""
    if not isinstance(content, list):
        return f"{path}: Input should be a valid string or list"
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return f"{path}.{number}.type: Field required"
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            return f"{path}.{number}.text: Field required"
    return ""


def _format_error(config: Any) -> str:
    if config is None:
        return ""
    if not isinstance(config, dict):
        return "output_config: Input should be a valid dictionary"
    output_format = config.get("format")
    if output_format is None:
        return ""
    if not isinstance(output_format, dict) or output_format.get("type") != "json_schema":
        return "output_config.format.type: Input should be 'json_schema'"
    if not isinstance(output_format.get("schema"), dict):
        return "output_config.format.schema: Input should be a valid dictionary"
    return ""
