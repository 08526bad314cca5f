"""The training step against TRL's trainers: same rows, LoRA, dtype, dropout, optimizer batch and loss.

32 chat rows (SFT, 16 a step) and 16 pairs (DPO, 8 a step), each for one pass. Contestants: dreamloop, TRL with its
defaults, and TRL at its best on one machine (packing, micro-batch 1, precomputed reference, no gradient
checkpointing); beside them dreamloop with frozen contexts, which is an approximation. Each runs in a process of its
own, warmed up on one step, and all take turns for several rounds, so that a slow minute hits them alike. Seconds are
those of the pass: loading, tokenizing and packing of datasets are left out, scoring the reference is in.

Texts are words from the gate's prose at lengths like those of people's pairs: log-normal, median context 88 tokens,
chosen 166, rejected 103 (as in 730 pairs of OpenAssistant trees), context plus reply at most 512.

``of_limit`` is the useful arithmetic per second over the matrix throughput measured in the same process. Useful is
counted as is usual, every layer at every distinct token (a shared context is one): forward, and backward to
activations through frozen weights, LoRA's own gradients, attention over visible tokens, the LM head at reply tokens,
and one forward pass for the reference. About 1.5 % of it could be left out (contexts in the last layer, the first
layer's inputs).

The losses cost the same but are not the same: TRL's SFT is a mean over tokens, ours over rows.

    python tests/bench/train_step.py [--dtype bfloat16] [--rounds 3] [--home FOLDER]   runs what is not finished yet
    python tests/bench/train_step.py --report                                          prints the last finished run
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig

import dreamloop
from dreamloop.config import Finetune
from dreamloop.finetune.phases import dpo_phase, sft_phase
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.step import Trainer
from dreamloop.gate.reading import ITEMS
from dreamloop.log import Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.paths import Home, default_home
from dreamloop.records import Message, Pair, Provenance

RESULTS = Path(__file__).parent / "results"
SIDES = ("ours", "ours_frozen", "trl_best", "trl_default")
KINDS = ("sft", "dpo")
ROWS, PAIRS = 32, 16
SFT_BATCH, DPO_BATCH = 16, 8
LONGEST = 512
DROPOUT = {"sft": 0.05, "dpo": 0.0}


# --- the rows ----------------------------------------------------------------------------------


def texts(count: int, encoder: ChatEncoder, seed: int = 7) -> list[tuple[str, str, str]]:
    """(question, chosen, rejected) whose token counts follow people's."""
    words = _words()
    draw = random.Random(seed)

    def text(median: float, spread: float, most: int) -> str:
        length = min(most, max(6, round(median * pow(2.718281828, draw.gauss(0, spread)))))
        some = " ".join(draw.choices(words, k=length))
        return str(encoder.tokenizer.decode(encoder.tokenizer(some)["input_ids"][:length]))

    found = []
    for _ in range(count):
        question = text(56, 0.9, 200)  # the template around it takes some thirty tokens more
        found.append((question, text(166, 0.7, 270), text(103, 0.8, 270)))
    return found


def _words() -> list[str]:
    documents = tomllib.loads((ITEMS / "prose.toml").read_text())["document"]
    return [word for document in documents for word in document["text"].split()]


def lora(kind: str) -> LoraConfig:
    return LoraConfig(
        r=16, lora_alpha=32, target_modules="all-linear", lora_dropout=DROPOUT[kind], task_type="CAUSAL_LM"
    )


# --- the contestants ---------------------------------------------------------------------------


