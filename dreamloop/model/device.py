"""Where a model goes: the device, its numbers and its memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import psutil
import torch

from dreamloop.errors import ModelError

_GIB = 2**30


def placement(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Where a model goes and in which numbers, with 'auto' decided by this machine."""
    chosen = _device(device)
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    return chosen, named.get(dtype, torch.bfloat16 if chosen.type == "cuda" else torch.float32)


def try_out(device: torch.device, dtype: torch.dtype) -> str:
    """Compute something there; returns what the place is and how much memory is free, in a few words.

    Raises:
        ModelError: nothing can be computed there.
    """
    numbers = str(dtype).removeprefix("torch.")
    try:
        torch.zeros(1, device=device, dtype=dtype).add_(1).item()
        if device.type == "cuda":
            free, total = (size / _GIB for size in torch.cuda.mem_get_info(device))
            return f"{torch.cuda.get_device_name(device)}, {free:.0f} of {total:.0f} GiB free, {numbers}"
    except (RuntimeError, AssertionError) as error:
        # A build of torch without CUDA says so by an AssertionError; drivers and missing kernels by RuntimeErrors.
        raise ModelError(
            f"The device {device} does not work ({type(error).__name__}); set 'device' to 'auto' or 'cpu', "
            "or install the torch build for it."
        ) from error
    free = psutil.virtual_memory().available / _GIB
    return f"{device}, {len(os.sched_getaffinity(0))} cores, {numbers}, {free:.1f} GiB of memory free"


def unused_gpu() -> bool:
    """Whether the machine has an NVIDIA driver and this torch cannot use it."""
    return Path("/proc/driver/nvidia/version").exists() and not torch.cuda.is_available()


def free_memory() -> None:
    """Give back what a policy held that nobody refers to any more, so that a server can have the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_memory_mb(device: torch.device) -> int:
    """Largest memory in use so far: of the GPU where there is one, else of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) / 2**20)
    import resource  # noqa: PLC0415 - POSIX only

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"There is no device {name!r}; 'auto', 'cpu' and 'cuda' are the usual ones.") from error
