"""What servers say when they do not do what they are asked: small real HTTP servers that say it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dreamloop.config import Config, Vllm
from dreamloop.errors import EngineError
from dreamloop.log import Silent
from dreamloop.model.encode import Branch, Row
from dreamloop.model.engine import connected
from dreamloop.model.vllm_client import Address, VllmClient
from dreamloop.paths import Home

ROW = Row((3, 4), (Branch((5, 6), (True, True)),))
BUSY = (
    'vllm:lora_requests_info{max_lora="2",running_lora_adapters="old",waiting_lora_adapters=""} 1.0e+09\n'
    'vllm:lora_requests_info{max_lora="2",running_lora_adapters="new,third",waiting_lora_adapters="fourth"} 2.0e+09\n'
)


class Fake:
    """Answers by path, and remembers what it was sent."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.answers = answers
        self.seen: list[tuple[str, Any]] = []


@contextmanager
def talking_to(fake: Fake, timeout_s: float = 5, key: str = "") -> Iterator[VllmClient]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            name = self.path.rsplit("/", 1)[-1]
            fake.seen.append((name, body))
            status, answer = fake.answers.get(name, (404, {"detail": "Not Found"}))
            raw = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        client = VllmClient(Address(f"http://127.0.0.1:{http.server_port}/v1", key, timeout_s))
        yield client
        client.close()
        http.shutdown()


def models(*adapters: str) -> tuple[int, Any]:
    cards = [{"id": "base", "root": "/m", "parent": None}]
    return 200, {"data": [*cards, *({"id": name, "root": f"/g/{name}", "parent": "base"} for name in adapters)]}


def test_bases_and_adapters_are_told_apart() -> None:
    with talking_to(Fake(models=models("one"))) as client:
        assert client.bases() == {"base": "/m"}
        assert client.adapters() == {"one": "/g/one"}


def test_a_base_that_is_called_like_the_alias_is_refused(tiny_folder: Path, home: Home) -> None:
    with talking_to(Fake(models=models("one"))) as client:
        config = Config(model=str(tiny_folder), vllm=Vllm(url=client.address.url, alias="base"))
        with (
            pytest.raises(EngineError, match=r"calls the base model 'base', as the adapter"),
            connected(config, home, None, Silent()),
        ):
            pass


@pytest.mark.parametrize(("version", "in_place"), [("0.32.0", False), ("0.33.0", True), ("1.0.0rc1", True)])
def test_an_alias_moves_in_place_only_where_vllm_does_that_well(version: str, in_place: bool) -> None:
    fake = Fake(
        models=models("dreamloop"), version=(200, {"version": version}), load_lora_adapter=(200, "ok"),
        unload_lora_adapter=(200, "ok"),
    )  # fmt: skip
    with talking_to(fake) as client:
        client.load_adapter("dreamloop", Path("/g/2"))
    asked = [name for name, _ in fake.seen]
    body = dict(fake.seen)["load_lora_adapter"]
    assert ("unload_lora_adapter" in asked) is not in_place
    assert body.get("load_inplace", False) is in_place
    assert body["lora_path"] == "/g/2"


def test_an_alias_that_cannot_move_stays_where_it_was() -> None:
    fake = Fake(
        models=models("dreamloop"), version=(200, {"version": "0.32.0"}), load_lora_adapter=(500, "no"),
        unload_lora_adapter=(200, "ok"),
    )  # fmt: skip
    with talking_to(fake) as client, pytest.raises(EngineError, match="status 500"):
        client.load_adapter("dreamloop", Path("/g/2"))
    loads = [body["lora_path"] for name, body in fake.seen if name == "load_lora_adapter"]
    assert loads == ["/g/2", "/g/dreamloop"]


def test_no_proxy_sees_what_goes_to_a_server_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with talking_to(Fake(health=(200, "")), key="secret") as client:
        assert client.healthy()


def test_who_is_busy_is_read_from_the_latest_state() -> None:
    with talking_to(Fake(metrics=(200, BUSY))) as client:
        assert client.busy() == {"new", "third", "fourth"}
    with talking_to(Fake(metrics=(200, ""))) as client:
        assert client.busy() == frozenset()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"models": (401, {"error": "Unauthorized"})}, "wants an API key"),
        ({"models": (200, "<html>")}, "no vLLM server"),
        ({"models": (500, "oops")}, "status 500"),
        ({"models": (200, {"status": "ok"})}, "no vLLM server"),
        ({"models": (200, {"data": ["x"]})}, "no vLLM server"),
        ({"models": (200, {"data": None})}, "no vLLM server"),
    ],
)
def test_a_server_of_another_mind_is_one_sentence(answers: dict[str, Any], words: str) -> None:
    with talking_to(Fake(**answers)) as client, pytest.raises(EngineError, match=words):
        client.bases()


def test_a_server_that_may_not_load_adapters_is_told_how() -> None:
    with talking_to(Fake(models=models())) as client, pytest.raises(EngineError, match="--enable-lora"):
        client.load_adapter("a", Path("/g/1"))


def test_why_an_adapter_was_refused_is_repeated() -> None:
    refusal = (400, {"error": {"message": "LoRA rank 64 is greater than max_lora_rank 16."}})
    fake = Fake(models=models(), load_lora_adapter=refusal)
    with talking_to(fake) as client, pytest.raises(EngineError, match="LoRA rank 64 is greater"):
        client.load_adapter("a", Path("/g/1"))


@pytest.mark.parametrize("answer", [{"choices": [{"prompt_logprobs": None}]}, {"choices": [{"prompt_logprobs": [{}]}]}])
def test_log_probs_that_are_left_out_are_missed(answer: Any) -> None:
    with talking_to(Fake(completions=(200, answer))) as client, pytest.raises(EngineError, match="does not return"):
        client.reply_logprobs("base", ROW)


def test_a_refused_prompt_is_never_quoted() -> None:
    fake = Fake(completions=(400, {"error": {"message": "the prompt 'my secret' is bad"}}))
    with talking_to(fake) as client, pytest.raises(EngineError) as caught:
        client.reply_logprobs("base", ROW)
    assert "secret" not in str(caught.value)


def test_nobody_at_the_address_is_one_sentence() -> None:
    client = VllmClient(Address("http://127.0.0.1:9", "", 2))
    assert not client.healthy()
    with pytest.raises(EngineError, match=r"cannot be reached .* start it"):
        client.bases()


@pytest.mark.model
def test_a_real_server_scores_like_the_trainer(client: VllmClient) -> None:
    scores = client.reply_logprobs("base", ROW)
    assert len(scores) == 2
    assert client.version() >= (0, 32)
    assert client.bases().keys() == {"base"}
