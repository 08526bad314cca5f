"""The morning report in a terminal: one night as a screen a person can read and act on.

Everything printed comes out of the ledger, so a night looks the same an hour or a year later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dreamloop.ledger.history import NightRecord, Row
from dreamloop.records import Measure, Plan, Verdict

_COLOURS = {"kept": "green", "reverted": "red", "inconclusive": "yellow", "failed": "red", "running": "cyan"}
# The measures that are always shown; others are shown where they do not hold.
_USUAL = (
    "perplexity.prose", "perplexity.code", "perplexity.chat", "perplexity.technical", "probes.push_back_rate",
    "probes.accept_rate", "probes.discrimination", "probes.auc", "capability.arithmetic", "capability.code",
    "capability.instructions", "answers.finished", "geometry.collapse", "lessons.discrimination",
    "taught.discrimination", "taught.bias",
)  # fmt: skip


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
        parts.append(_gate(record.measures, confidence, every_measure))
    parts += [_earlier(trial) for trial in record.trials[:-1]]
    parts.append(_verdict(record))
    parts.append(_next_steps(record.night, serving, program, home))
    return Group(*parts)


def look_screen(
    generation: int | None, measures: Sequence[Measure], verdict: Verdict, confidence: float
) -> RenderableType:
    """What serves now against the base: every measure, and whether all nights together stay within their margins."""
    name = f"generation {generation}" if generation else "the base model"
    table = Table(title=f"Gate: {name} against the base, outside of any night", title_style="bold",
                  title_justify="left", box=None, padding=(0, 1), header_style="dim")  # fmt: skip
    table.add_column("measure", no_wrap=True)
    for title in ("base", "now", f"change, {confidence:.0%}", "may lose", "items", ""):
        table.add_column(title, justify="right")
    for measure in measures:
        change = measure.since_base
        mark = _NO_MATTER if measure.informative else _mark_of(change.low, change.high, change.margin)
        table.add_row(
            measure.name, _number(measure.base, 3),
            _number(measure.candidate, 3), f"{_signed(change.low)} to {_signed(change.high)}", f"{change.margin:g}",
            str(measure.items), Text(mark, style=_STYLES[mark]),
        )  # fmt: skip
    return Group(table, Panel("\n".join(verdict.reasons), title="In words", title_align="left"))


def plan_screen(tonight: Plan) -> RenderableType:
    """What tonight would do, a line for every choice with its sentence."""
    table = Table(title="Tonight", title_style="bold", title_justify="left", box=None, padding=(0, 2, 0, 0),
                  header_style="dim")  # fmt: skip
    for name in ("knob", "tonight", "why"):
        table.add_column(name, no_wrap=name == "knob", overflow="fold")
    for choice in tonight.choices:
        table.add_row(choice.knob, choice.value, choice.why)
    return table


def history_table(nights: list[Row]) -> RenderableType:
    """One line a night, newest first."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("night", "started (UTC)", "outcome", "trained on", "seconds", "why"):
        table.add_column(name, justify="right" if name in {"night", "trained on", "seconds"} else "left")
    for night in nights:
        table.add_row(
            str(night["night"]), night["started_at"][:16].replace("T", " "), _coloured(night["outcome"]),
            str(night["trained"]), f"{night['seconds'] or 0:.0f}", Text(night["reason"] or "", overflow="ellipsis"),
        )  # fmt: skip
    return table


def show(renderable: RenderableType) -> None:
    """Print to standard output, 110 columns wide where there is no terminal."""
    console = Console()
    (console if console.is_terminal else Console(width=110)).print(renderable)


def _coloured(outcome: str) -> Text:
    return Text(outcome, style=f"bold {_COLOURS.get(outcome, 'white')}")


def _headline(record: NightRecord) -> RenderableType:
    night, model = record.night, record.model
    line = Text.assemble(("Night ", "bold"), (str(night["night"]), "bold"), ("  ", ""), _coloured(night["outcome"]))
    if model:
        line.append(f"   {night['model']} on {model['device']}, {model['dtype']}", style="dim")
    line.append(f"   {night['seconds'] or 0:.0f} s", style="dim")
    return Panel(line, expand=True, border_style="dim")


def _section(title: str, lines: list[str]) -> RenderableType:
    text = Text(f"{title}\n", style="bold")
    for line in lines:
        text.append(f"  {line}\n", style="not bold")
    return text


def _collected(record: NightRecord) -> RenderableType:
    conversations = sum(read["conversations"] for read in record.reads)
    lines = [f"{_counted(len(record.reads), 'log file')}, {_counted(conversations, 'new conversation')}"]
    lines += [f"{_counted(row['n'], 'pair')} from {row['signal']} ({row['strength']} signal)" for row in record.mined]
    lines += [f"corrected replies: {row['n']} × {row['outcome']}" for row in record.rewrites]
    lines += [f"left out: {row['count']} × {row['reason']}" for row in record.skips if row["stage"] == "collect"]
    return _section("Collected", lines)


