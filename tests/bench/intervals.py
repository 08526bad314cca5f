"""How sure a mean over seeds is: its 90 % interval over seeds, wordings and facts.

Three sources make a mean uncertain. Which wordings are asked and which facts stand in them: every template of a kind is
asked with the same rows of values, so items that share a template go together and so do those that share a row. Of each
stratum (the kinds of probes) the variance is that of templates and that of rows, less that of single items, which is in
both (Cameron, Gelbach and Miller, Journal of Business & Economic Statistics 29 (2011) 238-249), and no less than the
larger one; each is told by leaving out one at a time (the delete-one jackknife: Efron and Stein, Annals of Statistics 9
(1981) 586-596). Which seeds were run: their variance over their number, which has some of the items' part in it again,
so the sum is rather too large.

Student's t has the degrees of freedom of Satterthwaite (Biometrics Bulletin 2 (1946) 110-114), a stratum as many as its
fewer clusters less one: with three seeds and five templates of a kind a percentile bootstrap would be far too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from scipy.special import stdtrit

_CONFIDENCE = 0.90

Part = tuple[float, int]  # a variance and its degrees of freedom


def jackknife(without: Sequence[float]) -> float:
    """Variance of a figure by what it is without each of K clusters: (K-1)/K · Σ (θ₋ₖ - mean θ₋)².

    A cluster that has no other beside it says nothing of its noise.
    """
    own = np.array(without)
    return (len(own) - 1) / len(own) * float(((own - own.mean()) ** 2).sum()) if len(own) > 1 else 0.0


def crossed(rows: Sequence[float], columns: Sequence[float], cells: Sequence[float]) -> Part:
    """A stratum's part, by what the figure is without each row, without each column and without each cell.

    Where there is nothing to cross ``columns`` and ``cells`` are empty.
    """
    by_rows, by_columns = jackknife(rows), jackknife(columns)
    variance = max(by_rows + by_columns - jackknife(cells), by_rows, by_columns)
    return variance, min((len(way) - 1 for way in (rows, columns) if len(way) > 1), default=0)


def bounds(name: str, seeds: Sequence[float], strata: Sequence[Part] = ()) -> dict[str, float]:
    """The seeds' mean, and its interval by them and by the strata of what was asked."""
    of_seeds = float(np.var(seeds, ddof=1)) / len(seeds) if len(seeds) > 1 else 0.0
    parts = [*strata, (of_seeds, len(seeds) - 1)]
    total, centre = sum(variance for variance, _ in parts), fmean(seeds)
    spread = sum(variance**2 / free for variance, free in parts if free)
    half = float(stdtrit(total**2 / spread, 0.5 + _CONFIDENCE / 2)) * total**0.5 if spread else 0.0
    told = {"mean": centre, "low": centre - half, "high": centre + half}
    return {f"{name}{which}": round(number, 4) for which, number in told.items()}
