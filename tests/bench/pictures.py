"""Draws what `dose.py` and `nights.py` measured last, and writes the nights' table, from their results alone.

python tests/bench/pictures.py [--to tests/bench/results]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"
DOMAINS = ("prose", "code", "chat", "technical")
MEASURES = (
    ("auc", "AUC, kinds that were taught"), ("auc.untaught", "AUC, other kinds"), ("push_back", "push back when wrong"),
    ("accept", "accept when right"), ("nats.chat", "conversations"), ("nats.prose", "prose"),
)  # fmt: skip
TABLED = (
    "auc", "auc.untaught", "auc.truthfulqa", "auc.llmbar", "push_back", "accept", "gap", "push_back.false_claims",
    "margin.false_claims", "accept.ifeval", "margin.ifeval", "nats.prose", "nats.code", "nats.chat", "nats.technical",
    "nats.docs", "nats.wiki", "nats.web", "nats.gsm8k", "nats.humaneval", "capability.arithmetic", "capability.code",
    "capability.coherence", "collapse",
)  # fmt: skip
Bounds = tuple[float, float, float]  # mean, low, high
Points = Sequence[tuple[float, Mapping[str, Any]]]  # where on the x-axis, and the cell there
INK, GREY = "#222222", "#999999"
_LABELS = {"probes.auc": "all kinds", "lessons.discrimination": "fresh scenarios", "perplexity.chat": "conversations",
           "probes.push_back_rate": "push back", "probes.accept_rate": "accept"}  # fmt: skip
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the colour-blind, too
STYLES = tuple(product(("-", "--", ":"), COLOURS))  # where there are more lines than colours


def panel(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def columns_of(cells: Mapping[str, Any]) -> list[tuple[str, Points]]:
    """Cells that differ in nothing but their pairs, rate or steps, with the one that all others are compared to.

    Where only that one was measured there is nothing to draw.
    """
    pairs = sorted((float(name.split()[0]), name) for name in cells if name.endswith(" pairs"))
    most, usual = pairs[-1]
    rates = {name: float(name.rpartition(" ")[2]) for name in cells if name.startswith(f"{usual}, rate")}
    steps = {name: most / float(name.split()[2]) for name in cells if name.startswith(usual) and name.endswith("step")}
    rate, batch = cells[usual]["rate"], cells[usual]["batch"]
    columns = {
        f"pairs of one night, at {rate:g} times the default rates": pairs,
        f"{usual}, factor on the default rates": [(rate, usual), *((x, name) for name, x in rates.items())],
        f"{usual}, steps that they are cut into": [(most / batch, usual), *((x, name) for name, x in steps.items())],
    }
    drawn = {what: sorted(points) for what, points in columns.items() if len(points) > 1}
    return [(what, [(x, cells[name]) for x, name in points]) for what, points in drawn.items()]


def dose(result: Mapping[str, Any]) -> Figure:
    """Learning above, forgetting below; by pairs, and for the most of them by rate and by steps."""
    columns = columns_of(result["cells"])
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, len(columns), squeeze=False, sharex="col", sharey="row")
    for column, (what, points) in enumerate(columns):
        learned, forgotten = grid[0][column], grid[1][column]
        where = [x for x, _ in points]
        for colour, kind in zip(COLOURS, points[0][1]["fresh"], strict=False):
            learned.plot(where, [cell["auc"][kind] for _, cell in points], "o-", color=colour, label=f"{kind}, gate")
            learned.plot(
                where, [cell["fresh"][kind] for _, cell in points], "o--", color=colour, label=f"{kind}, fresh"
            )
        learned.axhline(0.5, color=GREY, lw=0.8)
        for colour, domain in zip(COLOURS, DOMAINS, strict=False):
            name = f"perplexity.{domain}"
            change = [100 * (cell[name]["mean"] - cell[name]["base"]) for _, cell in points]
            forgotten.plot(where, change, "o-", color=colour, label=domain)
        forgotten.axhline(1.0, color=GREY, lw=0.8, ls=":")
        panel(learned, "told apart", "AUC")
        panel(forgotten, "read worse than the base by", "% of perplexity")
        forgotten.set_xscale("log")
        forgotten.set_xticks(where, [f"{x:g}" for x in where])
        forgotten.minorticks_off()
        forgotten.set_xlabel(what, fontsize=8)
    grid[0][0].legend(fontsize=7, frameon=False)
    grid[1][0].legend(fontsize=7, frameon=False)
    return figure


def nights(result: Mapping[str, Any]) -> Figure:
    """Every contestant over the nights, means over seeds with 90 % intervals."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    grid = figure.subplots(2, 3)
    table: Mapping[str, Any] = result["table"]
    contestants = list(dict.fromkeys(name.rpartition(" ")[0] for name in table))
    drawn = [one for one in MEASURES if one[0] in table["base 0"]]
    for axes, (measure, title) in zip(grid.flat, drawn, strict=False):
        for colour, contestant in zip(COLOURS, contestants, strict=False):
            draw(axes, contestant, colour, over_nights(table, contestant, measure, result["nights"]))
        panel(axes, title, "perplexity ratio, lower reads better" if measure.startswith("nats") else "")
        axes.set_xlabel("night", fontsize=8)
    grid.flat[0].legend(fontsize=7, frameon=False)
    return figure


