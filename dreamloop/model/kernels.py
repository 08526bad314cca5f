"""Variable-length attention kernels of GPUs: flash-attn where it is installed, else torch's own.

Both align the causal mask at the lower right, as packed segments need it
(https://github.com/Dao-AILab/flash-attention, version 2.1 on).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor

_AMPERE = (8, 0)  # the first compute capability that both kernels are written for


@dataclass(frozen=True, slots=True)
class Line:
    """Which keys stand behind each other, int64, and where segments begin and end, int32."""

    keys: Tensor
    query_ends: Tensor
    key_ends: Tensor
    longest_query: int
    longest_key: int


Kernel = Callable[[Tensor, Tensor, Tensor, Line, float | None], Tensor]


@cache
def variable_length_kernel(device: str, dtype: torch.dtype) -> Kernel | None:
    """flash-attn's kernel, torch's own, or None where neither works: on a CPU, in float32, before Ampere."""
    if device != "cuda" or dtype == torch.float32 or torch.cuda.get_device_capability() < _AMPERE:
        return None
    try:
        import flash_attn  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415 - an optional package

        return _through_flash_attn(flash_attn.flash_attn_varlen_func)
    except ImportError:
        pass
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - newer than the oldest torch allowed
    except ImportError:
        return None
    known = signature(varlen_attn).parameters  # its first versions had fewer knobs
    return _through_torch(varlen_attn) if {"scale", "window_size", "enable_gqa"} <= known.keys() else None


def _through_flash_attn(function: Callable[..., Tensor]) -> Kernel:
    def kernel(query: Tensor, key: Tensor, value: Tensor, line: Line, scaling: float | None) -> Tensor:
        return function(
            query, key, value, line.query_ends, line.key_ends, line.longest_query, line.longest_key,
            softmax_scale=scaling, causal=True,
        )  # fmt: skip

    return kernel


def _through_torch(function: Callable[..., Any]) -> Kernel:
    def kernel(query: Tensor, key: Tensor, value: Tensor, line: Line, scaling: float | None) -> Tensor:
        result: Tensor = function(
            query, key, value, line.query_ends, line.key_ends, line.longest_query, line.longest_key,
            scale=scaling, window_size=(-1, 0), enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
        return result

    return kernel
