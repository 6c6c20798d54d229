"""A small OpenAI-compatible server without a model, whose answers and faults a test scripts."""

import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = {"id": "phi3v", "root": "embedded", "max_model_len": 2560}


class Exchange:
    """One chat completion: its body, and what a script sends back."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self._handler = handler
        self.body = body

    @property
    def question(self) -> str:
        """The text of the last message."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else content[-1]["text"]

    def refuse(self, status: int, message: str = "no", **headers: str) -> None:
        """Answer with an error in OpenAI's form."""
        content = json.dumps({"error": {"message": message, "code": status}}).encode()
        self._head(status, {"Content-Length": str(len(content))} | headers)
        self.send(content)

    def begin(self) -> None:
        """Answer 200 and begin a stream that ends with the connection."""
        self._head(200, {"Content-Type": "text/event-stream"})

    def say(self, text: str, **choice: Any) -> None:
        """Send an event with a piece of the answer."""
        self.event({"choices": [{"index": 0, "delta": {"content": text}, **choice}]})

    def end(self, reason: str = "stop", **usage: Any) -> None:
        """Send the reason why the answer ends, and the usage if there is any."""
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if usage:
            self.event({"choices": [], "usage": usage})
        self.send(b"data: [DONE]\n\n")

    def event(self, content: dict[str, Any]) -> None:
        """Send an event."""
        self.send(b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n")

    def send(self, content: bytes) -> None:
        """Send bytes at once."""
        self._handler.wfile.write(content)
        self._handler.wfile.flush()

    def is_left(self) -> bool:
        """True once the client has closed the connection."""
        connection = self._handler.connection
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1) == b""

    def hang(self, seconds: float = 5) -> None:
        """Send nothing for so long, or until the client leaves, which raises ConnectionError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.is_left():
                raise ConnectionError("the client left")
            time.sleep(0.01)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()


Script = Callable[[Exchange], None]


def echo(exchange: Exchange) -> None:
    """Answer with the question, word by word, with probabilities if they are wanted."""
    exchange.begin()
    words = exchange.question.split(" ")
    most = exchange.body["max_tokens"]
    for number, word in enumerate(words[:most]):
        entry = {"token": word, "logprob": -0.1 if number % 3 else -2.0}
        extra = {"logprobs": {"content": [entry]}} if exchange.body.get("logprobs") else {}
        exchange.say(word if number == 0 else " " + word, **extra)
    reason = "length" if len(words) > most else "stop"
    details = {"cached_tokens": 64}
    exchange.end(
        reason, prompt_tokens=100, completion_tokens=len(words), prompt_tokens_details=details
    )


class FakeServer:
    """A server on a free port that answers every request by its script.

    bodies and headers are those of the requests so far, running how many are being answered. With
    a key, other requests are 401.
    """

    def __init__(self, script: Script = echo, port: int = 0, key: str = "") -> None:
        self.script = script
        self.key = key
        self.models: list[dict[str, Any]] = [MODEL]
        self.metrics = ""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._make_handler())
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """Close the port and all connections, as a process that dies does."""
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(2)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        body = json.loads(handler.rfile.read(length))
        exchange = Exchange(handler, body)
        with self._lock:
            self.bodies.append(body)
            self.headers.append({name.lower(): text for name, text in handler.headers.items()})
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            if self.key and handler.headers.get("Authorization") != f"Bearer {self.key}":
                exchange.refuse(401, "wrong key")
            else:
                self.script(exchange)
        except OSError:  # the client left, or the server was killed
            pass
        finally:
            with self._lock:
                self.running -= 1

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                super().setup()
                with fake._lock:
                    fake._connections.add(self.connection)

            def finish(self) -> None:
                with suppress(OSError):
                    super().finish()
                with fake._lock:
                    fake._connections.discard(self.connection)

            def do_GET(self) -> None:
                wanted = {"/v1/models": json.dumps({"data": fake.models}), "/metrics": fake.metrics}
                is_known = self.path in wanted
                is_allowed = not fake.key or self.headers.get("Authorization") == (
                    f"Bearer {fake.key}"
                )
                content = wanted.get(self.path, "").encode()
                with suppress(OSError):  # the client may have left
                    self.send_response(404 if not is_known else 200 if is_allowed else 401)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def do_POST(self) -> None:
                fake._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def run_servers(*scripts: Script) -> Iterator[list[FakeServer]]:
    """Run a server for each script."""
    servers = [FakeServer(script) for script in scripts]
    try:
        yield servers
    finally:
        for server in servers:
            server.kill()