def ours(kind: str, folder: str, dtype: str, context_gradient: Literal["full", "frozen"]) -> dict[str, Any]:
    policy = load_policy(folder, "auto", dtype)
    encoder = ChatEncoder(policy.tokenizer)
    policy.add_adapter("candidate", lora(kind), seed=0)
    policy.use("candidate")
    knobs = Finetune(
        loss_type="sigmoid", sft_batch=SFT_BATCH, dpo_batch=DPO_BATCH, min_steps=1, sft_dropout=DROPOUT["sft"],
        anchor_weight=0,
    )  # fmt: skip
    recipe = replace(recipe_of(knobs, seed=0), context_gradient=context_gradient)
    trainer = Trainer(policy, recipe, Silent())
    items = texts(ROWS if kind == "sft" else PAIRS, encoder)
    where = Provenance("bench", "", 0, "ranked siblings", "strong")
    pairs = [Pair((Message("user", q),), good, bad, where) for q, good, bad in items]
    rows = {pair: encoder.branches(pair.context, (pair.chosen, pair.rejected), 2 * LONGEST) for pair in pairs}
    single = [encoder.completion(pair.context, pair.chosen, 2 * LONGEST) for pair in pairs]

    def run(n: int) -> None:
        if kind == "sft":
            sft_phase(trainer, single[:n], [])
        else:
            dpo_phase(trainer, {pair: rows[pair] for pair in pairs[:n]}, [])

    run(2)
    peak = matmul_peak(policy.dtype)
    started = time.perf_counter()
    run(len(pairs))
    seconds = time.perf_counter() - started
    used = single if kind == "sft" else list(rows.values())
    return {
        "seconds": seconds,
        "tokens": plain_tokens(used),
        "of_limit": useful_flops(policy, used, kind) / seconds / max(peak, matmul_peak(policy.dtype)),
    }


def theirs(kind: str, folder: str, dtype: str, best: bool) -> dict[str, Any]:
    import datasets  # noqa: PLC0415 - the yardstick's own imports take seconds
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - as above

    datasets.disable_caching()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = ChatEncoder(tokenizer)
    items = texts(ROWS if kind == "sft" else PAIRS, encoder)
    peft_config = lora(kind)
    found: dict[str, Any] = {}
    model = trainer = None
    for some in (items[:2], items):  # the first is the warm-up
        del model, trainer  # or its memory would count as the second's
        gc.collect()
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
        with tempfile.TemporaryDirectory() as place:
            build = _sft_trainer if kind == "sft" else _dpo_trainer
            trainer = build(model, tokenizer, peft_config, some, place, dtype, best)
            started = time.perf_counter()
            trainer.train()
            found = {"seconds": time.perf_counter() - started + getattr(trainer, "precompute_seconds", 0.0)}
    single = [encoder.completion((Message("user", q),), good, 2 * LONGEST) for q, good, _ in items]
    both = [encoder.branches((Message("user", q),), (good, bad), 2 * LONGEST) for q, good, bad in items]
    return {**found, "tokens": plain_tokens(single if kind == "sft" else both)}


def _common(place: str, dtype: str) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": place, "report_to": "none", "use_cpu": not on_gpu, "bf16": dtype == "bfloat16",
        "disable_tqdm": True, "save_strategy": "no", "logging_strategy": "no", "num_train_epochs": 1,
        "max_grad_norm": 1.0, "weight_decay": 0.01, "dataloader_pin_memory": on_gpu,
    }  # fmt: skip


