"""Talking to a vLLM server: what it serves, adapters in and out, and how likely it finds a reply.

Prompts travel as token ids, made by this project's own encoder, so that the server and the trainer see
the same tokens and a user's text stays data. Errors never quote a request.

Endpoints: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html and
https://docs.vllm.ai/en/latest/features/lora.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dreamloop.errors import EngineError, ServerAway
from dreamloop.model.encode import Row

_IN_PLACE_SINCE = (0, 33)  # before, an adapter loaded in place is read from disk again at every step
# One line per state that the server was ever in, valued with the time it was last in it.
_BUSY = re.compile(
    r'^vllm:lora_requests_info\{[^}]*?running_lora_adapters="([^"]*)"[^}]*?'
    r'waiting_lora_adapters="([^"]*)"[^}]*\} (\S+)',
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and what it is called. ``key`` is empty where it asks for none."""

    url: str
    key: str
    request_timeout_s: float

    @property
    def root(self) -> str:
        """The URL without the /v1 that some clients want."""
        return self.url.rstrip("/").removesuffix("/v1")

    @property
    def encrypted(self) -> bool:
        """Whether others may carry it: a proxy named in the environment would read key and prompts of plain HTTP."""
        return self.url.startswith("https")

    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


@dataclass(frozen=True, slots=True)
class _Card:
    """One model that the server lists."""

    name: str
    root: str
    adapter: bool


class VllmClient:
    """One server, one request at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._http = _connection(address)

    def move(self, address: Address) -> None:
        """Talk to another address from now on: the server was started again."""
        self.close()
        self.address = address
        self._http = _connection(address)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def healthy(self) -> bool:
        """Whether the server answers at all."""
        try:
            return self._http.get("/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def version(self) -> tuple[int, ...]:
        """The server's version, as numbers."""
        said = self._json("GET", "/version")
        with self._vllms_own_words():
            return tuple(int(part) for part in re.findall(r"\d+", str(said["version"]))[:3])

    def bases(self) -> dict[str, str]:
        """Base models by name, each with the folder or id that it was loaded from."""
        return {card.name: card.root for card in self._cards() if not card.adapter}

    def adapters(self) -> dict[str, str]:
        """Adapters by name, each with the folder that it was loaded from."""
        return {card.name: card.root for card in self._cards() if card.adapter}

    def takes_adapters(self) -> bool:
        """Whether the server lets adapters come and go while it runs."""
        # Where the endpoint exists it wants another method; where it does not, nothing is found.
        try:
            return self._http.get("/v1/load_lora_adapter").status_code == httpx.codes.METHOD_NOT_ALLOWED
        except httpx.HTTPError:
            return False

    def load_adapter(self, name: str, folder: Path) -> None:
        """Serve an adapter under ``name``, in place of one of that name if there is one.

        Raises:
            EngineError: the server refuses it, or may not load adapters at all; the old one serves on.
        """
        body: dict[str, Any] = {"lora_name": name, "lora_path": str(folder)}
        old = self.adapters().get(name)
        if old is None or self.version() >= _IN_PLACE_SINCE:
            self._send("POST", "/v1/load_lora_adapter", body | ({"load_inplace": True} if old else {}))
            return
        self.unload_adapter(name)
        try:
            self._send("POST", "/v1/load_lora_adapter", body)
        except EngineError:
            with suppress(EngineError):
                self._send("POST", "/v1/load_lora_adapter", body | {"lora_path": old})
            raise

    def unload_adapter(self, name: str) -> None:
        """Stop serving ``name``; answers that it has begun go on."""
        self._send("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def busy(self) -> frozenset[str]:
        """Adapters that are answering somebody, or will be as soon as there is room."""
        states = _BUSY.findall(self._send("GET", "/metrics").text)
        latest = max(states, key=lambda state: float(state[2]), default=("", "", "0"))
        return frozenset(name for names in latest[:2] for name in names.split(",") if name)

    def reply_logprobs(self, model: str, row: Row) -> list[float]:
        """Log-prob of each scored token of the row's first branch under ``model``, in nats.

        Raises:
            EngineError: the server does not answer, or leaves tokens out.
        """
        branch = row.branches[0]
        tokens = [*row.context, *branch.tokens]
        body = {"model": model, "prompt": tokens, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        said = self._json("POST", "/v1/completions", body)
        start = len(row.context)
        try:
            places = said["choices"][0]["prompt_logprobs"]
            return [
                float(places[start + i][str(token)]["logprob"])
                for i, (token, scored) in enumerate(zip(branch.tokens, branch.scored, strict=True))
                if scored
            ]
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise EngineError(
                f"The server at {self.address.url} does not return the log-probs of a prompt; "
                "start it without limits on logprobs."
            ) from error

    def _cards(self) -> list[_Card]:
        said = self._json("GET", "/v1/models")
        with self._vllms_own_words():
            cards = list(said["data"])
            return [_Card(str(c["id"]), str(c.get("root") or c["id"]), bool(c.get("parent"))) for c in cards]

    @contextmanager
    def _vllms_own_words(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise EngineError(f"What answers at {self.address.url} is no vLLM server; check vllm.url.") from error

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self._send(method, path, body)
        with self._vllms_own_words():
            return response.json()

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TimeoutException as error:
            raise ServerAway(
                f"The server at {self.address.url} did not answer {path} within {self.address.request_timeout_s:g} s; "
                "see its log, or raise vllm.request_timeout_s."
            ) from error
        except httpx.HTTPError as error:
            raise ServerAway(
                f"The server at {self.address.url} cannot be reached ({type(error).__name__}); "
                "start it, or correct vllm.url."
            ) from error
        if response.is_success:
            return response
        raise EngineError(_refusal(self.address.url, path, response))


def _connection(address: Address) -> httpx.Client:
    return httpx.Client(
        base_url=address.root, headers=address.headers(), timeout=address.request_timeout_s, trust_env=address.encrypted
    )


def _refusal(url: str, path: str, response: httpx.Response) -> str:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return f"The server at {url} wants an API key; name its file in vllm.api_key_file."
    if response.status_code == httpx.codes.NOT_FOUND and "lora" in path and "cannot be found" not in response.text:
        return (
            f"The server at {url} may not load adapters; start it with --enable-lora "
            "and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1."
        )
    # Only what the adapter endpoints say is repeated; answers about prompts could quote them.
    why = f": {_message(response)}" if "lora" in path else ""
    return f"The server at {url} refused {path} with status {response.status_code}{why}."


def _message(response: httpx.Response) -> str:
    try:
        said = response.json()
        text = str(said.get("message") or said["error"]["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        text = response.text
    return (text.strip().splitlines() or ["no message"])[0][:300].rstrip(".")
