"""One file per log format. Each turns one JSON value into exchanges, or says that it is not its own."""

from __future__ import annotations

from typing import Any, Protocol

from dreamloop.collect.formats import messages, oasst, openai_requests, openwebui, sharegpt
from dreamloop.records import Exchange


class Format(Protocol):
    """What a format file offers at module level."""

    NAME: str

    @staticmethod
    def matches(value: Any) -> bool:
        """Whether the JSON value is a conversation of this format."""
        ...

    @staticmethod
    def exchanges(value: Any) -> list[Exchange]:
        """The conversation's exchanges.

        Raises:
            ValueError: the value is damaged; the message is a short countable reason.
        """
        ...


# A request log has messages too, so it is asked before plain messages.
FORMATS: tuple[Format, ...] = (oasst, sharegpt, openwebui, openai_requests, messages)  # type: ignore[assignment] # modules with these names


def recognise(value: Any) -> Format | None:
    """The format of one JSON value, or None."""
    return next((known for known in FORMATS if known.matches(value)), None)
