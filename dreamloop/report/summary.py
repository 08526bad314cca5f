"""The morning report in a terminal: one night as a screen a person can read and act on.

Everything printed comes out of the ledger, so a night looks the same an hour or a year later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from dreamloop.ledger.history import NightRecord, Row
from dreamloop.report.measures import gate_table
from dreamloop.report.printing import COLOURS, coloured, section


def night_screen(
    record: NightRecord, serving: int | None, program: str, home: str = "", every_measure: bool = False
) -> RenderableType:
    """The whole night.

    Args:
        record: what the ledger tells of it.
        serving: the generation that serves now, whatever the night did; None is the base model.
        program: how this program is called, and home its --home flag, so that printed commands work.
        every_measure: show those too that hold and are not among the usual ones.
    """
    parts: list[RenderableType] = [_headline(record)]
    parts += [_collected(record), *_planned(record.plan), _dreamed(record)]
    if record.training:
        left_out = [row for row in record.skips if row["stage"] in {"finetune", "replay"}]
        parts.append(_trained(record.training, left_out))
    if record.measures:
        confidence = record.night.get("config", {}).get("gate", {}).get("confidence", 0.9)
        parts.append(gate_table(record.measures, confidence, every_measure))
    parts += [_earlier(trial) for trial in record.trials[:-1]]
    parts.append(_verdict(record))
    parts.append(_next_steps(record.night, serving, program, home))
    return Group(*parts)


def _headline(record: NightRecord) -> RenderableType:
    night, model = record.night, record.model
    line = Text.assemble(("Night ", "bold"), (str(night["night"]), "bold"), ("  ", ""), coloured(night["outcome"]))
    if model:
        line.append(f"   {night['model']} on {model['device']}, {model['dtype']}", style="dim")
    line.append(f"   {night['seconds'] or 0:.0f} s", style="dim")
    return Panel(line, expand=True, border_style="dim")


def _collected(record: NightRecord) -> RenderableType:
    conversations = sum(read["conversations"] for read in record.reads)
    lines = [f"{_counted(len(record.reads), 'log file')}, {_counted(conversations, 'new conversation')}"]
    lines += [f"{_counted(row['n'], 'pair')} from {row['signal']} ({row['strength']} signal)" for row in record.mined]
    lines += [f"corrected replies: {row['n']} × {row['outcome']}" for row in record.rewrites]
    lines += [f"left out: {row['count']} × {row['reason']}" for row in record.skips if row["stage"] == "collect"]
    return section("Collected", lines)


def _planned(plan: Row | None) -> list[RenderableType]:
    """Nothing for nights from before there were plans."""
    if plan is None:
        return []
    lines = [f"{choice['knob']} {choice['value']}: {choice['why']}" for choice in plan["choices"]]
    return [section("Planned", lines)]


def _dreamed(record: NightRecord) -> RenderableType:
    scenarios = [row for row in record.scenarios if row["use"] == "training"]
    lessons = sum(row["use"] == "lesson" for row in record.scenarios)
    aside = sum(row["use"] == "bystander" for row in record.scenarios)
    kinds = sorted({row["kind"] for row in scenarios})
    lines = [f"{len(scenarios) // 2} twins to learn from ({', '.join(kinds) or 'no kind'}), "
             f"{aside // 2} that are only held, {lessons // 2} more for the gate's eyes only"]  # fmt: skip
    lines += [f"{row['side']:>5}: {_last_turn(row['context'])}" for row in scenarios[:2]]
    lines += [*_by_engine(scenarios), *_varied(record.diversity)]
    refused: Counter[str] = Counter()
    for row in record.skips:
        if row["stage"] == "dream":  # "KIND: reason"; the ledger has the kinds
            refused[row["reason"].partition(": ")[2] or row["reason"]] += row["count"]
    lines += [f"left out: {count} × {reason}" for reason, count in refused.most_common()]
    return section("Dreamed", lines)


def _by_engine(scenarios: list[Row]) -> list[str]:
    """What of tonight's twins the engine wrote; ledgers of the first nights do not tell."""
    worded, replied = (
        sum(row.get(column) == "engine" for row in scenarios) // 2 for column in ("worded_by", "replies_by")
    )
    return [f"the engine worded {worded} of them and replied in {replied}"] if worded or replied else []


def _varied(diversity: Row | None) -> list[str]:
    if diversity is None:
        return []
    told = [f"note: {sentence}" for sentence in diversity["told"]]
    return [
        f"distinct words, pairs, triples {diversity['distinct_1']:.2f}, {diversity['distinct_2']:.2f}, "
        f"{diversity['distinct_3']:.2f}; entropy {diversity['entropy']:.1f} bits; {diversity['covered']:.0%} of all "
        f"choices made by now; {diversity['refused']:.0%} refused as repeats",
        *told,
    ]


