"""How long the gate takes, and how that compares with lm-evaluation-harness on the same log-likelihood items.

``seconds`` is what an ordinary night's gate costs with the bundled model: the candidate's whole suite, answers
included, and tonight's own scenarios and replies for base, incumbent and candidate, with the suite's scores of base and
incumbent looked up in the ledger, as `trial.Judge` does it. ``first_night_seconds`` is the same with nothing known:
base and candidate. With --quick ``seconds`` is a quick look at what serves against the base as `dreamloop gate --quick`
does it, loading included. ``items_per_s`` counts the replies, documents and answers of one policy's suite.

``ratio_to_lm_eval`` compares log-likelihood items alone (a context and a reply, of a quarter of the probes and choices)
with HFLM.loglikelihood at the fastest of several batch sizes: same weights, dtype, threads and texts, warm, turn by
turn in one process. Every single log-likelihood is compared too (``largest_difference_nats``).

    python tests/bench/gate.py [--quick] [--dtype bfloat16] [--rounds 3]
    python tests/bench/gate.py --report [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dreamloop.config import Config
from dreamloop.dream.axes import Coverage
from dreamloop.dream.books import load_shelves
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import Dreamer, pairs_of
from dreamloop.gate.capability import coherence, score_choices
from dreamloop.gate.gauges import Items
from dreamloop.gate.probes import probes_of, score_probes
from dreamloop.gate.reading import load_suite
from dreamloop.gate.scores import score_suite
from dreamloop.gate.spill import misplaced
from dreamloop.gate.suite import Choice, Suite
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.log import Silent, setup
from dreamloop.look import look
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.model.wake import Model, wake
from dreamloop.paths import Home, default_home, prompts_folder
from dreamloop.records import Context, Generation
from dreamloop.trial import Judge

RESULTS = Path(__file__).parent / "results"
BATCHES = (1, 4, 8, 16, 32, 64)
SHARE = 4  # every fourth twin and choice is compared with the harness, which takes minutes for them
EVERY = 6  # of the harness's items, one is used to find its best batch
SEED = 0

Question = tuple[Context, str]


# --- a night's gate ----------------------------------------------------------------------------


@torch.no_grad()
def trained(model: Model) -> Model:
    """The candidate moved a little, as by a night; what it learnt does not matter for how long it takes."""
    generator = torch.Generator().manual_seed(SEED)
    for name, weight in model.policy.trainable("candidate").items():
        if ".lora_B." in name:
            weight.add_(1e-4 * torch.randn(weight.shape, generator=generator).to(weight.device))
    return model


def kept(home: Home, model: Model) -> generations.Candidate:
    """The candidate as generation 1, which serves."""
    candidate = generations.write_candidate(model.policy, home, 1)
    generations.promote(home, candidate, 1, model.policy.digest, None)
    generations.point(home, 1)
    return candidate


def asked_tonight(config: Config) -> Items:
    """The whole suite, a night's fresh lessons, and a night's dose of scenarios with their replies elsewhere."""
    shelves, suite = load_shelves([prompts_folder() / "dream"], ["en"], config.night.kinds), load_suite()
    dreamer = Dreamer(shelves, config.dream, Novelty(), Coverage(), lambda _: False)
    lessons = dreamer.dream(config.gate.lesson_twins, SEED)
    dreamed = dreamer.dream(config.night.behavioural // 2, SEED + 1)
    replies = [pair.chosen for twins in dreamed.twins for pair in pairs_of(twins)]
    elsewhere = misplaced(replies, [context for _, context in suite.prompts])
    return Items(suite, tuple(probes_of(lessons.twins)), tuple(probes_of(dreamed.twins)), elsewhere)


def judged(config: Config, ledger: Ledger, model: Model, incumbent: Generation | None) -> tuple[float, Judge, Any]:
    night = ledger.begin(datetime.now(UTC).isoformat(), SEED, config.model_dump_json(), {}, config.model)
    judge = Judge(night, config.gate, ledger, model, incumbent, setup())
    started = time.perf_counter()
    _, scored = judge(asked_tonight(config), None)
    if scored.faults:
        raise SystemExit(f"Not measured, so nothing to time: {scored.faults}")
    return time.perf_counter() - started, judge, scored


def two_nights(home: Home, config: Config) -> dict[str, float]:
    """Seconds of a first night's gate, and of the next one's, which looks up what is known."""
    ledger = Ledger(home.ledger)
    model = trained(wake(config, home.models, None, None, SEED, Silent()))
    first, judge, scored = judged(config, ledger, model, None)
    judge.remember(asked_tonight(config), scored, kept(home, model).digest)
    incumbent = generations.current(home)
    model = trained(wake(config, home.models, incumbent, incumbent, SEED, Silent()))
    second, _, _ = judged(config, ledger, model, incumbent)
    ledger.close()
    return {"seconds": round(second, 1), "first_night_seconds": round(first, 1)}


def quick_look(home: Home, config: Config) -> dict[str, float]:
    kept(home, trained(wake(config, home.models, None, None, SEED, Silent())))
    started = time.perf_counter()
    seen = look(home, config, True, setup())
    return {"seconds": round(time.perf_counter() - started, 1), "measures": len(seen.measures)}


def items_of(suite: Suite) -> int:
    """Replies, documents and answers that are scored for one policy."""
    return (
        len(questions(suite)) + len(suite.documents) + len(suite.tasks) + len(suite.prompts)
        + len(suite.personas) * len(suite.questions)
    )  # fmt: skip


# --- beside the harness ------------------------------------------------------------------------


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
    """Largest difference of any reply's log-likelihood in nats: both must measure the same thing."""
    asked = [(probe.context, tuple(text for pair in probe.replies for text in pair)) for probe in suite.probes]
    asked += [(choice.context, (choice.right, choice.wrong)) for choice in choices_of(suite)]
    rows = [encoder.branches(encoder.seated(context), texts, 4096) for context, texts in asked]
    own = [tokens.sum().item() for branches in completion_logprobs(policy, rows) for tokens in branches]
    return max(abs(a - b) for a, b in zip(own, sums, strict=True))


