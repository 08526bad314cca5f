"""Secrets out, before anything is stored, trained on or shown.

detect-secrets finds the keys of known services; the patterns here add token shapes that it does not
know and phrases such as "the password is …". A hit takes the whole word with it, and a private key its
whole block: a few harmless words too many are cheaper than one key too few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dreamloop.records import Answer, ChatRow, Exchange, Message

MARK = "[secret removed]"

# The entropy detectors fire on ordinary words when a line is scanned by itself, and a public address is
# no secret. Everything else that the library knows is looked for.
_NOT_FOR_PROSE = {"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"}

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)", re.DOTALL
)
_BEYOND_LIBRARY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, Stripe
    r"|hf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|npm_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}"
    r"|AIza[A-Za-z0-9_-]{30,}"  # Google
    r"|ya29\.[A-Za-z0-9_-]{20,}"  # Google OAuth
    r"|(?i:(?:bearer|basic) +)[A-Za-z0-9._~+/-]{16,}=*)"
)
_NAMED = re.compile(
    r"(?P<name>(?<![A-Za-z])(?:[A-Za-z0-9]+[_-])*"
    r"(?:pass(?:word|phrase|code|wd)|pwd|(?:api|access|secret|private|auth|encryption)(?:[ _-]?access)?[ _-]?key"
    r"|(?:auth|access|api|refresh|bearer)[ _-]?token|client[ _-]?secret|token(?=\s*[:=])|secret(?=\s*=)|pin(?: code)?)"
    r"(?![A-Za-z])[\s*_`\"']*(?:(?:is|was)(?: now)?\b|=>|=|:)[\s*_`:=>]*(?:(?:is|was)(?: now)? +)?)"
    r"(?P<value>\"[^\"\n]+\"|'[^'\n]+'|[^\s*`]+)",
    re.IGNORECASE,
)


@contextmanager
def scrubber() -> Iterator[Scrubber]:
    """A scrubber with the library's detectors loaded once."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 - slow import
    from detect_secrets.settings import transient_settings  # noqa: PLC0415 - as above

    known: Iterable[type] = get_mapping_from_secret_type_to_class().values()
    plugins = {plugin.__name__ for plugin in known} - _NOT_FOR_PROSE
    with transient_settings({"plugins_used": [{"name": name} for name in sorted(plugins)]}) as settings:
        # A remark in the text ("pragma: allowlist secret") must not switch the search off.
        settings.disable_filters("detect_secrets.filters.allowlist.is_line_allowlisted")
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
        # Half a surrogate pair, as cut-off exports have it, is no text that anything below could store.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = self._substitute(_PRIVATE_KEY, text)
        text = self._substitute(_BEYOND_LIBRARY, text)
        text, named = _NAMED.subn(lambda hit: hit["name"] + MARK, text)
        self.removed += named
        return "\n".join(self._line(line) for line in text.split("\n"))

    def exchange(self, exchange: Exchange) -> Exchange:
        """The exchange with every text scrubbed."""
        return Exchange(
            conversation=self.text(exchange.conversation),
            turn=exchange.turn,
            context=tuple(Message(message.role, self.text(message.content)) for message in exchange.context),
            answers=tuple(
                Answer(self.text(a.text), a.rank, None if a.original is None else self.text(a.original))
                for a in exchange.answers
            ),
            followed=None if exchange.followed is None else self.text(exchange.followed),
        )

    def row(self, row: ChatRow) -> ChatRow:
        """A replay row with every text scrubbed."""
        context = tuple(Message(message.role, self.text(message.content)) for message in row.context)
        return ChatRow(context, self.text(row.reply), row.source)

    def _substitute(self, pattern: re.Pattern[str], text: str) -> str:
        text, count = pattern.subn(MARK, text)
        self.removed += count
        return text

    def _line(self, line: str) -> str:
        from detect_secrets.core.scan import scan_line  # noqa: PLC0415 - slow import

        found = {hit.secret_value for hit in scan_line(line) if hit.secret_value}
        if not found:
            return line
        # Some detectors report only a key's prefix, so the whole word around it goes.
        words = re.split(r"(\s+)", line)
        hits = [k for k, word in enumerate(words) if any(value in word for value in found)]
        self.removed += len(hits)
        return "".join(MARK if k in hits else word for k, word in enumerate(words))
