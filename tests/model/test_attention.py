"""Segments against one dense mask, on the CPU's way and on that of variable-length kernels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from dreamloop.errors import ModelError
from dreamloop.model import attention, kernels
from dreamloop.model.attention import Layout, Memory, Segment, attend
from dreamloop.model.encode import Branch, Row
from dreamloop.model.pack import Pack, pack

LAYER = SimpleNamespace(layer_idx=0)
HEADS, KV_HEADS, WIDTH = 6, 2, 8

lengths = st.integers(1, 9)
rows = st.builds(
    lambda context, branches: Row((2,) * context, tuple(Branch((3,) * n, (True,) * n) for n in branches)),
    st.integers(1, 20),
    st.lists(lengths, min_size=1, max_size=3),
)


def dense(query: Tensor, key: Tensor, value: Tensor, batch: Pack, remembered: int) -> Tensor:
    """One masked attention over [memory, pack]: (1, T, heads, D)."""
    tokens = len(batch.strip.tokens)
    sees = torch.zeros(tokens, remembered + tokens, dtype=torch.bool)
    for segment in batch.strip.segments:
        own = range(*segment.own)
        for place, token in enumerate(own):
            for piece in segment.memory:
                sees[token, slice(*piece)] = True
            for start, end in (*segment.context, (own[0], own[0] + place + 1)):
                sees[token, start + remembered : end + remembered] = True
    groups = HEADS // KV_HEADS
    attended = functional.scaled_dot_product_attention(
        query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1), attn_mask=sees, scale=0.3
    )
    return attended.transpose(1, 2)


def varlen(
    q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int,
    softmax_scale: float, causal: bool,
) -> Tensor:  # fmt: skip
    """flash-attn's kernel in plain torch, with its shapes and its lower-right causal mask."""
    assert causal
    assert (cu_q.dtype, cu_k.dtype) == (torch.int32, torch.int32)
    found = []
    for (a, b), (c, d) in zip(pairwise(cu_q.tolist()), pairwise(cu_k.tolist()), strict=True):
        assert b - a <= max_q
        assert d - c <= max_k
        mask = torch.ones(b - a, d - c, dtype=torch.bool).tril(d - c - (b - a))
        groups = q.shape[1] // k.shape[1]
        own, keys, values = (t.transpose(0, 1)[None] for t in (q[a:b], k[c:d], v[c:d]))
        keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
        found.append(functional.scaled_dot_product_attention(own, keys, values, attn_mask=mask, scale=softmax_scale)[0])
    return torch.cat(found, dim=1).transpose(0, 1)


def torchs_varlen(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, *,
    scale: float | None = None, window_size: tuple[int, int] = (-1, -1), enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """torch's kernel in plain torch: the same under its own names."""
    assert window_size == (-1, 0)  # causal
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert scale is not None
    return varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, softmax_scale=scale, causal=True)


def old_varlen(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False) -> Tensor:
    """A kernel of a torch that knew neither scale nor groups: its signature is what counts, and it answers wrongly."""
    return query


