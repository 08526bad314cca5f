"""The machine: Python, the libraries, the device and the disk."""

from __future__ import annotations

import importlib
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from dreamloop.config import Config
from dreamloop.doctor.finding import Finding, fault, fault_of, good, note
from dreamloop.errors import DreamloopError
from dreamloop.paths import Home

OLDEST = (3, 11)
_GIB = 2**30
_DISK_MIN, _DISK_GOOD = 1, 5  # GiB: one night's files; a model, its fetching and a year of adapters
_LIBRARIES = ("torch", "transformers", "peft")


def python() -> Finding:
    """The interpreter's age."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST:
        return fault("python", f"{found} is too old.", "Install dreamloop with Python 3.11 or newer.")
    return good("python", f"{found} ({sys.executable})")


def libraries() -> Finding:
    """Whether the heavy libraries can be imported together."""
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
            if name == "transformers":  # its models are imported late, and that is where it breaks
                importlib.import_module("transformers.models.llama.modeling_llama")
        except Exception as error:  # noqa: BLE001 - a broken library may raise anything
            if "torchvision::nms" in str(error):
                return fault(
                    "libraries", "transformers cannot start: torchvision was built for another torch.",
                    "python -m pip uninstall -y torchvision torchaudio torchcodec",
                )  # fmt: skip
            return fault("libraries", f"{name} cannot be imported ({type(error).__name__}).", f"pip install -U {name}")
    return good("libraries", ", ".join(f"{name} {version(name)}" for name in _LIBRARIES))


def device(config: Config) -> Finding:
    """Where the model would go, and whether that place answers."""
    from dreamloop.model.device import placement, try_out, unused_gpu  # noqa: PLC0415 - once torch is known to import

    try:
        said = try_out(*placement(config.device, config.dtype))
    except DreamloopError as error:
        return fault_of("device", error)
    if unused_gpu():
        return note(
            "device", f"{said}; there is an NVIDIA driver, but this torch cannot use it.",
            "Install the CUDA build of torch: https://pytorch.org/get-started/locally/",
        )  # fmt: skip
    return good("device", said)


def disk(home: Home) -> Finding:
    """Room where the state goes."""
    place = existing(home.root)
    free = shutil.disk_usage(place).free / _GIB
    said = f"{free:.1f} GiB free at {place}"
    if free < _DISK_MIN:
        return fault("disk", f"{said}; a night needs {_DISK_MIN}.", "Make room, or move the state with --home.")
    if free < _DISK_GOOD:
        return note("disk", f"{said}, which is little.", "Make room before it runs out.")
    return good("disk", said)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
