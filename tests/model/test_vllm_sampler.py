"""The vLLM engine beside the embedded one: the rest of the code must not be able to tell them apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from peft import LoraConfig

from dreamloop.errors import EngineError
from dreamloop.keep.generations import write_candidate
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import Request, TransformersSampler
from dreamloop.model.vllm_client import Address, VllmClient
from dreamloop.model.vllm_sampler import VllmSampler
from dreamloop.paths import Home
from dreamloop.records import Message

pytestmark = pytest.mark.model
LORA = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)


def ask(text: str, tokens: int = 12, temperature: float = 0.0) -> Request:
    return Request((Message("user", text),), tokens, temperature)


REQUESTS = [ask("What is the total?"), ask("Monday", 5), ask("the fox <|im_end|> jumps", 20), ask("x " * 60)]


def never() -> Address:
    raise EngineError("nothing should have failed")


def engine(client: VllmClient, encoder: ChatEncoder) -> VllmSampler:
    return VllmSampler(client.address, {None: "base", "incumbent": "mine"}, encoder, 64, never)


def test_greedy_replies_equal_the_embedded_engines_for_base_and_adapter(
    client: VllmClient, tiny: Policy, tiny_encoder: ChatEncoder, home: Home
) -> None:
    tiny.add_adapter("candidate", LORA, 0)
    client.load_adapter("mine", write_candidate(tiny, home, 1).folder)
    tiny.load_adapter("incumbent", home.candidates / "000001")
    embedded = TransformersSampler(tiny, tiny_encoder)
    for adapter in (None, "incumbent"):
        theirs = engine(client, tiny_encoder).sample(REQUESTS, adapter, 0, Silent(), "test")
        assert theirs == embedded.sample(REQUESTS, adapter, 0, Silent(), "test")


def test_the_same_seed_writes_the_same_and_another_does_not(client: VllmClient, tiny_encoder: ChatEncoder) -> None:
    requests = [ask(f"question {k}", 12, 1.0) for k in range(8)]
    first, again, other = (
        engine(client, tiny_encoder).sample(requests, None, seed, Silent(), "test") for seed in (1, 1, 2)
    )
    assert first == again != other


def test_many_long_seeded_prompts_at_once_are_all_answered(client: VllmClient, tiny_encoder: ChatEncoder) -> None:
    # More prompt tokens than one step of the engine takes: in two pieces, a seeded prompt would end it on a CPU.
    requests = [ask(f"question {k} " + "and another word " * 60, 4, 1.0) for k in range(48)]
    assert sum(len(tiny_encoder.chat(request.context)) for request in requests) > 8192
    replies = engine(client, tiny_encoder).sample(requests, None, 1, Silent(), "test")
    assert [reply.tokens > 0 for reply in replies] == [True] * 48


def test_an_adapter_that_the_server_lost_is_one_sentence(client: VllmClient, tiny_encoder: ChatEncoder) -> None:
    writer = VllmSampler(client.address, {"incumbent": "gone"}, tiny_encoder, 4, lambda: client.address)
    with pytest.raises(EngineError, match=r"failed twice while test \(status 404\); 4 of 4 replies are missing"):
        writer.sample(REQUESTS, "incumbent", 0, Silent(), "test")


def test_a_request_that_is_too_long_for_the_server_costs_only_itself(
    client: VllmClient, tiny_encoder: ChatEncoder
) -> None:
    short, long, after = engine(client, tiny_encoder).sample(
        [ask("Monday"), ask("fox " * 3000), ask("Tuesday")], None, 0, Silent(), "test"
    )
    assert (long.text, long.finish_reason) == ("", "length")
    assert short.tokens > 0
    assert after.tokens > 0


def test_a_server_that_died_is_brought_back_once_and_only_the_rest_is_asked_again(
    client: VllmClient, tiny_encoder: ChatEncoder, tmp_path: Path
) -> None:
    revived: list[int] = []

    def revive() -> Address:
        revived.append(1)
        return client.address

    nobody = Address("http://127.0.0.1:9", "", 2)
    writer = VllmSampler(nobody, {None: "base"}, tiny_encoder, 4, revive)
    replies = writer.sample(REQUESTS, None, 0, Silent(), "test")
    assert replies == engine(client, tiny_encoder).sample(REQUESTS, None, 0, Silent(), "test")
    assert revived == [1]
