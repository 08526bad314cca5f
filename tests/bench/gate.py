"""How long the gate takes, and how that compares with lm-evaluation-harness on the same log-likelihood items.

``seconds`` is one policy's whole suite with the bundled model, quick or not, answers included; ``items_per_s`` counts
scored replies, documents and written answers. ``ratio_to_lm_eval`` compares the log-likelihood items alone (probes
and choices: a context and a reply) with HFLM.loglikelihood at the fastest of several batch sizes, same weights, dtype
and texts, warm, turn by turn in one process; both must give the same numbers to within rounding.

    python tests/bench/gate.py [--quick] [--dtype bfloat16] [--rounds 3]
    python tests/bench/gate.py --report [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dreamloop.gate.capability import coherence, score_choices
from dreamloop.gate.probes import score_probes
from dreamloop.gate.reading import load_suite
from dreamloop.gate.scores import score_suite
from dreamloop.gate.suite import Choice, Suite
from dreamloop.log import Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.paths import Home, default_home
from dreamloop.records import Context

RESULTS = Path(__file__).parent / "results"
BATCHES = (1, 8, 32)

Question = tuple[Context, str]


def choices_of(suite: Suite) -> list[Choice]:
    return [*suite.choices, *coherence(suite.documents)]


def questions(suite: Suite) -> list[Question]:
    """Every log-likelihood item as a context and a reply."""
    found = [(probe.context, text) for probe in suite.probes for pair in probe.replies for text in pair]
    return found + [(choice.context, text) for choice in choices_of(suite) for text in (choice.right, choice.wrong)]


def ours(policy: Policy, encoder: ChatEncoder, suite: Suite) -> float:
    started = time.perf_counter()
    score_probes(policy, encoder, suite.probes, Silent(), "bench")
    score_choices(policy, encoder, choices_of(suite), Silent(), "bench")
    return time.perf_counter() - started


def requests(encoder: ChatEncoder, asked: Sequence[Question]) -> list[Any]:
    """The same texts as the harness wants them; the reply ends its turn there too."""
    from lm_eval.api.instance import Instance  # noqa: PLC0415 - seconds of import

    found: list[Any] = []
    for context, reply in asked:
        messages = [{"role": m.role, "content": m.content} for m in encoder.seated(context)]
        render = encoder.tokenizer.apply_chat_template
        prefix = str(render(messages, tokenize=False, add_generation_prompt=True))
        whole = str(render([*messages, {"role": "assistant", "content": reply}], tokenize=False))
        end = str(encoder.tokenizer.eos_token)
        arguments = (prefix, whole[len(prefix) : whole.rindex(end) + len(end)])
        found.append(Instance("loglikelihood", {}, arguments, len(found)))
    return found


def harness(policy: Policy, batch: int) -> Any:
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415 - as above

    return HFLM(pretrained=policy.model, tokenizer=policy.tokenizer, batch_size=batch, add_bos_token=False)


def theirs(model: Any, asked: Sequence[Any]) -> tuple[float, list[float]]:
    started = time.perf_counter()
    scores = model.loglikelihood(list(asked), disable_tqdm=True)
    return time.perf_counter() - started, [float(score) for score, _ in scores]


def agreement(policy: Policy, encoder: ChatEncoder, suite: Suite, sums: Sequence[float]) -> float:
    """Largest difference of the choices' right replies in nats: both must measure the same thing."""
    from dreamloop.model.score import completion_logprobs  # noqa: PLC0415 - only here

    choices = choices_of(suite)
    rows = [encoder.branches(encoder.seated(c.context), (c.right, c.wrong), 4096) for c in choices]
    own = [tokens.sum().item() for branches in completion_logprobs(policy, rows) for tokens in branches]
    return max(abs(a - b) for a, b in zip(own, sums[-len(own) :], strict=True))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    home = Home(default_home())
    home.create()
    policy = load_policy(str(ensure_bundled(home.models, Silent())), "auto", options.dtype)
    encoder = ChatEncoder(policy.tokenizer)
    suite = load_suite().quick() if options.quick else load_suite()
    started = time.perf_counter()
    scored = score_suite(policy, encoder, suite, None, setup())
    seconds = time.perf_counter() - started
    asked = requests(encoder, questions(suite))
    plain = load_policy(policy.name, "auto", options.dtype, pack_tokens=1)
    plain.model.set_attn_implementation("sdpa")
    tuning = {batch: theirs(harness(plain, batch), asked[: len(asked) // 4])[0] for batch in BATCHES}
    best = harness(plain, min(tuning, key=lambda batch: tuning[batch]))
    pairs = []
    for _ in range(options.rounds):
        mine = ours(policy, encoder, suite)
        other, sums = theirs(best, asked)
        pairs.append((mine, other))
    items = sum(len(scores) for scores in scored.channels.values())
    medians = [statistics.median(pair[k] for pair in pairs) for k in (0, 1)]
    return {
        "seconds": round(seconds, 1),
        "items_per_s": round(items / seconds, 2),
        "ratio_to_lm_eval": round(medians[1] / medians[0], 2),
        "log_likelihood_items": len(asked),
        "ours_seconds": round(medians[0], 2),
        "lm_eval_seconds": round(medians[1], 2),
        "all_seconds": [[round(one, 2) for one in pair] for pair in pairs],
        "lm_eval_batch": best.batch_size,
        "lm_eval_tuning_seconds": {str(batch): round(one, 2) for batch, one in tuning.items()},
        "largest_difference_nats": round(agreement(policy, encoder, suite, sums), 6),
        "quick": options.quick,
        "dtype": options.dtype,
        "faults": dict(scored.faults),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "lm_eval")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the items")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    options = parser.parse_args()
    result = RESULTS / f"gate_{'quick' if options.quick else 'default'}_{options.dtype}.json"
    if not options.report:
        line = measure(options)
        result.write_text(json.dumps(line, indent=1) + "\n")
    print(json.dumps(json.loads(result.read_text())))


if __name__ == "__main__":
    main()
