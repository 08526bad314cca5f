from __future__ import annotations

import torch

from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.states import mean_states
from dreamloop.records import Message


def test_states_are_means_over_the_replys_own_tokens(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    row = tiny_encoder.completion((Message("user", "Who is wrong?"),), "The lazy dog.", 512)
    other = tiny_encoder.completion((Message("user", "And who else is it, then?"),), "The fox and the dog.", 512)
    found = mean_states(tiny, [row, other], 1.0, 512, Silent(), "states")[0]
    tokens = torch.tensor([[*row.context, *row.branches[0].tokens]])
    layer = list(tiny.trunk.get_submodule("layers").children())[-1]
    seen = []
    handle = layer.register_forward_hook(lambda *given: seen.append(given[2]))
    with torch.no_grad():
        tiny.model(tokens, use_cache=False)
    handle.remove()
    output = seen[0] if isinstance(seen[0], torch.Tensor) else seen[0][0]
    wanted = output[0, len(row.context) : -1].mean(0)  # without the end-of-turn token
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
