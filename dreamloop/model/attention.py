"""Attention inside a pack: each segment sees its own row's context and itself, and nothing else.

A pack holds many short segments, so one dense (T, T) mask would spend most of its work on tokens that may
not look at each other. Here every segment is its own small attention over [memory, context, itself]: plain
causal where nothing comes before, lower-right causal otherwise. On a GPU all segments go through one call of
a variable-length kernel.

transformers calls `attend` in place of its own attention (AttentionInterface,
https://huggingface.co/docs/transformers/attention_interface); without a layout it is plain sdpa.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from dreamloop.errors import ModelError
from dreamloop.model.kernels import Line, variable_length_kernel

NAME = "dreamloop_segments"

Slice = tuple[int, int]
Path = tuple[Slice, ...]  # pieces that follow each other, wherever they stand


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens ``own`` of a pack, which see each other causally and all of what comes before them.

    ``context`` are pieces of the same pack, ``memory`` pieces of the keys remembered from an earlier run.
    """

    own: Slice
    context: Path = ()
    memory: Path = ()

    @property
    def length(self) -> int:
        return self.own[1] - self.own[0]

    @property
    def before(self) -> int:
        """How many tokens it sees before its own first one."""
        return sum(end - start for start, end in (*self.memory, *self.context))


@dataclass(slots=True)
class Memory:
    """Keys and values of a run, by layer: each (1, heads, tokens, D)."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return next(iter(self.keys.values())).shape[2] if self.keys else 0


class Watcher(Protocol):
    """Something that is shown a layer's queries and keys."""

    def look(self, query: Tensor, key: Tensor, scaling: float | None) -> None:
        """One layer's query (1, heads, T, D) and key (1, kv heads, T, D)."""
        ...


@dataclass(slots=True)
class Layout:
    """How the tokens of one pass see each other.

    ``remember`` is filled with the pass's keys and values, ``memory`` is read, ``gaze`` is shown every layer.
    """

    segments: Sequence[Segment]
    memory: Memory | None = None
    remember: Memory | None = None
    gaze: Watcher | None = None
    _masks: dict[Any, Tensor] = field(default_factory=dict)
    _lines: dict[Any, Any] = field(default_factory=dict)

    def mask(self, segment: Segment, like: Tensor) -> Tensor:
        """Additive lower-right causal mask: (length, before + length)."""
        shape = (segment.length, segment.before + segment.length)
        if shape not in self._masks:
            hidden = torch.full(shape, -torch.inf, dtype=like.dtype, device=like.device)
            self._masks[shape] = hidden.triu_(segment.before + 1)
        return self._masks[shape]

    def line(self, device: torch.device) -> Line:
        """The segments one behind the other, as variable-length kernels want them."""
        if device not in self._lines:
            self._lines[device] = _line(self.segments, self.memory.tokens if self.memory else 0, device)
        line: Line = self._lines[device]
        return line


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    dropout: float = 0.0, scaling: float | None = None, segments: Layout | None = None, **rest: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention of one layer: query (1, heads, T, D), key and value (1, kv heads, T, D), result (1, T, heads, D).

    A pack is never dropped out here: the model's own attention dropout, which today's models have at 0, would make
    DPO's policy differ from its reference.
    """
    if segments is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward  # noqa: PLC0415 - seconds

        return sdpa_attention_forward(  # type: ignore[no-any-return,no-untyped-call,unused-ignore] # transformers
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    window = rest.get("sliding_window")
    longest = max(segment.before + segment.length for segment in segments.segments)
    if window is not None and longest > window:
        raise ModelError(
            f"A row of {longest} tokens is longer than this model's attention window of {window}; lower "
            "finetune.max_length, or choose another model."
        )
    if segments.remember is not None:
        segments.remember.keys[module.layer_idx] = key.detach()
        segments.remember.values[module.layer_idx] = value.detach()
    if segments.gaze is not None:
        segments.gaze.look(query, key, scaling)
    if segments.memory is not None:
        key = torch.cat([segments.memory.keys[module.layer_idx], key], dim=2)
        value = torch.cat([segments.memory.values[module.layer_idx], value], dim=2)
    kernel = variable_length_kernel(query.device.type, query.dtype)
    if kernel is None:
        return _one_by_one(query, key, value, segments, scaling).transpose(1, 2), None
    line = segments.line(query.device)
    return kernel(
        query[0].transpose(0, 1), key[0, :, line.keys].transpose(0, 1), value[0, :, line.keys].transpose(0, 1), line,
        scaling,
    )[None], None  # fmt: skip


def _one_by_one(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float | None) -> Tensor:
    """One small attention per segment: the way of a CPU, where a call costs nothing beside its work."""
    remembered = key.shape[2] - query.shape[2]
    found = []
    for segment in layout.segments:
        parts = _pieces(segment, remembered)
        own = query[:, :, slice(*segment.own)]
        # A causal kernel skips what is masked and a mask makes it do everything, so until the tokens before are
        # many, it is quicker to answer for them too, with empty questions, and to throw those answers away.
        square = segment.before < 3 * segment.length
        if square and segment.before:
            own = functional.pad(own, (0, 0, segment.before, 0))
        attention = _WideBackward.apply if query.requires_grad and query.dtype != torch.float32 else _attention
        mask = None if square else layout.mask(segment, query)
        attended = attention(own, _picked(key, parts), _picked(value, parts), mask, scaling)
        found.append(attended[:, :, -segment.length :])
    return torch.cat(found, dim=2)


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Causal where there is no mask."""
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip


class _WideBackward(torch.autograd.Function):
    """The same numbers, and their gradient by way of float32: on a CPU the kernel's own in half precision takes three
    times as long (torch 2.13, two cores with AMX), even with the forward pass that is done again here."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        ctx.scaling = scaling
        return _attention(query, key, value, mask, scaling)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *halves, mask = ctx.saved_tensors
        wide = [half.detach().float().requires_grad_() for half in halves]
        with torch.enable_grad():
            query, key, value = wide
            again = _attention(query, key, value, None if mask is None else mask.float(), ctx.scaling)
        found = torch.autograd.grad(again, wide, grads[0].float())
        return *(grad.to(half.dtype) for grad, half in zip(found, halves, strict=True)), None, None


def _pieces(segment: Segment, remembered: int) -> Path:
    """All that a segment sees, in order, as slices of [memory, pack]."""
    here = ((start + remembered, end + remembered) for start, end in (*segment.context, segment.own))
    return (*segment.memory, *here)


def _picked(tensor: Tensor, parts: Path) -> Tensor:
    pieces = [tensor[:, :, start:end] for start, end in parts]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)


def _line(segments: Sequence[Segment], remembered: int, device: torch.device) -> Line:
    keys: list[int] = []
    for segment in segments:
        for piece in _pieces(segment, remembered):
            keys += range(*piece)
    queries = [segment.length for segment in segments]
    lengths = [segment.before + segment.length for segment in segments]

    def ends(counts: Sequence[int]) -> Tensor:
        return torch.tensor([0, *accumulate(counts)], dtype=torch.int32, device=device)

    return Line(torch.tensor(keys, device=device), ends(queries), ends(lengths), max(queries), max(lengths))


def install() -> str:
    """Make the attention known to transformers; returns its name for ``set_attn_implementation``."""
    from transformers import AttentionInterface, AttentionMaskInterface  # noqa: PLC0415 - seconds of import
    from transformers.masking_utils import sdpa_mask  # noqa: PLC0415 - as above

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