def speed(folder: str, dtype: str, suite: Suite) -> dict[str, float]:
    policy = load_policy(folder, "auto", dtype)
    started = time.perf_counter()
    score_suite(policy, ChatEncoder(policy.tokenizer), suite, None, setup())
    seconds = time.perf_counter() - started
    count = items_of(suite)
    return {"items": count, "suite_seconds": round(seconds, 1), "items_per_s": round(count / seconds, 2)}


def compared(folder: str, dtype: str, suite: Suite, rounds: int) -> dict[str, Any]:
    policy = load_policy(folder, "auto", dtype)
    encoder = ChatEncoder(policy.tokenizer)
    asked = requests(encoder, questions(suite))
    plain = load_policy(folder, "auto", dtype, pack_tokens=1)
    plain.model.set_attn_implementation("sdpa")
    theirs(harness(plain, 8), asked[:: 4 * EVERY])  # warm
    tuning = {batch: theirs(harness(plain, batch), asked[::EVERY])[0] for batch in BATCHES}
    best = harness(plain, min(tuning, key=lambda batch: tuning[batch]))
    pairs = []
    for _ in range(rounds):
        mine = ours(policy, encoder, suite)
        other, sums = theirs(best, asked)
        pairs.append((mine, other))
    medians = [statistics.median(pair[k] for pair in pairs) for k in (0, 1)]
    return {
        "ratio_to_lm_eval": round(medians[1] / medians[0], 2),
        "log_likelihood_items": len(asked),
        "ours_seconds": round(medians[0], 2),
        "lm_eval_seconds": round(medians[1], 2),
        "all_seconds": [[round(one, 2) for one in pair] for pair in pairs],
        "lm_eval_batch": best.batch_size,
        "lm_eval_tuning_seconds": {str(batch): round(one, 2) for batch, one in tuning.items()},
        "largest_difference_nats": round(agreement(policy, encoder, suite, sums), 6),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    models = Home(default_home()).models
    models.mkdir(parents=True, exist_ok=True)
    folder = str(ensure_bundled(models, Silent()))
    config = Config(model=folder, dtype=options.dtype)
    with tempfile.TemporaryDirectory() as place:
        home = Home(Path(place) / "home")
        home.create()
        night = quick_look(home, config) if options.quick else two_nights(home, config)
    suite = load_suite().quick() if options.quick else load_suite()
    return {
        **night,
        **speed(folder, options.dtype, suite),
        **compared(folder, options.dtype, load_suite().quick(SHARE), options.rounds),
        "quick": options.quick,
        "dtype": options.dtype,
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "lm_eval")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quick look instead of a night")
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
