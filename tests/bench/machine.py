"""What a figure was measured on, in words."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Of what computes."""
    return {name: version(name) for name in ("torch", "transformers", "peft", "trl")}


def device() -> str:
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"