def _planned(plan: Row | None) -> list[RenderableType]:
    """Nothing for nights from before there were plans."""
    if plan is None:
        return []
    lines = [f"{choice['knob']} {choice['value']}: {choice['why']}" for choice in plan["choices"]]
    return [_section("Planned", lines)]


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
    return _section("Dreamed", lines)


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


def _counted(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _last_turn(context: str) -> str:
    import json  # noqa: PLC0415 - only this line reads a context

    return str(json.loads(context)[-1][1])


def _trained(training: Row, left_out: list[Row]) -> RenderableType:
    recipe, report = training["recipe"], training["report"]
    if not report or "trained" not in report:
        told = [f"note: {symptom}" for symptom in (report or {}).get("symptoms", [])]
        return _section("Trained", ["the step broke an invariant; its recipe and steps are in the ledger", *told])
    steps = report["steps"]
    counts = {phase: sum(step["phase"] == phase for step in steps) for phase in ("sft", "dpo", "hold")}
    phases = [f"{count} {phase.upper()}" for phase, count in counts.items() if count or phase != "hold"]
    weights = f"{report['trainable_parameters']:,} weights; change of the model ‖Δθ‖ {report['update_norm']:.3f}"
    ranks = report.get("ranks") or [recipe["r"]]
    lora = f"LoRA rank {_range(ranks)}, gain {_gains(recipe, report, ranks)}, "
    shape = "all " if recipe.get("method") == "full" else lora
    return _section("Trained", [
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


def _gate(measures: list[Row], confidence: float, every_measure: bool) -> RenderableType:
    shown = [row for row in measures if every_measure or row["name"] in _USUAL or _mark(row) in {_OPEN, _WORSE}]
    table = Table(title="Gate: base, yesterday's model and tonight's on the same held-out items", title_style="bold",
                  title_justify="left", box=None, padding=(0, 1), header_style="dim")  # fmt: skip
    table.add_column("measure", no_wrap=True)
    for name in ("base", "before", "after", f"tonight, {confidence:.0%}", "may lose", "since base", "may lose", ""):
        table.add_column(name, justify="right")
    for row in shown:
        table.add_row(
            row["name"], "" if row["base_margin"] is None else _number(row["base"], 3), _number(row["incumbent"], 3),
            _number(row["candidate"], 3), f"{_signed(row['low'])} to {_signed(row['high'])}", f"{row['margin']:g}",
            *(("", "") if row["base_margin"] is None else (_signed(row["base_change"]), f"{row['base_margin']:g}")),
            Text(_mark(row), style=_STYLES[_mark(row)]),
        )  # fmt: skip
    hidden = len(measures) - len(shown)
    return Group(table, Text(f"  and {hidden} more, none beyond its margin\n", style="dim")) if hidden else table


_NO_MATTER, _HOLDS, _OPEN, _WORSE = "·", "✓", "?", "✗"
_STYLES = {_NO_MATTER: "dim", _HOLDS: "green", _OPEN: "yellow", _WORSE: "red"}


def _mark(row: Row) -> str:
    """Whether both changes hold; a night from before there was a comparison with the base has one."""
    if row["informative"]:
        return _NO_MATTER
    marks = [_mark_of(row["low"], row["high"], row["margin"])]
    if row["base_margin"] is not None:
        marks.append(_mark_of(row["base_low"], row["base_high"], row["base_margin"]))
    return max(marks, key=(_HOLDS, _OPEN, _WORSE).index)


def _mark_of(low: float | None, high: float | None, margin: float) -> str:
    if low is None or high is None or high < -margin:
        return _WORSE
    return _HOLDS if low >= -margin else _OPEN


def _earlier(trial: Row) -> RenderableType:
    """A judgement of a larger step, before the last one."""
    return _section(f"Judged with {trial['scale']:.0%} of the step: {trial['outcome']}", list(trial["reasons"]))


def _number(value: float | None, digits: int) -> str:
    return "not finite" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "not finite" if value is None else f"{value:+.4f}"


def _verdict(record: NightRecord) -> RenderableType:
    night = record.night
    reasons = record.verdict["reasons"] if record.verdict else [night["reason"] or "still running"]
    body = Text.assemble(_coloured(night["outcome"]), "\n", "\n".join(reasons))
    return Panel(body, title="Verdict", title_align="left", border_style=_COLOURS.get(night["outcome"], "white"))


def _next_steps(night: Row, serving: int | None, program: str, home: str) -> RenderableType:
    lines = [f"serving now    {f'generation {serving}' if serving else 'the base model'}"]
    if night["outcome"] == "kept" and night["generation"] == serving:
        lines.append(f"undo           {program} revert{home}")
    lines += [
        f"all nights     {program} history{home}",
        f"this again     {program} show {night['night']}{home}",
        f"another night  {program} cycle{home} --source YOUR_LOGS",
    ]
    return _section("Next", lines)
