"""Answers requests as on a ZeroGPU Space: `spaces` is switched on, a CPU stands in for the GPU.

`python -m support.zero_gpu REPORT` asks a fake of ZeroGPU's device API for GPUs and writes what
happened as JSON. It is a process of its own, because `spaces` replaces parts of PyTorch and forks
workers.

Not covered is what needs a GPU or Hugging Face's machines: packing the weights into a file when the
page is launched (workers read it through pinned memory), initializing CUDA, capturing CUDA graphs,
quotas, the queue for a GPU, and killing a worker that exceeds its duration.
"""

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import torch

if TYPE_CHECKING:
    from phi3v import Engine, Request
    from phi3v.ui.answering import Stream

RECEIPT = Path(__file__).parents[2] / "assets" / "examples" / "receipt.png"


class DeviceApi(ThreadingHTTPServer):
    """Lends one GPU to whoever asks; records the requests it gets as (name, parameters).

    The GPU is called idle, which lets `spaces` use its last worker again, unless that one failed.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), DeviceApiHandler)
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.is_idle = False

    def answer(self, name: str, parameters: dict[str, str]) -> dict[str, Any]:
        """Return the JSON that answers a request; only `schedule` has any."""
        self.calls.append((name, parameters))
        if name == "release":
            self.is_idle = parameters["fail"] == "false"
        if name != "schedule":
            return {}
        lent = {"idle": self.is_idle, "allowToken": f"token-{len(self.calls)}"}
        return lent | {"nvidiaIndex": 0, "nvidiaUUID": "GPU-0"}


class DeviceApiHandler(BaseHTTPRequestHandler):
    """The POST requests of spaces.zero.api.APIClient."""

    server: DeviceApi

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        answer = self.server.answer(url.path.strip("/"), dict(parse_qsl(url.query)))
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Recorder:
    """Asks questions and records the answers, the calls of the API and the forward passes.

    Passes are counted in memory shared with the workers, and with them the process of the last: an
    engine in this process knows nothing of what its copy in a worker does.
    """

    def __init__(self, api: DeviceApi, model: torch.nn.Module) -> None:
        self.api = api
        fork = multiprocessing.get_context("fork")
        self.passes, self.pid = fork.Value("q", 0), fork.Value("q", 0)
        model.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.passes.value += 1
        self.pid.value = os.getpid()

    def ask(self, stream: "Stream", request: "Request", leaves: bool = False) -> dict[str, Any]:
        """Read an answer to its end or, if the reader `leaves`, to its first text."""
        import gradio as gr

        calls, passes, chunks, error = len(self.api.calls), self.passes.value, [], ""
        try:
            with closing(stream(request)) as answer:
                for chunk in answer:
                    chunks.append(chunk)
                    if leaves and chunk.text:
                        break
        except gr.Error as refusal:
            error = refusal.message
        statistics = chunks[-1].statistics if chunks else None
        return {
            "texts": [chunk.text for chunk in chunks if chunk.text],
            "statistics": statistics and asdict(statistics),
            "error": error,
            "calls": self.api.calls[calls:],
            "passes": self.passes.value - passes,
            "pid": self.pid.value,
        }


def take_cpu_for_gpu() -> None:
    """Make `spaces`, imported afterwards, leave weights in host memory where it would move them.

    Its import also needs what only a PyTorch built for CUDA has: a CUDA version, `_cuda_init`, and
    an `_is_in_bad_fork` that can be pickled.
    """
    if torch.version.cuda is None:
        torch.version.cuda, torch._C._cuda_init = "13.0", lambda: None
    torch.cuda._is_in_bad_fork = bool  # called without arguments, it is False
    torch.cuda.synchronize = lambda *_: None
    torch.Tensor.cuda = torch.Tensor.pin_memory = lambda tensor, **_: tensor


def ask_all(api: DeviceApi, on_gpu: Callable[..., Any], engine: "Engine") -> dict[str, Any]:
    """Ask everything that the tests are about, in the order of the report's keys."""
    from support.fake_engine import FakeEngine

    from phi3v import Request, Sampling, Turn
    from phi3v.ui.answering import make_stream

    def question(text: str, *images: Path, **sampling: Any) -> Request:
        return Request((Turn("user", text, images),), Sampling(**sampling), ends_loops=False)

    recorder = Recorder(api, engine.model)
    ask = partial(recorder.ask, make_stream(engine, on_gpu))
    ask_fake = partial(recorder.ask, make_stream(FakeEngine(), on_gpu))
    report: dict[str, Any] = {"pid": os.getpid()}

    first = question("Read the text in this image.", RECEIPT, max_new_tokens=128)
    report["first"] = ask(first)
    said = Turn("assistant", "".join(report["first"]["texts"]))
    turns = (*first.turns, said, Turn("user", "Describe this image."))
    report["follow_up"] = ask(Request(turns, Sampling(max_new_tokens=32)))

    at_total = replace(first, stop_strings=("Total",))
    report["stopped_at_total"] = ask(at_total)

    with tempfile.NamedTemporaryFile(suffix=".png") as broken:
        broken.write(b"Dear diary")
        broken.flush()
        report["broken"] = ask(question("What is this?", Path(broken.name)))
    report["too_long"] = ask(question("why " * 3000))

    # This network answers a greeting with one letter for ever.
    report["left"] = ask(question("Hello", max_new_tokens=2000), leaves=True)
    report["after_leaving"] = ask(question("Hello", max_new_tokens=64))

    report["failed"] = ask_fake(question("break"))
    report["after_failing"] = ask_fake(question("say all is well"))
    return report


def main() -> None:
    api = DeviceApi()
    threading.Thread(target=api.serve_forever, daemon=True).start()
    os.environ["SPACES_ZERO_GPU"] = "true"
    os.environ["SPACES_ZERO_DEVICE_API_URL"] = f"http://127.0.0.1:{api.server_port}"
    take_cpu_for_gpu()
    import spaces

    from phi3v import load

    engine = load("embedded", "auto", "float32", eager_answers=1)  # as phi3v.ui.serving does
    weights = [*engine.model.parameters(), *engine.model.buffers()]
    devices = {str(one.device) for one in weights}  # as `spaces` reports them in this thread
    # Gradio runs its events in threads, too.
    report = asyncio.run(asyncio.to_thread(ask_all, api, spaces.GPU, engine))
    Path(sys.argv[1]).write_text(json.dumps(report | {"devices": sorted(devices)}))


if __name__ == "__main__":
    main()
