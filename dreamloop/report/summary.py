"""The morning report in a terminal: one night as a screen a person can read and act on.

Everything printed comes out of the ledger, so a night looks the same an hour or a year later.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dreamloop.ledger.history import NightRecord, Row

_COLOURS = {"kept": "green", "reverted": "red", "inconclusive": "yellow", "failed": "red", "running": "cyan"}
_MEANING = {
    "perplexity.prose": "reads prose", "perplexity.code": "reads code", "perplexity.chat": "reads conversations",
    "probes.push_back": "pushes back when wrong", "probes.accept": "accepts when right",
    "probes.discrimination": "tells them apart", "probes.auc": "ranks wrong above right",
}  # fmt: skip


def night_screen(record: NightRecord, serving: int | None, program: str, home: str = "") -> RenderableType:
    """The whole night.

    Args:
        record: what the ledger tells of it.
        serving: the generation that serves now, whatever the night did; None is the base model.
        program: how this program is called, and home its --home flag, so that printed commands work.
    """
    parts: list[RenderableType] = [_headline(record)]
    parts += [_collected(record), _dreamed(record)]
    if record.training:
        left_out = [row for row in record.skips if row["stage"] in {"finetune", "replay"}]
        parts.append(_trained(record.training, left_out))
    if record.measures:
        parts.append(_gate(record.measures, record.night.get("config", {}).get("gate", {}).get("confidence", 0.9)))
    parts.append(_verdict(record))
    parts.append(_next_steps(record.night, serving, program, home))
    return Group(*parts)


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


def _dreamed(record: NightRecord) -> RenderableType:
    scenarios = [row for row in record.scenarios if row["use"] == "training"]
    lessons = len(record.scenarios) - len(scenarios)
    kinds = sorted({row["kind"] for row in scenarios})
    lines = [f"{len(scenarios) // 2} twins to learn from ({', '.join(kinds) or 'no kind'}), "
             f"{lessons // 2} more for the gate's eyes only"]  # fmt: skip
    lines += [f"{row['side']:>5}: {_last_turn(row['context'])}" for row in scenarios[:2]]
    lines += [f"left out: {row['count']} × {row['reason']}" for row in record.skips if row["stage"] == "dream"]
    return _section("Dreamed", lines)


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
    phases = [f"{sum(step['phase'] == phase for step in steps)} {phase.upper()}" for phase in ("sft", "dpo")]
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
        f"DPO began at {report['dpo_start_loss']:.5f}{_ln_2(recipe)}; peak memory {report['peak_memory_mb']} MB",
        *_effort(report),
        *(f"left out: {row['count']} × {row['reason']}" for row in left_out),
        *(f"note: {symptom}" for symptom in report.get("symptoms", [])),
    ])  # fmt: skip


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
    return "" if recipe.get("loss_type") == "ipo" else " (ln 2 = 0.69315)"


def _gate(measures: list[Row], confidence: float) -> RenderableType:
    table = Table(title="Gate: yesterday's model and tonight's on the same held-out items", title_style="bold",
                  title_justify="left", box=None, padding=(0, 1), header_style="dim")  # fmt: skip
    table.add_column("measure")
    for name in ("before", "after", "change", f"{confidence:.0%} interval", "may lose", "items", ""):
        table.add_column(name, justify="right")
    for row in measures:
        meaning = _MEANING.get(row["name"], "")
        table.add_row(
            Text.assemble(row["name"], (f"  {meaning}", "dim")), _number(row["incumbent"], 3),
            _number(row["candidate"], 3), _signed(row["change"]),
            f"{_signed(row['low'])} to {_signed(row['high'])}", f"{row['margin']:g}", str(row["items"]), _mark(row),
        )  # fmt: skip
    return table


def _mark(row: Row) -> Text:
    if row["low"] is None or row["high"] is None or row["high"] < -row["margin"]:
        return Text("✗", style="red")
    return Text("✓", style="green") if row["low"] >= -row["margin"] else Text("?", style="yellow")


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
