"""The user's own goal: plans that serve it or harm it, and plans of which only a judge can say."""

from __future__ import annotations

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, apart, columns, options
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases


def goals(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A goal and a plan; the wrong plan serves the opposite goal, for which it comes up as the right one."""
    rows = {line: columns(line, 5) for line in book["goals"]}
    domain, goal, opposite, plan, other = rows[draw.line("case", list(rows))]
    if draw.rng.random() < 0.5:
        goal, plan, other = opposite, other, plan
    right, wrong = draw.rng.choice(options(plan)), draw.rng.choice(options(other))
    truth = f"the goal is to {goal}; to {right} serves it, to {wrong} harms it"
    return Seed({"goal": goal}, right, wrong, truth, domain, (goal,))


def opinions(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A goal and two plans that nothing proves right or wrong: `judge` has to say, twice, in both orders."""
    rows = {line: columns(line, 3) for line in book["opinions"]}
    domain, goal, plans = rows[draw.line("case", list(rows))]
    one, two = apart(draw, options(plans), 2)
    return Seed({"goal": goal}, one, two, f"the goal is to {goal}", domain, (goal,), judged=True)
