"""A model and its adapters behind one handle: which weights answer is always said, never assumed.

One copy of the base weights serves three policies: the base (adapters off), the incumbent and the
candidate. LoRA weights stay in float32 whatever the base's dtype is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dreamloop.errors import ModelError, first_line
from dreamloop.model import attention

Adapter = Literal["incumbent", "candidate"]
_LINEAR_ATTENTION = ("linear_attention", "mamba", "recurrent", "conv")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An adapter's weights at one moment, by parameter name."""

    adapter: Adapter
    weights: dict[str, Tensor]


class Policy:
    """A causal language model, optionally with LoRA adapters, and what scoring needs to know of it.

    Attributes:
        name: how the user named it. digest: SHA-256 of its weight and config files.
        device, dtype: of the base weights.
        head, head_name: the LM head and the last part of its name.
        packable: whether rows may share a sequence (not for linear attention or short windows).
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, digest: str, pack_tokens: int = 512) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.digest = digest
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.packable = _packable(model, pack_tokens)
        self.trunk: nn.Module = model.base_model
        self.head: nn.Linear = model.get_output_embeddings()
        whole = next((key for key, module in model.named_modules() if module is self.head), "")
        self.head_name = whole.rpartition(".")[2]
        self.peft: Any = None
        self.active: Adapter | None = None
        model.requires_grad_(False)
        model.eval()

    def add_adapter(self, name: Adapter, config: Any, seed: int) -> None:
        """Put a fresh adapter on the model; B·A is zero, so it starts as the base."""
        from peft import get_peft_model  # noqa: PLC0415 - half a second that scoring alone does not need

        from dreamloop.model import lora  # noqa: PLC0415 - as above

        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            try:
                if self.peft is None:
                    self.peft = get_peft_model(self.model, config, adapter_name=name)
                else:
                    self.peft.add_adapter(name, config)
            except ValueError as error:
                raise ModelError(
                    f"No adapter fits {self.name} ({first_line(error)}); set finetune.target_modules to 'all-linear'."
                ) from error
        lora.fuse(self.peft)
        self.model.eval()  # new modules come in training mode, where their dropout would blur every score
        self.use(name)

    def load_adapter(self, name: Adapter, folder: Path) -> None:
        """Load an adapter from disk under ``name``.

        Raises:
            ModelError: the files are missing, damaged, or fit another model.
        """
        from peft import PeftModel  # noqa: PLC0415 - as above

        from dreamloop.model import lora  # noqa: PLC0415 - as above

        try:
            if self.peft is None:
                self.peft = PeftModel.from_pretrained(self.model, str(folder), adapter_name=name, is_trainable=True)
            else:
                self.peft.load_adapter(str(folder), name, is_trainable=True)
        except Exception as error:
            raise ModelError(
                f"The adapter in {folder} does not load onto {self.name} ({first_line(error)}); "
                "'dreamloop revert' goes back to an earlier generation."
            ) from error
        lora.fuse(self.peft)
        self.model.eval()  # as above
        self.use(name)

    def use(self, name: Adapter | None) -> None:
        """Let the named adapter answer from now on; None is the base model."""
        if self.peft is not None:
            if name is None:
                self.peft.base_model.disable_adapter_layers()
            else:
                self.peft.base_model.enable_adapter_layers()
                self.peft.set_adapter(name)
        elif name is not None:
            raise ModelError(f"No adapter named {name} is loaded on {self.name}.")
        self.active = name

    @contextmanager
    def using(self, name: Adapter | None) -> Iterator[None]:
        """Let another adapter, or the base with None, answer inside the block."""
        before = self.active
        self.use(name)
        try:
            yield
        finally:
            self.use(before)

    def trainable(self, name: Adapter) -> dict[str, nn.Parameter]:
        """The adapter's parameters by name."""
        marker = f".{name}."
        return {key: value for key, value in self.peft.named_parameters() if marker in key}

    def adapted(self, name: Adapter) -> list[str]:
        """Names of the layers that the adapter stands on."""
        return [key for key, module in self.peft.named_modules() if name in getattr(module, "lora_A", ())]

    def ranks(self, name: Adapter) -> tuple[int, ...]:
        """The distinct ranks that the adapter's layers really have, smallest first."""
        layers = (module for module in self.peft.modules() if name in getattr(module, "lora_A", ()))
        return tuple(sorted({int(layer.lora_A[name].weight.shape[0]) for layer in layers}))

    def plain(self, name: Adapter) -> bool:
        """Whether the adapter is LoRA and nothing else, as vLLM serves it."""
        config = self.peft.peft_config[name]
        return not (config.use_dora or config.lora_bias)

    def gains(self, name: Adapter) -> tuple[float, ...]:
        """The distinct factors on B·A that the adapter's layers really have, smallest first."""
        layers = (module for module in self.peft.modules() if hasattr(module, "lora_A"))
        return tuple(sorted({float(layer.scaling[name]) for layer in layers if name in layer.scaling}))

    def save(self, name: Adapter, folder: Path) -> None:
        """Write the adapter as PEFT does: adapter_model.safetensors and adapter_config.json."""
        self.peft.save_pretrained(str(folder), selected_adapters=[name], safe_serialization=True)
        for path in (folder / name).iterdir():
            path.rename(folder / path.name)
        (folder / name).rmdir()
        (folder / "README.md").unlink(missing_ok=True)

    def written(self, name: Adapter, folder: Path) -> bool:
        """Whether the files that `save` wrote hold exactly the adapter's weights and its configuration."""
        from peft import PeftConfig, get_peft_model_state_dict  # noqa: PLC0415 - as above
        from safetensors.torch import load_file  # noqa: PLC0415 - as above

        own = get_peft_model_state_dict(self.peft, adapter_name=name)
        if not same_tensors(own, load_file(folder / "adapter_model.safetensors")):
            return False
        ours = self.peft.peft_config[name].to_dict()
        found = PeftConfig.from_pretrained(str(folder)).to_dict()
        for_readers = dict.fromkeys(("inference_mode", "auto_mapping"))  # only saving sets these
        return {**found, **for_readers} == {**ours, **for_readers}

    def snapshot(self, name: Adapter) -> Snapshot:
        """The adapter's weights as they are now, to measure later how far it moved."""
        return Snapshot(name, {key: p.detach().clone() for key, p in self.trainable(name).items()})

    @torch.no_grad()
    def place(self, start: Snapshot, end: Snapshot, share: float) -> None:
        """Put the adapter a share of the way from one snapshot to another: start + share·(end - start), per weight.

        0 is the start and 1 the end. With LoRA this runs over A and B, so B·A moves by less than the share at first.
        """
        for key, weight in self.trainable(start.adapter).items():
            weight.copy_(torch.lerp(start.weights[key], end.weights[key], share))

    @torch.no_grad()
    def moved_since(self, then: Snapshot) -> float:
        """Frobenius norm over all layers of what changed in gain·B·A since the snapshot, without DoRA's magnitudes."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for key, a in self.trainable(then.adapter).items():
            if ".lora_A." not in key:
                continue
            name_b = key.replace(".lora_A.", ".lora_B.")
            b = self.peft.get_parameter(name_b)
            gain = self.peft.get_submodule(key.split(".lora_A.")[0]).scaling[then.adapter]
            total += gain**2 * _product_norm([b, -then.weights[name_b]], [a, then.weights[key]])
        return math.sqrt(max(float(total), 0.0))

    @torch.no_grad()
    def distance(self, name: Adapter, other: Adapter | None) -> float:
        """How far two adapters' models lie apart, or an adapter's from the base: ‖Δθ‖ / ‖θ‖.

        Frobenius norms over all layers that either stands on, of what differs in gain·B·A, without DoRA's magnitudes,
        and of the base's weights there.
        """
        moved = whole = torch.zeros((), dtype=torch.float64, device=self.device)
        for layer in self.peft.modules():
            stands = [one for one in (name, other) if one in getattr(layer, "lora_A", ())]
            if stands:
                signs = [1.0 if one == name else -1.0 for one in stands]
                outer = [
                    s * layer.scaling[one] * layer.lora_B[one].weight for s, one in zip(signs, stands, strict=True)
                ]
                moved = moved + _product_norm(outer, [layer.lora_A[one].weight for one in stands])
                whole = whole + layer.base_layer.weight.double().square().sum()
        return math.sqrt(max(float(moved), 0.0) / float(whole))

    @contextmanager
    def training(self) -> Iterator[None]:
        """LoRA's dropout on and gradient checkpointing possible, inside the block.

        The model's own dropout, where it has any, stays off: it would make DPO's policy differ from its reference.
        """
        ours = {drop for module in self.model.modules() for drop in getattr(module, "lora_dropout", {}).values()}
        for module in self.model.modules():
            module.training = module in ours or hasattr(module, "gradient_checkpointing")
        try:
            yield
        finally:
            self.model.eval()

    @contextmanager
    def checkpointing(self, wanted: bool) -> Iterator[None]:
        """Activations are computed twice instead of kept, inside the block, where it is wanted."""
        if wanted:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        try:
            yield
        finally:
            if wanted:
                self.model.gradient_checkpointing_disable()

    def set_dropout(self, name: Adapter, probability: float) -> None:
        """LoRA dropout of one adapter; needed because SFT uses it and DPO must not."""
        for module in self.peft.modules():
            if hasattr(module, "lora_dropout") and name in module.lora_dropout:
                module.lora_dropout[name] = nn.Dropout(probability).train(module.training)


def same_tensors(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether both have the same names and, bit by bit, the same numbers."""
    return own.keys() == found.keys() and all(torch.equal(own[key].cpu(), found[key]) for key in own)


def _product_norm(outer: Sequence[Tensor], inner: Sequence[Tensor]) -> Tensor:
    """Squared Frobenius norm of the sum of all B·A.

    ‖[B, B']·[A; A']‖² is the sum over products of two small Gram matrices, so no full-size matrix is made.
    """
    b, a = torch.cat(list(outer), dim=1).double(), torch.cat(list(inner), dim=0).double()
    return ((b.T @ b) * (a @ a.T)).sum()


def _packable(model: Any, pack_tokens: int) -> bool:
    config = model.config
    if config._attn_implementation != attention.NAME:
        return False
    kinds = getattr(config, "layer_types", None) or ()
    if any(mark in kind for kind in kinds for mark in _LINEAR_ATTENTION):
        return False
    window = getattr(config, "sliding_window", None)
    return window is None or window >= pack_tokens