def _chat(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def _sft_trainer(
    model: Any, tokenizer: Any, peft_config: Any, items: Sequence[Any], place: str, dtype: str, best: bool
) -> Any:
    from datasets import Dataset  # noqa: PLC0415 - as above
    from trl.trainer.sft_config import SFTConfig  # noqa: PLC0415 - as above
    from trl.trainer.sft_trainer import SFTTrainer  # noqa: PLC0415 - as above

    data = Dataset.from_list([{"prompt": _chat("user", q), "completion": _chat("assistant", a)} for q, a, _ in items])
    knobs: dict[str, Any] = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": SFT_BATCH // 8}
    if best:
        knobs = {"packing": True, "max_length": LONGEST, "per_device_train_batch_size": 1,
                 "gradient_accumulation_steps": 1, "gradient_checkpointing": False}  # fmt: skip

    def made() -> Any:
        return SFTTrainer(
            model=model, args=SFTConfig(learning_rate=2e-4, **knobs, **_common(place, dtype)), train_dataset=data,
            processing_class=tokenizer, peft_config=peft_config,
        )  # fmt: skip

    trainer = made()
    if best:  # as many optimizer steps as everybody: the packs of the pass are shared out among them
        steps = max(1, len(items) // SFT_BATCH)
        trainer.args.gradient_accumulation_steps = -(-len(trainer.train_dataset) // steps)
        trainer.accelerator.gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    return trainer


def _dpo_trainer(
    model: Any, tokenizer: Any, peft_config: Any, items: Sequence[Any], place: str, dtype: str, best: bool
) -> Any:
    from datasets import Dataset  # noqa: PLC0415 - as above
    from trl.trainer.dpo_config import DPOConfig  # noqa: PLC0415 - as above
    from trl.trainer.dpo_trainer import DPOTrainer  # noqa: PLC0415 - as above

    class Timed(DPOTrainer):  # type: ignore[misc,unused-ignore] # trl is untyped
        precompute_seconds = 0.0

        def _precompute_ref_logps(self, *given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = super()._precompute_ref_logps(*given, **named)
            self.precompute_seconds += time.perf_counter() - started
            return result

    data = Dataset.from_list(
        [
            {"prompt": _chat("user", q), "chosen": _chat("assistant", a), "rejected": _chat("assistant", b)}
            for q, a, b in items
        ]
    )
    knobs: dict[str, Any] = {"per_device_train_batch_size": DPO_BATCH}
    if best:
        knobs = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": DPO_BATCH,
                 "gradient_checkpointing": False, "precompute_ref_log_probs": True}  # fmt: skip
    return Timed(
        model=model, args=DPOConfig(learning_rate=1e-4, beta=0.1, **knobs, **_common(place, dtype)), train_dataset=data,
        processing_class=tokenizer, peft_config=peft_config,
    )  # fmt: skip


# --- the limit ---------------------------------------------------------------------------------


def matmul_peak(dtype: torch.dtype) -> float:
    """FLOP/s of a 2048 x 2048 x 2048 product, the best of several."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(8):
        started = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def useful_flops(policy: Policy, rows: Sequence[Row], kind: str) -> float:
    """Operations that one pass over the rows needs; see the head of this file."""
    frozen = sum(m.weight.numel() for n, m in policy.model.named_modules() if n.endswith("base_layer"))
    adapter = sum(p.numel() for p in policy.trainable("candidate").values())
    config = policy.model.config
    width = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    head = policy.head.weight.numel()
    tokens = sum(len(row) for row in rows)
    replies = sum(len(branch.tokens) for row in rows for branch in row.branches)
    seen = sum(_visible(row) for row in rows)
    forward = 2 * tokens * (frozen + adapter) + 4 * config.num_hidden_layers * width * seen + 2 * replies * head
    backward = 2 * tokens * (frozen + 2 * adapter) + 8 * config.num_hidden_layers * width * seen + 2 * replies * head
    return float(forward + backward + (forward if kind == "dpo" else 0))


def _visible(row: Row) -> int:
    """How many (token, token it may see) there are in a row."""
    context = len(row.context)
    own = sum(n * (n + 1) // 2 + n * context for n in (len(branch.tokens) for branch in row.branches))
    return context * (context + 1) // 2 + own


def plain_tokens(rows: Sequence[Row]) -> int:
    """Tokens as every contestant sees them: each reply with its context."""
    return sum(len(row.context) + len(branch.tokens) for row in rows for branch in row.branches)


# --- the rounds --------------------------------------------------------------------------------


def child(kind: str, side: str, folder: str, dtype: str) -> None:
    """One contestant's timed pass; prints JSON."""
    if side.startswith("ours"):
        found = ours(kind, folder, dtype, "frozen" if side == "ours_frozen" else "full")
    else:
        found = theirs(kind, folder, dtype, side == "trl_best")
    found["peak_memory_mb"] = (
        torch.cuda.max_memory_allocated() // 2**20
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    )
    print("RESULT " + json.dumps({"kind": kind, "side": side, **found}), flush=True)


def run_child(kind: str, side: str, folder: str, dtype: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", kind, side, "--folder", folder, "--dtype", dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TQDM_DISABLE": "1"})
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{kind} {side} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return result


def code_digest() -> str:
    """SHA-256 over the package and this file: what was measured."""
    total = hashlib.sha256()
    for path in [*sorted(Path(dreamloop.__file__).parent.rglob("*.py")), Path(__file__)]:
        total.update(path.read_bytes())
    return total.hexdigest()


def summary(rounds: Sequence[dict[str, Any]], dtype: str) -> dict[str, Any]:
    """The JSON line: medians over rounds, ratios of medians."""
    line: dict[str, Any] = {"dtype": dtype}
    for kind in KINDS:
        of: dict[str, Any] = {}
        for side in SIDES:
            runs = [r for r in rounds if r["kind"] == kind and r["side"] == side]
            seconds = statistics.median(r["seconds"] for r in runs)
            of[side] = {
                "seconds": round(seconds, 2),
                "all_seconds": [round(r["seconds"], 2) for r in runs],
                "tokens_per_s": round(runs[0]["tokens"] / seconds, 1),
                "peak_memory_mb": max(r["peak_memory_mb"] for r in runs),
            }
        limits = [r["of_limit"] for r in rounds if r["kind"] == kind and r["side"] == "ours"]
        mine = of["ours"]["seconds"]
        line[kind] = {
            "ratio_vs_trl_default": round(of["trl_default"]["seconds"] / mine, 2),
            "ratio_vs_trl_best": round(of["trl_best"]["seconds"] / mine, 2),
            "of_limit": round(statistics.median(limits), 3),
            "ratio_vs_full_context_gradient": round(mine / of["ours_frozen"]["seconds"], 2),
            "tokens": runs[0]["tokens"],
            **of,
        }
    line |= {
        "rounds": len(limits),
        "code": rounds[-1]["code"],
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
    }
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--home", type=Path, default=Path("state/bench-train-step"), help="where finished runs are kept"
    )
    parser.add_argument("--only", choices=SIDES, help="run just this contestant, keep nothing")
    parser.add_argument("--report", action="store_true", help="print the last finished run")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "SIDE"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    result = RESULTS / f"train_step_{options.dtype}.json"
    if options.child:
        child(options.child[0], options.child[1], options.folder, options.dtype)
        return
    if options.report:
        print(json.dumps(json.loads(result.read_text())))
        return
    setup()
    home = Home(default_home())
    home.create()
    folder = str(ensure_bundled(home.models, Silent()))
    if options.only:
        for kind in KINDS:
            print(json.dumps(run_child(kind, options.only, folder, options.dtype)))
        return
    print(json.dumps(finish(options, folder, result)))


def finish(options: argparse.Namespace, folder: str, result: Path) -> dict[str, Any]:
    """Run what is missing, turn by turn, and keep the summary."""
    options.home.mkdir(parents=True, exist_ok=True)
    kept = options.home / f"{options.dtype}.jsonl"
    code = code_digest()
    rounds = [json.loads(text) for text in kept.read_text().splitlines()] if kept.is_file() else []
    rounds = [done for done in rounds if done["code"] == code]  # other code's seconds are not this one's
    for number in range(options.rounds):
        for kind in KINDS:
            for side in SIDES:
                if any((r["round"], r["kind"], r["side"]) == (number, kind, side) for r in rounds):
                    continue
                rounds.append({"round": number, "code": code, **run_child(kind, side, folder, options.dtype)})
                with kept.open("a") as file:
                    file.write(json.dumps(rounds[-1]) + "\n")
    line = summary(rounds, options.dtype)
    result.write_text(json.dumps(line, indent=1) + "\n")
    kept.unlink()
    return line


if __name__ == "__main__":
    main()
