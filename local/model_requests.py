"""What the stand-in understands of a request to the Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def problem(body: Any) -> str:
    """What is wrong with a request, as the API words it; "" when nothing is."""
    if not isinstance(body, dict):
        return "Input should be a valid dictionary"
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            return f"{name}: Field required"
    if not isinstance(body["model"], str) or not body["model"]:
        return "model: Input should be a valid string"
    if not isinstance(body["max_tokens"], int) or isinstance(body["max_tokens"], bool) or body["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    return _in_system(body.get("system")) or _in_messages(body["messages"]) or _in_format(body.get("output_config"))


def text_of(body: Mapping[str, Any]) -> str:
    """System and messages of a request without a problem, as one text."""
    contents = [body.get("system") or "", *(message["content"] for message in body["messages"])]
    blocks = [block for content in contents for block in ([content] if isinstance(content, str) else content)]
    return "\n".join(block if isinstance(block, str) else str(block.get("text", "")) for block in blocks)


def schema_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema that the answer has to fit, if one was given."""
    return ((body.get("output_config") or {}).get("format") or {}).get("schema")


def _in_system(system: Any) -> str:
    return _in_content("system", system) if system is not None else ""


def _in_messages(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            return f"messages.{number}: Input should be a valid dictionary"
        if message.get("role") not in ("user", "assistant"):
            return f"messages.{number}.role: Input should be 'user' or 'assistant'"
        found = _in_content(f"messages.{number}.content", message.get("content"))
        if found:
            return found
    return ""


def _in_content(where: str, content: Any) -> str:
    if isinstance(content, str):
        return ""
    if not isinstance(content, list):
        return f"{where}: Input should be a valid string or list"
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return f"{where}.{number}.type: Field required"
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            return f"{where}.{number}.text: Field required"
    return ""


def _in_format(config: Any) -> str:
    if config is None:
        return ""
    if not isinstance(config, dict):
        return "output_config: Input should be a valid dictionary"
    wanted = config.get("format")
    if wanted is None:
        return ""
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return "output_config.format.type: Input should be 'json_schema'"
    if not isinstance(wanted.get("schema"), dict):
        return "output_config.format.schema: Input should be a valid dictionary"
    return ""
