from __future__ import annotations

import pytest

from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import Request, TransformersSampler
from dreamloop.records import Message, Reply


def ask(text: str, tokens: int = 12, temperature: float = 0.7) -> Request:
    return Request((Message("user", text),), tokens, temperature)


def sample(policy: Policy, requests: list[Request], seed: int = 0, batch: int = 16) -> list[Reply]:
    engine = TransformersSampler(policy, ChatEncoder(policy.tokenizer), batch)
    return engine.sample(requests, None, seed, Silent(), "test")


def test_replies_come_in_the_order_of_their_requests(tiny: Policy) -> None:
    requests = [ask("a"), ask("a much longer question " * 5, 5), ask("b", temperature=0.0), ask("a", 5)]
    replies = sample(tiny, requests, batch=2)
    assert [reply.tokens <= request.max_new_tokens for reply, request in zip(replies, requests, strict=True)]
    assert all(reply.tokens <= 12 for reply in replies)
    assert replies[1].tokens <= 5


def test_the_same_seed_writes_the_same_and_another_does_not(tiny: Policy) -> None:
    requests = [ask(f"question {k}") for k in range(4)]
    assert sample(tiny, requests, 1) == sample(tiny, requests, 1)
    assert sample(tiny, requests, 1) != sample(tiny, requests, 2)


def test_greedy_replies_do_not_depend_on_the_batch(tiny: Policy) -> None:
    requests = [ask("word " * k, temperature=0.0) for k in range(1, 6)]
    assert sample(tiny, requests, batch=5) == sample(tiny, requests, batch=1)


def test_an_answer_cut_off_by_the_limit_says_so(tiny: Policy) -> None:
    replies = sample(tiny, [ask(f"question {k}", 1) for k in range(8)])
    assert {reply.finish_reason for reply in replies} <= {"length", "stop"}
    assert any(reply.finish_reason == "length" for reply in replies)


@pytest.mark.model
def test_the_real_model_answers_a_simple_question(bundled: Policy) -> None:
    (reply,) = sample(bundled, [ask("What is the capital of France?", 24, 0.0)])
    assert "Paris" in reply.text
    assert reply.finish_reason == "stop"
    assert "<|im" not in reply.text
