"""Chat messages to tokens, with the tokens that count marked by exact prefixes.

A model is trained and scored only on what it would write itself. Where a reply begins is found by
encoding the conversation up to the generation prompt and requiring those tokens to be an exact prefix
of the whole (chat templates that rewrite history break this and are refused, row by row). Templates
without ``{% generation %}`` give an all-zero assistant mask with only a warning, so that route is not
taken.

User text is data. A text that contains a special token's spelling, say ``<|im_end|>``, is encoded as
plain characters and never as the token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from dreamloop.errors import UnusableRow
from dreamloop.records import Context, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tokens = tuple[int, ...]

# Private-use characters stand in for a special token's spelling while the template runs.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"


@dataclass(frozen=True, slots=True)
class Branch:
    """Tokens that continue a context, and which of them are scored (same length)."""

    tokens: Tokens
    scored: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A context shared by one or more branches that do not see each other.

    The context holds at least one token, because a branch's first token is predicted from it. Rows of the same
    ``unit`` share a backward pass, because a loss needs them all; empty where a row stands alone.
    """

    context: Tokens
    branches: tuple[Branch, ...]
    unit: str = ""

    def __len__(self) -> int:
        """Tokens the trunk has to process."""
        return len(self.context) + sum(len(branch.tokens) for branch in self.branches)


class ChatEncoder:
    """One tokenizer and its chat template.

    Args:
        tokenizer: a fast tokenizer with a chat template and an end-of-turn token (``eos_token``).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.end_of_turn = int(tokenizer.eos_token_id)
        self.special_ids = frozenset({*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()})
        self._specials = sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}, key=len, reverse=True)

    def chat(self, messages: Context, generation_prompt: bool = False) -> Tokens:
        """Tokens of the conversation under the model's own template.

        Raises:
            UnusableRow: the template refuses such a conversation.
        """
        masked = [{"role": message.role, "content": self._hide(message.content)} for message in messages]
        try:
            text = self.tokenizer.apply_chat_template(masked, tokenize=False, add_generation_prompt=generation_prompt)
        except TemplateError as error:  # some families refuse a system turn, or two user turns in a row
            raise UnusableRow("the chat template refuses this conversation") from error
        return self._tokens(str(text))

    def text(self, text: str) -> Tokens:
        """Tokens of plain text; spellings of special tokens stay plain."""
        return self._tokens(self._hide(text))

    def completion(self, context: Context, reply: str, max_length: int, min_completion: int = 1) -> Row:
        """A context with one reply.

        Raises:
            UnusableRow: nothing to learn, too long, or the template rewrites history.
        """
        return self.branches(context, (reply,), max_length, min_completion)

    def branches(self, context: Context, replies: Sequence[str], max_length: int, min_completion: int = 1) -> Row:
        """A context with several replies that share it, each ending with the end-of-turn token.

        Args:
            context: ends with a user turn.
            replies: texts without template tokens.
            max_length: tokens of the context plus one reply that are allowed.
            min_completion: tokens a reply has at least, the end-of-turn token not counted.

        Raises:
            UnusableRow: as in `completion`.
        """
        prefix = self.chat(context, generation_prompt=True)
        branches = tuple(self._branch(prefix, context, reply, min_completion) for reply in replies)
        if max(len(prefix) + len(branch.tokens) for branch in branches) > max_length:
            raise UnusableRow("longer than the token limit")
        return Row(prefix, branches)

    def every_turn(self, messages: Context, max_length: int, min_completion: int = 1) -> Row:
        """The whole conversation as one row in which every assistant turn is scored.

        Raises:
            UnusableRow: as in `completion`, or there is no assistant turn.
        """
        replies = [i for i, message in enumerate(messages) if message.role == "assistant"]
        if not replies:
            raise UnusableRow("no assistant turn")
        whole = self.chat(messages[: replies[-1] + 1])
        scored = [False] * len(whole)
        for i in replies:
            row = self.completion(messages[:i], messages[i].content, len(whole), min_completion)
            start, end = len(row.context), len(row)
            if whole[:end] != row.context + row.branches[0].tokens:
                raise UnusableRow("the chat template rewrites earlier turns")
            scored[start:end] = [True] * (end - start)
        first = scored.index(True)
        last = len(scored) - scored[::-1].index(True)
        if last > max_length:
            raise UnusableRow("longer than the token limit")
        return Row(whole[:first], (Branch(whole[first:last], tuple(scored[first:last])),))

    def pieces(self, text: str, max_length: int) -> list[Row]:
        """Plain text as rows of ``max_length`` tokens at most, in which every token but the first is scored once.

        Each piece is read without what came before it, but for the one token that its first is predicted from.

        Raises:
            UnusableRow: fewer than two tokens.
        """
        tokens = self.text(text)
        if len(tokens) < 2:
            raise UnusableRow("fewer than two tokens")
        starts = range(0, len(tokens) - 1, max_length - 1)
        cut = [(tokens[k], tokens[k + 1 : k + max_length]) for k in starts]
        return [Row((first,), (Branch(rest, (True,) * len(rest)),)) for first, rest in cut]

    def seated(self, context: Context) -> Context:
        """The context as the template takes it: a system turn that is refused leads the first user turn instead."""
        if context[0].role != "system":
            return context
        try:
            self.chat(context, generation_prompt=True)
        except UnusableRow:
            system, user, *rest = context
            return (Message("user", f"{system.content}\n\n{user.content}"), *rest)
        return context

    def prose(self, text: str, max_length: int) -> Row:
        """Plain text as one row, every token but the first scored, cut at ``max_length`` tokens.

        Raises:
            UnusableRow: fewer than two tokens.
        """
        tokens = self.text(text)[:max_length]
        if len(tokens) < 2:
            raise UnusableRow("fewer than two tokens")
        rest = tokens[1:]
        return Row(tokens[:1], (Branch(rest, (True,) * len(rest)),))

    def _branch(self, prefix: Tokens, context: Context, reply: str, min_completion: int) -> Branch:
        whole = self.chat((*context, Message("assistant", reply)))
        if whole[: len(prefix)] != prefix:
            raise UnusableRow("the chat template rewrites earlier turns")
        completion = whole[len(prefix) :]
        if self.end_of_turn not in completion:
            raise UnusableRow("no end-of-turn token after the reply")
        # Templates put a line break after the turn; the reply ends with the end-of-turn token itself.
        end = len(completion) - completion[::-1].index(self.end_of_turn)
        if end - 1 < min_completion:
            raise UnusableRow("empty or too short reply")
        return Branch(completion[:end], (True,) * end)

    def _hide(self, text: str) -> str:
        for index, special in enumerate(self._specials):
            text = text.replace(special, f"{_OPEN}{index}{_CLOSE}")
        return text

    def _tokens(self, text: str) -> Tokens:
        tokens: list[int] = []
        for index, piece in enumerate(text.split(_OPEN)):
            number, closed, rest = piece.partition(_CLOSE)
            hidden = bool(index and closed and number.isdigit() and int(number) < len(self._specials))
            if hidden:
                tokens += self._plain(self._specials[int(number)], split_special=True)
            text_here = rest if hidden else _OPEN * bool(index) + piece
            if text_here:
                tokens += self._plain(text_here, split_special=False)
        return tuple(tokens)

    def _plain(self, text: str, split_special: bool) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=split_special)
        return [int(token) for token in encoded["input_ids"]]
