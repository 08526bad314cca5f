"""A vLLM server of the night's own: started in its own process group, watched, ended, proven gone.

Its engine runs in child processes that outlive a killed API server and keep the memory, so the whole
group is ended, and a note on disk lets the next start find a group that a crash left behind. The server
listens on loopback only and asks for a key that exists nowhere else.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dreamloop.config import Vllm
from dreamloop.errors import EngineError
from dreamloop.log import Progress
from dreamloop.model.vllm_client import Address, VllmClient
from dreamloop.processes import end_group, note_group, start_group, sweep

_BATCHED_TOKENS = 4096  # in one step of the night's own server on a CPU
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what --max-lora-rank may be
_STOP_S = 8.0
_PACE = 0.5
_LOG_TAIL = 2**17  # bytes; the first cause lies many tracebacks before the end


@dataclass(frozen=True, slots=True)
class Spec:
    """What the server serves: a model folder under a name, in a dtype, with adapters up to a rank."""

    model: str
    name: str
    dtype: str
    rank: int
    cpu: bool


@dataclass(slots=True)
class VllmServer:
    """One server process group, and how to have it again when it dies.

    Attributes:
        note: file that says which group is running. log: where the server's own output goes.
    """

    spec: Spec
    knobs: Vllm
    note: Path
    log: Path
    progress: Progress
    process: subprocess.Popen[bytes] | None = None
    address: Address | None = None

    def start(self) -> Address:
        """Start it and wait until it serves the model.

        Raises:
            EngineError: no free port, vLLM missing, dead or silent at the deadline; nothing stays running.
        """
        sweep(self.note, _STOP_S)
        port = free_port(self.knobs.port)
        key = secrets.token_urlsafe(24)
        address = self.address = Address(f"http://127.0.0.1:{port}", key, self.knobs.request_timeout_s)
        try:
            self.process = start_group(
                command(self.spec, self.knobs, port), _environment(self.spec, self.knobs, key), self.log
            )
            note_group(self.note, self.process.pid)
            self._wait_until_serving(self.process, VllmClient(address))
        except OSError as error:
            raise EngineError(f"vLLM cannot be started ({error}); check vllm.python.") from error
        except BaseException:
            self.stop()
            raise
        return address

    def stop(self) -> None:
        """End the whole group; returns only when nobody of it is left."""
        if self.process is not None:
            end_group(self.process.pid, _STOP_S, self.process)
            self.process = None
        self.note.unlink(missing_ok=True)

    def restart(self) -> Address:
        """End what is left of it and start it again, on another port."""
        self.stop()
        return self.start()

    def _wait_until_serving(self, process: subprocess.Popen[bytes], client: VllmClient) -> None:
        until = time.monotonic() + self.knobs.start_timeout_s
        with self.progress.track("starting vLLM", 1, "server") as advance:
            while time.monotonic() < until:
                if process.poll() is not None:
                    raise EngineError(_why_it_ended(process.returncode, self.log))
                if client.healthy() and self.spec.name in client.bases():
                    advance(1)
                    return
                time.sleep(_PACE)
        raise EngineError(
            f"vLLM did not serve the model within {self.knobs.start_timeout_s:g} s ({_last_error(self.log)}); "
            f"its log is {self.log}. Raise vllm.start_timeout_s if it only needs longer."
        )


@contextmanager
def serving(spec: Spec, knobs: Vllm, note: Path, log: Path, progress: Progress) -> Iterator[tuple[VllmServer, Address]]:
    """A running server for the block; afterwards no process of it is left, whatever happened."""
    with suppress(FileNotFoundError):
        log.replace(log.with_suffix(".before.log"))
    server = VllmServer(spec, knobs, note, log, progress)
    address = server.start()
    try:
        yield server, address
    finally:
        server.stop()


def command(spec: Spec, knobs: Vllm, port: int) -> list[str]:
    """The command line; the module, because some builds ship a broken ``vllm`` script."""
    rank = next((rank for rank in RANKS if rank >= spec.rank), None)
    if rank is None:
        raise EngineError(f"vLLM serves adapters up to rank {RANKS[-1]}, not {spec.rank}; lower finetune.r.")
    return [
        str(knobs.python or sys.executable), "-m", "vllm.entrypoints.openai.api_server",
        "--model", spec.model, "--served-model-name", spec.name, "--host", "127.0.0.1", "--port", str(port),
        "--dtype", spec.dtype if knobs.dtype == "auto" else knobs.dtype, "--max-model-len", str(knobs.max_model_len),
        "--generation-config", "vllm", "--max-num-seqs", str(knobs.concurrency),
        "--enable-lora", "--max-loras", "2", "--max-lora-rank", str(rank), "--uvicorn-log-level", "warning",
        *(_on_a_cpu(knobs) if spec.cpu else ["--gpu-memory-utilization", str(knobs.gpu_memory_utilization)]),
        *knobs.arguments,
    ]  # fmt: skip


def _on_a_cpu(knobs: Vllm) -> list[str]:
    """No graphs, and every prompt in one piece.

    Where a prompt with a seed of its own is read in two steps, vLLM 0.32 turns its generator back, which PyTorch's
    generator on a CPU cannot do ("CPU Generator does not use offset"), and the engine dies.
    """
    whole = str(max(_BATCHED_TOKENS, knobs.max_model_len))
    return ["--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", whole]


def _environment(spec: Spec, knobs: Vllm, key: str) -> dict[str, str]:
    # The key travels here and not on the command line, which every user of the machine can read.
    ours = {
        "VLLM_API_KEY": key, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    cores = str(len(os.sched_getaffinity(0)))
    if spec.cpu:
        ours |= {
            "VLLM_CPU_KVCACHE_SPACE": str(knobs.cpu_kv_gib), "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", cores),
        }  # fmt: skip
    return {**os.environ, **ours}


def free_port(wanted: int) -> int:
    """A loopback port that is free now; 0 takes any.

    Raises:
        EngineError: it is taken, or none is free.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            what = f"port {wanted} is taken by something else" if wanted else "there is no free port"
            raise EngineError(
                f"vLLM cannot be started: {what} ({error.strerror}); set vllm.port to another, or 0."
            ) from error
        return int(probe.getsockname()[1])


def _why_it_ended(code: int, log: Path) -> str:
    said = _last_error(log)
    if "No module named 'vllm" in said:
        return "vLLM is not installed here; install 'dreamloop[vllm]', name its interpreter in vllm.python, or a url."
    return f"vLLM ended while starting (exit code {code}: {said}); its log is {log}."


def _last_error(log: Path) -> str:
    """The last line of the server's log that tells what went wrong, rather than that something did."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    telling = [line.strip() for line in lines if "Error" in line and "root cause" not in line]
    return (telling or [line.strip() for line in lines if line.strip()] or ["no word in its log"])[-1][-300:]
