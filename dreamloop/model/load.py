"""Loading a model and its tokenizer, with one sentence for everything that can be wrong with them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from dreamloop.errors import ModelError, first_line
from dreamloop.model import attention
from dreamloop.model.device import placement
from dreamloop.model.policy import Policy


def load_policy(
    name: str, device: str = "auto", dtype: str = "auto", pack_tokens: int = 512, kind: type[Policy] = Policy
) -> Policy:
    """Load a model and tokenizer from a folder or by Hugging Face id.

    Args:
        name: folder with ``config.json``, or an id such as ``Qwen/Qwen3-4B-Instruct``.
        device: ``auto`` (CUDA where there is one, else CPU) or a torch device.
        dtype: ``auto`` (bfloat16 on CUDA, float32 on CPU), ``float32`` or ``bfloat16``.
        pack_tokens: longest pack that will be scored; windowed attention must reach that far.
        kind: the handle's class: `Policy` with LoRA adapters, or `WholeWeights`.

    Raises:
        ModelError: not found, not loadable, or without a chat template.
    """
    folder = local_folder(name)
    chosen, wanted = placement(device, dtype)
    tokenizer = load_tokenizer(folder)
    try:
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - seconds of import
        from transformers.utils import logging as hf_logging  # noqa: PLC0415 - as above

        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=wanted, attn_implementation="sdpa")
        if model._supports_attention_backend:
            model.set_attn_implementation(attention.install())
        model = model.to(chosen)
    except Exception as error:
        raise ModelError(_explain(name, error)) from error
    return kind(model, tokenizer, name, folder_digest(Path(folder)), pack_tokens)


def load_tokenizer(folder: str) -> Any:
    """The tokenizer of a model folder.

    Raises:
        ModelError: not loadable, or without a chat template or an end-of-turn token.
    """
    try:
        from transformers import AutoTokenizer  # noqa: PLC0415 - seconds of import

        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        raise ModelError(_explain(folder, error)) from error
    if tokenizer.chat_template is None:
        raise ModelError(f"The model {folder} has no chat template; choose its instruct or chat version.")
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The model {folder} has no end-of-turn token (eos_token); choose an instruct version.")
    return tokenizer


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the files that decide how a model answers."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".json", ".jinja"}:
            total.update(path.name.encode())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def local_folder(name: str) -> str:
    """The folder of a model: as named, or fetched from the hub.

    Raises:
        ModelError: neither is there.
    """
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return str(folder)
    if folder.is_absolute() or name.startswith((".", "~")) or folder.exists():
        raise ModelError(f"There is no model in {name}: no config.json there; check 'model' in dreamloop.toml.")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - network code only where an id is named

        return str(snapshot_download(name, allow_patterns=["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]))
    except Exception as error:
        raise ModelError(
            f"The model {name} is neither a folder here nor to be had from the Hugging Face hub "
            f"({first_line(error)}); give a folder, or 'bundled' for the small one that comes along."
        ) from error


def _explain(name: str, error: Exception) -> str:
    if "torchvision::nms" in str(error):
        return (
            "transformers cannot start because an installed torchvision was built for another torch; "
            "run: python -m pip uninstall -y torchvision torchaudio torchcodec"
        )
    return f"The model {name} does not load ({first_line(error)}); check the folder or choose another model."


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