def by_night(every: Sequence[Mapping[str, Any]]) -> Figure:
    """What served after each night of dreamloop, as the gate measured it that night: a thin line a seed, their mean."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    seeds = [[{}, *(night["served"] for night in seed["nights"])] for seed in every]
    taught = [f"auc.{kind}" for seed in every for kind, twins in seed["twins"].items() if twins]
    kinds = [name for name in dict.fromkeys(taught) if any(name in served for nights in seeds for served in nights)]
    panels = (
        ("fresh scenarios told apart, change", "nats per token", ("lessons.discrimination",)),
        ("AUC of all kinds, and of those in the dreams", "", ("probes.auc", *kinds)),
        ("push back, accept: all of the gate's kinds", "", ("probes.push_back_rate", "probes.accept_rate")),
        ("prose, conversations, change", "nats, lower reads better", ("perplexity.prose", "perplexity.chat")),
    )
    for axes, (title, unit, names) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for style, name in zip(STYLES, names, strict=False):
            through(axes, name, style, seeds)
        panel(axes, title, unit)
        axes.set_xlabel("night", fontsize=8)
        axes.legend(fontsize=7, frameon=False)
    return figure


def through(axes: Axes, name: str, style: tuple[str, str], seeds: Sequence[Sequence[Mapping[str, float]]]) -> None:
    """One measure after every night that judged something; means only where all seeds have one."""
    line, colour = style
    for nights in seeds:
        own = [(k, served[name]) for k, served in enumerate(nights) if name in served]
        axes.plot(*zip(*own, strict=True), line, color=colour, lw=0.7, alpha=0.6)
    every = [(k, fmean(served[name] for served in now)) for k, now in enumerate(zip(*seeds, strict=True))
             if all(name in served for served in now)]  # fmt: skip
    label = _LABELS.get(name, name.partition(".")[2])
    axes.plot(*zip(*every, strict=True), f"o{line}", color=colour, ms=3, label=label)


def written(result: Mapping[str, Any]) -> str:
    """Contestants across, measures down: the mean with its 90 % interval; reading as its ratio to the base's, abilities
    as changes. Below them each kind that any seed trained on."""
    who = list(result["table"])
    rows = [("", *who), ("---", *("---" for _ in who))]
    known = result["table"][who[0]]
    taught = [kind for twins in result["twins"] for kind, count in twins.items() if count]
    kinds = [name for kind in dict.fromkeys(taught) for name in (kind, f"own/{kind}")]
    own = [f"{which}.{kind}" for kind in kinds for which in ("auc", "push_back", "accept")]
    for measure in (name for name in (*TABLED, *own) if name in known):
        cells = [cell_of(measure, result["table"][one]) for one in who]
        rows.append((title_of(measure), *cells))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cell_of(measure: str, row: Mapping[str, Any]) -> str:
    """Nothing where a contestant was not asked."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*bounds(measure, row[measure])) if measure in row else ""


def title_of(measure: str) -> str:
    sort, _, of = measure.partition(".")
    return {"nats": f"perplexity_ratio.{of}", "capability": f"{measure}, change"}.get(sort, measure)


def bounds(measure: str, one: Mapping[str, float]) -> Bounds:
    """Mean, low and high. Reading and abilities are told against the base on the same items, because items differ far
    more than contestants; adding nothing takes the sign from what rounds to zero."""
    sort = measure.partition(".")[0]
    gain = "gain_" if sort in ("nats", "capability") else ""
    mean, low, high = (one[f"{gain}{which}"] for which in ("mean", "low", "high"))
    if sort == "nats":
        mean, low, high = math.exp(mean), math.exp(low), math.exp(high)
    return round(mean, 4) + 0.0, round(low, 4) + 0.0, round(high, 4) + 0.0


def over_nights(table: Mapping[str, Any], contestant: str, measure: str, last: int) -> list[tuple[int, Bounds]]:
    """Night and bounds; who learns nothing stays where the base begins, or where its prompt puts it."""
    own = {
        int(name.rpartition(" ")[2]): bounds(measure, row[measure] if measure in row else table["base 0"][measure])
        for name, row in table.items() if name.startswith(f"{contestant} ")
    }  # fmt: skip
    if set(own) == {0}:
        return [(0, own[0]), (last, own[0])]
    return [(0, bounds(measure, table["base 0"][measure])), *sorted(own.items())]


def draw(axes: Axes, contestant: str, colour: str, points: Sequence[tuple[int, Bounds]]) -> None:
    where = [night for night, _ in points]
    means, lows, highs = zip(*(own for _, own in points), strict=True)
    axes.plot(where, means, "o-", color=colour, label=contestant, ms=4)
    axes.fill_between(where, lows, highs, color=colour, alpha=0.12, lw=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=RESULTS, help="folder of the pictures")
    options = parser.parse_args()
    for name, picture in (("dose", dose), ("nights", nights)):
        measured = RESULTS / f"{name}.json"
        if measured.is_file():
            picture(json.loads(measured.read_text())).savefig(options.to / f"{name}.svg")
            print(options.to / f"{name}.svg")
            if name == "nights":
                (options.to / "nights.md").write_text(written(json.loads(measured.read_text())))
                print(options.to / "nights.md")
    seeds = [json.loads(path.read_text()) for path in sorted((RESULTS / "nights").glob("seed-*.json"))]
    code = max(seeds, key=lambda seed: seed["date"])["code"] if seeds else ""
    told = [seed for seed in seeds if seed["code"] == code]  # rows of other code are no seeds of the same
    if told:
        by_night(told).savefig(options.to / "by_night.svg")
        print(options.to / "by_night.svg")


if __name__ == "__main__":
    main()
