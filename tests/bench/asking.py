"""What every contestant is asked at a time, and under which prompt: the gate's items and the public sets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from machine import device, versions
from public import Public
from scoring import scored
from under import choices_under, probes_under, texts_under

import dreamloop
from dreamloop.gate.gauges import Items
from dreamloop.gate.perplexity import score_documents
from dreamloop.gate.probes import score_probes
from dreamloop.gate.suite import Suite
from dreamloop.log import Silent
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.paths import Home, default_home

Scores = Mapping[str, Mapping[str, float]]


def asked(adapter: Path | None, prompt: str, suite: Suite, public: Public) -> Scores:
    """Every number of one contestant at one time, by channel and item; what is only read stands under no prompt, nor
    do personas, which are system prompts themselves."""
    policy = load_policy(str(ensure_bundled(Home(default_home()).models, Silent())))
    encoder = ChatEncoder(policy.tokenizer)
    who = None
    if adapter:
        policy.load_adapter("candidate", adapter)
        who = "candidate"
    told = replace(
        suite, probes=probes_under(prompt, suite.probes), choices=choices_under(prompt, suite.choices),
        documents=texts_under(prompt, suite.documents),
    )  # fmt: skip
    found = dict(scored(policy, encoder, Items(told), who).channels)  # type: ignore[arg-type]
    with policy.using(who):  # type: ignore[arg-type]
        for name, probes in (("sided", public.sided), ("false", public.false), ("clear", public.clear)):
            found[name] = score_probes(policy, encoder, probes_under(prompt, probes), Silent(), name)
        for name, texts in (("read", public.read), ("solved", public.solved)):
            own = texts_under(prompt, texts)
            found[name] = score_documents(policy, encoder, own, Silent(), name)["perplexity"]
    return found


def asking_digest(suite: Suite, public: Public) -> str:
    """SHA-256 over what a contestant's scores depend on beside its weights and its prompt: the items, the code that
    asks, versions."""
    package, own = Path(dreamloop.__file__).parent, Path(__file__)
    here = (own, *(own.with_name(f"{name}.py") for name in ("scoring", "under")))
    code = sorted((*package.glob("gate/*.py"), *package.glob("model/*.py"), *here))
    items = (public.sided, public.false, public.clear, public.read, public.solved)
    total = hashlib.sha256(f"{suite.digest} {items!r} {versions()} {device()}".encode())
    for path in code:
        total.update(path.read_bytes())
    return total.hexdigest()
