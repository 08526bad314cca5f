"""The fused LoRA layer against PEFT's own, which it must equal in every number."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn

from dreamloop.model.lora import FusedLinear, fuse, hidden_by_dropout
from dreamloop.model.policy import Policy


class Net(nn.Module):
    """One linear layer with a bias, so that its input needs a gradient too."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.first = nn.Linear(12, 8, bias=True, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.first(x)
        return result


def twice(dtype: torch.dtype, p: float = 0.0) -> tuple[Any, Any]:
    """The same adapter on the same layer, as PEFT has it and fused."""
    both: list[Any] = []
    for _ in range(2):
        torch.manual_seed(3)
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["first"], init_lora_weights=False, lora_dropout=p)
        both.append(get_peft_model(Net(dtype), config).train())
    fuse(both[1])
    assert type(both[1].base_model.model.first) is FusedLinear
    return both[0], both[1]


def passed(net: nn.Module, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Output and gradients for a (2, 5, 12) input."""
    torch.manual_seed(4)
    x = torch.randn(2, 5, 12, dtype=dtype, requires_grad=True)
    y = net(x)
    learned = [p for p in net.parameters() if p.requires_grad]
    return y, *torch.autograd.grad((y.float() * torch.arange(8)).sum(), [x, *learned])


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_output_and_gradients_equal_pefts(dtype: torch.dtype, close: float) -> None:
    plain, fused = (passed(net, dtype) for net in twice(dtype))
    assert len(plain) == 4
    for ours, theirs in zip(fused, plain, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, atol=close, rtol=close)


def test_with_dropout_the_gradient_is_that_of_the_same_hidden_places(monkeypatch: pytest.MonkeyPatch) -> None:
    _, fused = twice(torch.float32, 0.5)
    places = torch.tensor([0, 7, 13, 50])
    monkeypatch.setattr("dreamloop.model.lora.hidden_by_dropout", lambda *_: places)
    layer = fused.base_model.model.first

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(x.numel()).index_fill(0, places, 0.0).view(x.shape)
            low = (x * mask / (1 - 0.5)) @ layer.lora_A["default"].weight.T
            result: Tensor = (
                layer.get_base_layer()(x) + low @ layer.lora_B["default"].weight.T * layer.scaling["default"]
            )
            return result

    for ours, theirs in zip(passed(fused, torch.float32), passed(ByHand(), torch.float32), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_dropout_hides_its_share_and_every_place_as_often(p: float) -> None:
    torch.manual_seed(0)
    hidden = torch.zeros(100)
    for _ in range(2000):
        hidden += torch.zeros(100).index_fill_(0, hidden_by_dropout(100, p, torch.device("cpu")), 1.0)
    # Binomial counts: five standard deviations of one place, and of the mean.
    off = math.sqrt(p * (1 - p) / 2000)
    assert (hidden / 2000 - p).abs().max() < 5 * off
    assert abs(float(hidden.mean()) / 2000 - p) < 0.005


def test_dropout_follows_the_seed_and_is_off_in_evaluation() -> None:
    _, fused = twice(torch.float32, 0.5)
    x = torch.randn(3, 12)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(fused(x))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    fused.eval()
    assert torch.equal(fused(x), fused(x))


def test_without_an_adapter_the_fused_layer_is_the_base(tiny: Policy) -> None:
    ids = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        before = tiny.model(input_ids=ids).logits
        tiny.add_adapter("candidate", LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False), seed=0)
        assert any(type(m) is FusedLinear for m in tiny.model.modules())
        changed = tiny.model(input_ids=ids).logits
        with tiny.using(None):
            base = tiny.model(input_ids=ids).logits
    assert torch.equal(base, before)
    assert not torch.allclose(changed, before)


def test_what_is_not_plain_lora_stays_pefts(tiny: Policy) -> None:
    config = LoraConfig(r=4, target_modules="all-linear", use_dora=True)
    tiny.add_adapter("candidate", config, seed=0)
    layer: Any = next(m for m in tiny.model.modules() if isinstance(m, Linear))
    x = torch.randn(2, layer.get_base_layer().weight.shape[1])
    torch.testing.assert_close(layer(x), Linear.forward(layer, x))
