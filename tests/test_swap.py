"""Nights and `dreamloop publish` against a server that runs already, and nights that bring their own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamloop import cycle
from dreamloop.config import Config, Night, Vllm
from dreamloop.errors import ConfigError, EngineError, SwapRefused
from dreamloop.keep import generations
from dreamloop.ledger.history import History, NightRecord
from dreamloop.log import Silent
from dreamloop.model.engine import connected
from dreamloop.model.vllm_client import VllmClient
from dreamloop.model.vllm_server import VllmServer
from dreamloop.paths import Home
from dreamloop.swap import publish
from dreamloop.undo import revert

pytestmark = [pytest.mark.model, pytest.mark.lenient]


def now() -> datetime:
    return datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def served(config: Config, server: VllmServer, client: VllmClient, tmp_path: Path) -> Config:
    """A small night that writes through the running server and publishes to it; every verdict would keep."""
    key = tmp_path / "key"
    key.write_text(f"{client.address.key}\n")
    knobs = Vllm(url=client.address.url, api_key_file=key, base="base")
    return config.model_copy(update={"engine": "vllm", "vllm": knobs})


def run(home: Home, config: Config) -> NightRecord:
    number = cycle.run_night(home, config, Silent(), now)
    return History(home.ledger, home.lock).night(number)


def test_a_kept_night_is_proven_and_served_and_the_next_one_replaces_it(
    home: Home, served: Config, client: VllmClient
) -> None:
    first = run(home, served)
    assert first.night["outcome"] == "kept", first.night["reason"]
    assert "The server shows 100% of tonight's change" in first.night["reason"]
    assert client.adapters().keys() == {"dreamloop", "dreamloop-000001"}
    second = run(home, served)
    assert second.night["outcome"] == "kept", second.night["reason"]
    assert client.adapters() == dict.fromkeys(
        ("dreamloop", "dreamloop-000002"), str(home.generations / "000002")
    )  # fmt: skip


def test_a_server_that_was_started_again_gets_its_adapter_back(home: Home, served: Config, client: VllmClient) -> None:
    run(home, served)
    for name in client.adapters():
        client.unload_adapter(name)  # what a restart does
    assert "answers with generation 1" in publish(home, served, Silent(), now)
    assert client.adapters().keys() == {"dreamloop", "dreamloop-000001"}
    revert(home, 0, now)
    assert "The base model serves" in publish(home, served, Silent(), now)
    assert client.adapters() == {}


def test_the_next_night_serves_what_a_restart_or_a_crash_left_unserved_even_if_it_keeps_nothing(
    home: Home, served: Config, client: VllmClient
) -> None:
    run(home, served)
    for name in client.adapters():
        client.unload_adapter(name)
    idle = served.model_copy(update={"night": Night(kinds=(), mined_share=0, rewrites=0)})
    assert run(home, idle).night["outcome"] == "nothing to learn"
    assert client.adapters().keys() == {"dreamloop", "dreamloop-000001"}
    generations.point(home, None)
    run(home, idle)
    assert client.adapters() == {}


def test_a_server_that_may_not_load_adapters_costs_no_night(
    home: Home, served: Config, client: VllmClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VllmClient, "takes_adapters", lambda _: False)
    with pytest.raises(ConfigError, match="may not load adapters; start it with --enable-lora"):
        run(home, served)
    failed = History(home.ledger, home.lock).night(1)
    assert failed.night["outcome"] == "failed"
    assert failed.training is None


def test_a_failed_proof_reverts_the_night_and_leaves_the_alias(
    home: Home, served: Config, client: VllmClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(home, served)
    # The server is given yesterday's files for tonight's, as a stale mount would.
    real = VllmClient.load_adapter
    stale = home.generations / "000001"
    monkeypatch.setattr(VllmClient, "load_adapter", lambda self, name, _: real(self, name, stale))
    second = run(home, served)
    assert second.night["outcome"] == "reverted"
    assert "the swap failed. The server shows" in second.night["reason"]
    assert generations.pointed(home) == 1
    assert generations.all_numbers(home) == [1]
    assert client.adapters()["dreamloop"] == str(stale)
    assert "dreamloop-000002" not in client.adapters()


def test_a_server_that_is_away_leaves_a_kept_night_that_publish_serves_later(
    home: Home, served: Config, client: VllmClient
) -> None:
    away = served.vllm.model_copy(update={"url": "http://127.0.0.1:9", "request_timeout_s": 2})
    night = run(home, served.model_copy(update={"engine": "transformers", "vllm": away}))
    assert night.night["outcome"] == "kept"
    assert "Not served yet" in night.night["reason"]
    assert generations.pointed(home) == 1
    publish(home, served, Silent(), now)
    assert "dreamloop" in client.adapters()


def test_publish_refuses_what_the_server_does_not_serve(
    home: Home, served: Config, client: VllmClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(home, served)
    monkeypatch.setattr(VllmClient, "load_adapter", lambda *_: None)
    for name in client.adapters():
        client.unload_adapter(name)
    with pytest.raises((SwapRefused, EngineError)):
        publish(home, served, Silent(), now)


def test_another_base_model_at_the_url_is_refused(home: Home, served: Config) -> None:
    wrong = served.model_copy(update={"vllm": served.vllm.model_copy(update={"base": "other"})})
    with pytest.raises(EngineError, match=r"serves \['base'\] and no 'other'"), connected(wrong, home, None, Silent()):
        pass
    moved = served.model_copy(update={"vllm": served.vllm.model_copy(update={"base": None})})
    with connected(moved, home, None, Silent()) as session:
        assert session.base == "base"  # known by the folder it was loaded from


def test_publish_without_a_server_says_what_to_set(home: Home, config: Config) -> None:
    with pytest.raises(ConfigError, match=r"set vllm\.url"):
        publish(home, config, Silent(), now)


def test_a_night_with_a_server_of_its_own_leaves_no_process_behind(home: Home, served: Config) -> None:
    night = run(home, served.model_copy(update={"vllm": Vllm()}))
    assert night.night["outcome"] == "kept", night.night["reason"]
    assert "The server shows 100% of tonight's change" in night.night["reason"]
    assert not home.engine_note.exists()
    assert home.engine_log.read_text()


def test_a_revert_reaches_the_server_and_one_that_is_away_is_told_later(
    home: Home, served: Config, client: VllmClient, tmp_path: Path
) -> None:
    run(home, served)
    file = tmp_path / "served.toml"
    knobs = f'[vllm]\nurl = "%s"\napi_key_file = "{served.vllm.api_key_file}"\nbase = "base"\n'
    call = [sys.executable, "-m", "dreamloop", "revert", "--to", "0", "--home", str(home.root), "--config", str(file)]
    file.write_text(f'model = "{served.model}"\n{knobs % "http://127.0.0.1:9"}')
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == EngineError.exit_code
    assert "now the base model does. But the vLLM server was not told" in done.stderr
    assert generations.pointed(home) is None
    assert "dreamloop" in client.adapters()
    file.write_text(f'model = "{served.model}"\n{knobs % client.address.url}')
    call[call.index("0")] = "1"
    subprocess.run(call, capture_output=True, check=True)
    assert set(client.adapters()) == {"dreamloop", "dreamloop-000001"}
    done = subprocess.run([*call[:4], *call[6:], "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["generation"] is None
    assert "The base model serves" in json.loads(done.stdout)["served"]
    assert client.adapters() == {}
