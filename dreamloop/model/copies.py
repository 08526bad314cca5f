"""All weights of a small model trained: base, incumbent and candidate are whole copies behind the same handle.

The model's parameters stay the same objects; which copy answers is which tensors they point to, so switching costs
nothing. Three copies must fit into memory, which is what makes this a way for small models.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamloop.errors import ModelError
from dreamloop.model.policy import Adapter, Policy, Snapshot, same_tensors

Weights = dict[str, Tensor]


class WholeWeights(Policy):
    """A `Policy` whose "adapters" are full copies of the weights."""

    def __init__(self, model: Any, tokenizer: Any, name: str, digest: str, pack_tokens: int = 512) -> None:
        super().__init__(model, tokenizer, name, digest, pack_tokens)
        if self.dtype != torch.float32:
            raise ModelError(f"All weights of {name} can be trained in float32 only; set 'dtype' to 'float32'.")
        self._parameters: dict[str, nn.Parameter] = dict(model.named_parameters())
        self._copies: dict[Adapter | None, Weights] = {None: {key: p.data for key, p in self._parameters.items()}}

    def add_adapter(self, name: Adapter, config: Any, seed: int) -> None:
        """Put a copy of the base beside it; there is nothing to configure and nothing random."""
        self._copies[name] = {key: tensor.clone() for key, tensor in self._copies[None].items()}
        self.use(name)

    def load_adapter(self, name: Adapter, folder: Path) -> None:
        """Load a whole model's weights from a generation under ``name``.

        Raises:
            ModelError: the files are missing or damaged, belong to an adapter, or fit another model.
        """
        try:
            found = _whole(folder, str(self.device))
            self._copies[name] = {key: self._fitting(key, found[key]) for key in self._parameters}
        except Exception as error:
            raise ModelError(
                f"The weights in {folder} do not load onto {self.name} ({type(error).__name__}: {error}); where that "
                "generation is a LoRA adapter, set finetune.method to 'lora' or go back by 'dreamloop revert --to 0'."
            ) from error
        self.use(name)

    def use(self, name: Adapter | None) -> None:
        """Let the named copy answer from now on; None is the base model."""
        if name not in self._copies:
            raise ModelError(f"No weights named {name} are loaded on {self.name}.")
        for key, tensor in self._copies[name].items():
            parameter = self._parameters[key]
            parameter.data = tensor
            parameter.requires_grad_(name == "candidate")
        self.active = name

    def trainable(self, name: Adapter) -> dict[str, nn.Parameter]:
        """The model's parameters, which must be standing on the copy just now."""
        if self.active != name:
            raise ModelError(f"The weights named {name} are not the ones in use.")
        return dict(self._parameters)

    @torch.no_grad()
    def moved_since(self, then: Snapshot) -> float:
        """Euclidean distance of all weights from the snapshot."""
        now = self._copies[then.adapter]
        return math.sqrt(sum(float((now[key] - was).double().square().sum()) for key, was in then.weights.items()))

    @torch.no_grad()
    def distance(self, name: Adapter, other: Adapter | None) -> float:
        """Euclidean distance of two copies, or of one from the base, as a share of the base's own norm."""
        own, was = self._copies[name], self._copies[other]
        moved = sum(float((own[key] - was[key]).double().square().sum()) for key in own)
        return math.sqrt(moved / sum(float(tensor.double().square().sum()) for tensor in self._copies[None].values()))

    def adapted(self, name: Adapter) -> list[str]:
        """None: no layer has an adapter."""
        return []

    def ranks(self, name: Adapter) -> tuple[int, ...]:
        """None, likewise."""
        return ()

    def plain(self, name: Adapter) -> bool:
        """No: vLLM swaps adapters, not whole models."""
        return False

    def gains(self, name: Adapter) -> tuple[float, ...]:
        """None: there is no B·A."""
        return ()

    def set_dropout(self, name: Adapter, probability: float) -> None:
        """Nothing: LoRA's dropout is LoRA's, and the model's own stays off."""

    def save(self, name: Adapter, folder: Path) -> None:
        """Write a model folder that transformers and vLLM load as it is."""
        with self.using(name):
            self.model.save_pretrained(str(folder), safe_serialization=True)
        self.tokenizer.save_pretrained(str(folder))

    def written(self, name: Adapter, folder: Path) -> bool:
        """Whether the files that `save` wrote hold exactly the copy's weights."""
        return same_tensors(self._copies[name], _whole(folder))

    def _fitting(self, key: str, tensor: Tensor) -> Tensor:
        wanted = self._parameters[key]
        if tensor.shape != wanted.shape:
            raise ValueError(f"{key} is {tuple(tensor.shape)} there and {tuple(wanted.shape)} here")
        return tensor.to(wanted.dtype)


def _whole(folder: Path, device: str = "cpu") -> Weights:
    found: Weights = {}
    for path in sorted(folder.glob("model*.safetensors")):
        found |= load_file(path, device=device)
    return found
