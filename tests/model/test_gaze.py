from __future__ import annotations

import pytest
import torch

from dreamloop.model.encode import ChatEncoder
from dreamloop.model.gaze import attention_on
from dreamloop.model.policy import Policy
from dreamloop.records import Message


def test_the_share_is_that_of_the_models_own_attention(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    row = tiny_encoder.completion((Message("user", "The total is 12 euros."),), "No, that is not right.", 512)
    span = (5, 9)
    tokens = torch.tensor([[*row.context, *row.branches[0].tokens]])
    tiny.model.set_attn_implementation("eager")
    with torch.no_grad():
        layers = tiny.model(tokens, output_attentions=True, use_cache=False).attentions
    tiny.model.set_attn_implementation("dreamloop_segments")
    reply = slice(len(row.context), None)
    wanted = torch.stack([layer[0, :, reply, slice(*span)].sum(-1).mean() for layer in layers]).mean()
    assert attention_on(tiny, [row], [span])[0] == pytest.approx(float(wanted), abs=1e-6)