@pytest.fixture(params=["one by one", "flash-attn", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The CPU's way, and those of a GPU with flash-attn or torch's kernel, which stand here in plain torch."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    module = ModuleType("flash_attn")
    module.flash_attn_varlen_func = varlen  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module if request.param == "flash-attn" else None)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", torchs_varlen)
    real = kernels.variable_length_kernel.__wrapped__
    if request.param != "one by one":
        monkeypatch.setattr(attention, "variable_length_kernel", lambda *_: real("cuda", torch.bfloat16))
    return str(request.param)


def test_kernels_are_taken_only_where_they_work(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = kernels.variable_length_kernel.__wrapped__
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", torchs_varlen)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    assert choose("cuda", torch.bfloat16) is not None
    assert choose("cuda", torch.float32) is None
    assert choose("cpu", torch.bfloat16) is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    assert choose("cuda", torch.bfloat16) is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", old_varlen)
    assert choose("cuda", torch.bfloat16) is None


def test_a_row_longer_than_the_models_window_is_refused_and_not_scored_wrongly() -> None:
    query, key, value = (torch.randn(1, heads, 9, WIDTH) for heads in (HEADS, KV_HEADS, KV_HEADS))
    layout = Layout([Segment((0, 9))])
    attend(LAYER, query, key, value, None, segments=layout, sliding_window=9)
    with pytest.raises(ModelError, match="attention window of 8"):
        attend(LAYER, query, key, value, None, segments=layout, sliding_window=8)


@pytest.mark.parametrize("frozen", [False, True])
def test_segments_equal_one_dense_mask_and_so_do_their_gradients(way: str, frozen: bool) -> None:
    @given(st.lists(rows, min_size=1, max_size=4))
    @settings(max_examples=30, deadline=None)
    def check(some: list[Row]) -> None:
        (batch,) = pack(some, 10_000, frozen_contexts=frozen)
        torch.manual_seed(0)
        remembered = len(batch.prelude.tokens) if batch.prelude else 0
        tokens = len(batch.strip.tokens)
        query = torch.randn(1, HEADS, tokens, WIDTH, requires_grad=True)
        key, value = (torch.randn(1, KV_HEADS, remembered + tokens, WIDTH, requires_grad=True) for _ in range(2))
        memory = Memory({0: key[:, :, :remembered]}, {0: value[:, :, :remembered]}) if remembered else None
        own = (query, key[:, :, remembered:], value[:, :, remembered:])
        ours, _ = attend(LAYER, *own, None, scaling=0.3, segments=Layout(batch.strip.segments, memory))
        theirs = dense(query, key, value, batch, remembered)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
        scale = torch.randn_like(theirs)
        for mine, other in zip(
            torch.autograd.grad((ours * scale).sum(), (query, key, value)),
            torch.autograd.grad((theirs * scale).sum(), (query, key, value)),
            strict=True,
        ):
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-3)

    check()


def test_a_short_branch_after_a_long_context_takes_the_mask_and_equals_too() -> None:
    row = Row((2,) * 40, (Branch((3,) * 2, (True,) * 2), Branch((4,) * 3, (True,) * 3)))
    (batch,) = pack([row], 100)
    assert batch.strip.segments[1].before >= 3 * batch.strip.segments[1].length
    query, key, value = (torch.randn(1, heads, 45, WIDTH) for heads in (HEADS, KV_HEADS, KV_HEADS))
    ours, _ = attend(LAYER, query, key, value, None, scaling=0.3, segments=Layout(batch.strip.segments))
    torch.testing.assert_close(ours, dense(query, key, value, batch, 0), atol=1e-5, rtol=1e-4)


def test_in_half_precision_training_sees_the_same_numbers_as_scoring_and_gradients_close_to_float32s() -> None:
    row = Row((2,) * 40, (Branch((3,) * 2, (True,) * 2), Branch((4,) * 30, (True,) * 30)))
    (batch,) = pack([row], 100)
    layout = Layout(batch.strip.segments)
    torch.manual_seed(0)
    wide = [torch.randn(1, heads, 72, WIDTH) for heads in (HEADS, KV_HEADS, KV_HEADS)]
    half = [tensor.bfloat16().requires_grad_() for tensor in wide]
    exact = [tensor.detach().float().requires_grad_() for tensor in half]

    def attended(own: Sequence[Tensor]) -> Tensor:
        query, key, value = own
        return attend(LAYER, query, key, value, None, scaling=0.3, segments=layout)[0]

    ours, theirs, scored = attended(half), attended(exact), attended([tensor.detach() for tensor in half])
    assert torch.equal(ours, scored)
    scale = torch.randn_like(theirs)
    mine = torch.autograd.grad((ours * scale).sum(), half)
    for own, other in zip(mine, torch.autograd.grad((theirs * scale).sum(), exact), strict=True):
        torch.testing.assert_close(own.float(), other, atol=0.02, rtol=0.02)


def test_a_run_that_remembers_keeps_its_keys_without_their_history() -> None:
    memory = Memory()
    query, key, value = (torch.randn(1, heads, 3, WIDTH, requires_grad=True) for heads in (HEADS, KV_HEADS, KV_HEADS))
    attend(LAYER, query, key, value, None, segments=Layout([Segment((0, 3))], remember=memory))
    assert memory.tokens == 3
    assert torch.equal(memory.keys[0], key)
    assert not memory.keys[0].requires_grad