def _last_turn(context: str) -> str:
    import json  # noqa: PLC0415 - only this line reads a context

    return str(json.loads(context)[-1][1])


def _trained(training: Row, left_out: list[Row]) -> RenderableType:
    recipe, report = training["recipe"], training["report"]
    if not report or "trained" not in report:
        told = [f"note: {symptom}" for symptom in (report or {}).get("symptoms", [])]
        return section("Trained", ["the step broke an invariant; its recipe and steps are in the ledger", *told])
    steps = report["steps"]
    counts = {phase: sum(step["phase"] == phase for step in steps) for phase in ("sft", "dpo", "hold")}
    phases = [f"{count} {phase.upper()}" for phase, count in counts.items() if count or phase != "hold"]
    weights = f"{report['trainable_parameters']:,} weights; change of the model ‖Δθ‖ {report['update_norm']:.3f}"
    ranks = report.get("ranks") or [recipe["r"]]
    lora = f"LoRA rank {_range(ranks)}, gain {_gains(recipe, report, ranks)}, "
    shape = "all " if recipe.get("method") == "full" else lora
    return section("Trained", [
        f"{len(report['trained'])} pairs and {len(report['replayed'])} general answers, one pass, "
        f"{' + '.join(phases)} steps in {report['seconds']:.0f} s",
        shape + weights,
        f"preference for the chosen reply {report['margin_before']:+.4f} → {report['margin_after']:+.4f} nats/token, "
        f"its log-prob {report['chosen_before']:.3f} → {report['chosen_after']:.3f}",
        *_held(report),
        f"DPO began at {report['dpo_start_loss']:.5f}{_ln_2(recipe)}; peak memory {report['peak_memory_mb']} MB",
        *_effort(report),
        *(f"left out: {row['count']} × {row['reason']}" for row in left_out),
        *(f"note: {symptom}" for symptom in report.get("symptoms", [])),
    ])  # fmt: skip


def _held(report: Row) -> list[str]:
    if report.get("shift_before") is None:
        return []
    before, after = report["shift_before"], report["shift_after"]
    share = report.get("hold_share", 1.0)
    part = f" by {share:.0%} of a pass" if share < 1 else ""
    became = f"{after:.3f} after they were held{part}" if after < before else "left as it is"
    return [
        f"elsewhere one reply had gained {before:.3f} nats/token on the other, right or wrong, in "
        f"{report.get('bystanders', len(report['held']) // 2)} bystanders; {became}"
    ]


def _effort(report: Row) -> list[str]:
    """What the first nights of old ledgers did not write down yet."""
    if "replay_share" not in report:
        return []
    share = report["replay_share"]
    return [
        f"general replay: {share['rows']:.0%} of rows, {share['tokens']:.0%} of tokens, {share['grad_norm']:.0%} of "
        f"gradient norm; {report['tokens_per_s']:.0f} tokens/s, passes {report['packing']:.0%} full"
    ]


def _gains(recipe: Row, report: Row, ranks: list[int]) -> str:
    scale = recipe["r"] ** 0.5 if recipe["use_rslora"] else recipe["r"]
    gains = report.get("gains") or [recipe["lora_alpha"] / scale]
    wide = _range([f"{gain:.2f}" for gain in gains])
    suggested = report.get("suggested_rank", 0)
    return wide if suggested <= ranks[-1] else f"{wide} (so many examples suggest rank {suggested})"


def _range(values: Sequence[object]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _ln_2(recipe: Row) -> str:
    return "" if recipe.get("loss_type") == "ipo" else " (ln 2 = 0.69315 where nothing is learned yet)"


def _earlier(trial: Row) -> RenderableType:
    """A judgement of a larger step, before the last one."""
    return section(f"Judged with {trial['scale']:.0%} of the step: {trial['outcome']}", list(trial["reasons"]))


def _verdict(record: NightRecord) -> RenderableType:
    night = record.night
    reasons = record.verdict["reasons"] if record.verdict else [night["reason"] or "still running"]
    body = Text.assemble(coloured(night["outcome"]), "\n", "\n".join(reasons))
    return Panel(body, title="Verdict", title_align="left", border_style=COLOURS.get(night["outcome"], "white"))


def _next_steps(night: Row, serving: int | None, program: str, home: str) -> RenderableType:
    lines = [f"serving now    {f'generation {serving}' if serving else 'the base model'}"]
    if night["outcome"] == "kept" and night["generation"] == serving:
        lines.append(f"undo           {program} revert{home}")
    lines += [
        f"all nights     {program} history{home}",
        f"this again     {program} show {night['night']}{home}",
        f"another night  {program} cycle{home} --source YOUR_LOGS",
    ]
    return section("Next", lines)


def _counted(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"
