"""Secrets out, before anything is stored, trained on or shown.

detect-secrets finds the keys of known services; the patterns here add token shapes that it does not
know and phrases such as "the password is …". A hit takes the whole word with it, and a private key its
whole block: a few harmless words too many are cheaper than one key too few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dreamloop.records import Answer, Exchange, Message

MARK = "[secret removed]"

# The entropy detectors fire on ordinary words when a line is scanned by itself, and a public address is
# no secret. Everything else that the library knows is looked for.
_NOT_FOR_PROSE = {"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"}

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_BEYOND_LIBRARY = re.compile(
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, Stripe
    r"|\bhf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\bAIza[A-Za-z0-9_-]{30,}"  # Google
    r"|\bya29\.[A-Za-z0-9_-]{20,}"  # Google OAuth
    r"|(?<=\bBearer )\s*[A-Za-z0-9._~+/-]{16,}=*"
)
_NAMED = re.compile(
    r"(?P<name>\b(?:pass(?:word|phrase|wd)|api[ _-]?key|access[ _-]?key|secret[ _-]?key|auth[ _-]?token"
    r"|access[ _-]?token|client[ _-]?secret|private[ _-]?key|pin(?: code)?)\b[\"']?\s*(?:is|was|=>|=|:)\s*)"
    r"(?P<value>[\"']?\S+)",
    re.IGNORECASE,
)


@contextmanager
def scrubber() -> Iterator[Scrubber]:
    """A scrubber with the library's detectors loaded once."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 - slow import
    from detect_secrets.settings import transient_settings  # noqa: PLC0415 - as above

    known: Iterable[type] = get_mapping_from_secret_type_to_class().values()
    plugins = {plugin.__name__ for plugin in known} - _NOT_FOR_PROSE
    with transient_settings({"plugins_used": [{"name": name} for name in sorted(plugins)]}):
        yield Scrubber()


class Scrubber:
    """Replaces secrets by `MARK` and counts them. Make one with `scrubber`."""

    def __init__(self) -> None:
        self.removed = 0
        self._known: dict[str, str] = {}

    def text(self, text: str) -> str:
        """The text without secrets. A text that comes again, as contexts do, is looked at once."""
        if text not in self._known:
            self._known[text] = self._scrubbed(text)
        return self._known[text]

    def _scrubbed(self, text: str) -> str:
        text = self._substitute(_PRIVATE_KEY, text)
        text = self._substitute(_BEYOND_LIBRARY, text)
        text, named = _NAMED.subn(lambda hit: hit["name"] + MARK, text)
        self.removed += named
        return "\n".join(self._line(line) for line in text.split("\n"))

    def exchange(self, exchange: Exchange) -> Exchange:
        """The exchange with every text scrubbed."""
        return Exchange(
            conversation=exchange.conversation,
            turn=exchange.turn,
            context=tuple(Message(message.role, self.text(message.content)) for message in exchange.context),
            answers=tuple(Answer(self.text(answer.text), answer.rank) for answer in exchange.answers),
            followed=None if exchange.followed is None else self.text(exchange.followed),
        )

    def _substitute(self, pattern: re.Pattern[str], text: str) -> str:
        text, count = pattern.subn(MARK, text)
        self.removed += count
        return text

    def _line(self, line: str) -> str:
        from detect_secrets.core.scan import scan_line  # noqa: PLC0415 - slow import

        found = {hit.secret_value for hit in scan_line(line) if hit.secret_value}
        for value in sorted(found, key=len, reverse=True):
            # Some detectors report only a key's prefix, so the whole word around it goes.
            line = self._substitute(re.compile(rf"\S*{re.escape(value)}\S*"), line)
        return line
