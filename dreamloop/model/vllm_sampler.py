"""The vLLM engine: many requests in flight at once, each answered or asked again.

The server batches by itself; what keeps it full is enough requests at one time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from dreamloop.errors import EngineError
from dreamloop.log import Advance, Progress
from dreamloop.model.encode import ChatEncoder, Tokens
from dreamloop.model.policy import Adapter
from dreamloop.model.sampler import Request, reply_of
from dreamloop.model.vllm_client import Address
from dreamloop.records import Reply

_MAX_SEED = 2**31 - 1
_NOT_TO_BE_ANSWERED = {400, 413, 422}
_NOTHING = Reply("", "length", 0)


class VllmSampler:
    """Writes through one server.

    Args:
        address: where it is.
        names: what the server calls the base (None) and the incumbent.
        encoder: the model's own chat encoder.
        concurrency: requests in flight at one time.
        revive: called once when requests fail; brings the server back or raises EngineError.
    """

    def __init__(
        self, address: Address, names: Mapping[Adapter | None, str], encoder: ChatEncoder, concurrency: int,
        revive: Callable[[], Address],
    ) -> None:  # fmt: skip
        self.address = address
        self.names = names
        self.encoder = encoder
        self.concurrency = concurrency
        self.revive = revive

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        """One reply per request, in order. What a dying server left unanswered is asked once more.

        A request that the server will not take, say because it is too long for it, gets an empty, unfinished
        reply: asking again would not help, and one such request must not cost the night.

        Raises:
            EngineError: the server failed twice.
        """
        prompts = [self.encoder.chat(request.context, generation_prompt=True) for request in requests]
        bodies = [
            self._body(p, r, self.names[adapter], seed + i)
            for i, (p, r) in enumerate(zip(prompts, requests, strict=True))
        ]
        replies: dict[int, Reply] = {}
        with progress.track(what, len(requests), "replies") as advance:
            failure = asyncio.run(self._ask_all(bodies, replies, advance))
            if failure:
                self.address = self.revive()
                failure = asyncio.run(self._ask_all(bodies, replies, advance))
        if failure:
            raise EngineError(
                f"The server at {self.address.url} failed twice while {what} ({failure}); "
                f"{len(requests) - len(replies)} of {len(requests)} replies are missing. See its log."
            )
        return [replies[i] for i in range(len(requests))]

    async def _ask_all(self, bodies: Sequence[dict[str, Any]], replies: dict[int, Reply], advance: Advance) -> str:
        """Fill ``replies`` with what is missing; returns the last failure in a few words, or nothing."""
        gate = asyncio.Semaphore(self.concurrency)
        failures: list[str] = []
        limits = httpx.Limits(max_connections=self.concurrency)
        address = self.address
        async with httpx.AsyncClient(
            base_url=address.root, headers=address.headers(), limits=limits,
            timeout=httpx.Timeout(address.request_timeout_s, pool=None), trust_env=address.encrypted,
        ) as http:  # fmt: skip

            async def ask(i: int) -> None:
                async with gate:
                    try:
                        response = await http.post("/v1/completions", json=bodies[i])
                        refused = response.status_code in _NOT_TO_BE_ANSWERED
                        replies[i] = _NOTHING if refused else reply_of(self.encoder, _tokens(response))
                    except (httpx.HTTPError, _Unanswered) as error:
                        failures.append(str(error) if isinstance(error, _Unanswered) else type(error).__name__)
                    else:
                        advance(1)

            await asyncio.gather(*(ask(i) for i in range(len(bodies)) if i not in replies))
        return failures[-1] if failures else ""

    def _body(self, prompt: Tokens, request: Request, name: str, seed: int) -> dict[str, Any]:
        # Everything is said, because the server would fill gaps from the model's generation_config.
        return {
            "model": name, "prompt": list(prompt), "max_tokens": request.max_new_tokens, "seed": seed % _MAX_SEED,
            "temperature": request.temperature, "top_p": request.top_p if request.temperature > 0 else 1.0,
            "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "stop_token_ids": [self.encoder.end_of_turn],
            "return_token_ids": True,  # the text would come without the bytes of an unfinished character
        }  # fmt: skip


class _Unanswered(Exception):
    """A response that is no finished reply; the message names the status, never the text."""


def _tokens(response: httpx.Response) -> list[int]:
    if not response.is_success:
        raise _Unanswered(f"status {response.status_code}")
    try:
        choice = response.json()["choices"][0]
        finish, tokens = choice["finish_reason"], [int(token) for token in choice["token_ids"]]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _Unanswered("an answer that is not vLLM's") from error
    if finish not in {"stop", "length"}:
        raise _Unanswered(f"finish_reason {finish}")
    return tokens
