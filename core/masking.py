"""Values of settings as they may be printed and logged: without secrets."""

import re
import typing
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta

_MASK = "***"


def _is_secret(hint: object) -> bool:
    """Whether a type is marked as secret, itself or in one of its parts (a union, the values of a dict)."""
    if typing.get_origin(hint) is Annotated:
        marks = typing.get_args(hint)[1:]
        return any(isinstance(mark, Meta) and bool((mark.extra or {}).get("secret")) for mark in marks)
    return any(_is_secret(part) for part in typing.get_args(hint))


def redact(value: object, hint: object) -> object:
    """A value as it may be shown: secrets and passwords in addresses are masked."""
    if isinstance(value, str):
        if _is_secret(hint) and value:
            return _mask_url(value) if "://" in value else _MASK
        return _mask_url(value)
    if isinstance(value, Mapping) and _is_secret(hint):
        return dict.fromkeys(value, _MASK)
    if isinstance(value, tuple | list) and _is_secret(hint):
        return [_MASK] * len(value)
    return value


def _mask_url(text: str) -> str:
    """The text with the password of a URL masked; other texts come back as they are."""
    return ",".join(_masked_url(url) for url in re.split(r",(?=\s*\w+://)", text))


def _masked_url(text: str) -> str:
    if "://" not in text or "@" not in text:
        return text
    parts = urlsplit(text)
    user, _, _ = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{_MASK}@{host}"))
