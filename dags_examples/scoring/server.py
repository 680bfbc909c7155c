"""A scoring server: answers HTTP on 127.0.0.1 with one model, until it is told to stop. Standard library and joblib only.

    python server.py start --folder F --model F/model.joblib --build KEY   starts it in the background, on a free port
    python server.py stop --folder F                                       stops it

``start`` returns when the server answers, prints its state as JSON and leaves it in ``F/server.json`` (pid, port,
url, build). One that runs already is replaced: the new one answers before the old one stops.

    GET  /health   {"build": …, "pid": …, "features": […]}
    POST /score    {"rows": [{feature: value, …}, …]}  ->  {"build": …, "scores": […]}

The model file is loaded with joblib, which runs code: give it files that you trust.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
MAX_BODY = 10_000_000
START_SECONDS = 60
STOP_SECONDS = 10

Json = dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """Answers for one model."""

    server: Server

    def do_GET(self) -> None:
        """Say who answers."""
        if self.path != "/health":
            self.answer(404, {"error": f"nothing at {self.path}; wanted GET /health or POST /score"})
            return
        self.answer(200, {"build": self.server.build, "pid": os.getpid(), "features": self.server.features})

    def do_POST(self) -> None:
        """Score rows."""
        if self.path != "/score":
            self.answer(404, {"error": f"nothing at {self.path}; wanted POST /score"})
            return
        try:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= MAX_BODY:
                raise ValueError(f"the body has {length} bytes; wanted 1 to {MAX_BODY}")
            rows = json.loads(self.rfile.read(length))["rows"]
            matrix = [[float(row[feature]) for feature in self.server.features] for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            self.answer(
                400,
                {"error": f"{error!r}; wanted {{'rows': [{{feature: number}}]}} with all features of /health"},
            )
            return
        scores = self.server.model.predict_proba(matrix)[:, 1].tolist() if matrix else []
        self.answer(200, {"build": self.server.build, "scores": scores})

    def answer(self, status: int, content: Json) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Holds the model."""

    daemon_threads = True

    def __init__(self, model: Path, build: str) -> None:
        import joblib

        stored = joblib.load(model)
        self.model, self.features, self.build = stored["model"], list(stored["features"]), build
        super().__init__((HOST, 0), Handler)


def serve(folder: Path, model: Path, build: str) -> None:
    """Serve in this process until SIGTERM; the state file appears when the port is open."""
    server = Server(model, build)
    port = server.server_address[1]
    state = {"pid": os.getpid(), "port": port, "url": f"http://{HOST}:{port}", "build": build, "model": str(model)}
    waiting = folder / f"server.{os.getpid()}.json"
    waiting.write_text(json.dumps(state), encoding="utf-8")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waiting.replace(folder / "server.json")
    server.serve_forever()


def start(folder: Path, model: Path, build: str) -> Json:
    """Start a server that outlives this process, wait until it answers, then stop the one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    before = read_state(folder)
    log = folder / "server.log"
    command = [sys.executable, __file__, "serve", "--folder", str(folder), "--model", str(model), "--build", build]
    with log.open("w", encoding="utf-8") as output:
        child = subprocess.Popen(  # noqa: S603 - this file
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=folder
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        state = read_state(folder)
        if state and state["pid"] == child.pid and health(state) is not None:
            if before and before["pid"] != child.pid:
                end(before)
            return state
        if child.poll() is not None:
            raise SystemExit(
                f"the scoring server ended with status {child.returncode}:\n{log.read_text(encoding='utf-8')[-2000:]}"
            )
        time.sleep(0.05)
    child.kill()
    raise SystemExit(f"the scoring server did not answer within {START_SECONDS} s; see {log}")


def stop(folder: Path) -> str:
    """Stop the server of this folder and remove its state; says what it did."""
    state = read_state(folder)
    if state is None:
        return "no scoring server was started here"
    done = (
        f"the scoring server at {state['url']} is stopped"
        if end(state)
        else "the scoring server was not running any more"
    )
    (folder / "server.json").unlink(missing_ok=True)
    return done


def end(state: Json) -> bool:
    """End the process of this state, if it is still that server: a pid may belong to somebody else by now."""
    if health(state) is None:
        return False
    os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if health(state) is None:
            return True
        time.sleep(0.05)
    os.kill(state["pid"], signal.SIGKILL)
    return True


def read_state(folder: Path) -> Json | None:
    """The state of the server that was started last in this folder."""
    try:
        state = json.loads((folder / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and {"pid", "url"} <= set(state) else None


def health(state: Json) -> Json | None:
    """What the server of this state says of itself, or None if it is not it that answers."""
    try:
        with urllib.request.urlopen(f"{state['url']}/health", timeout=5) as response:  # noqa: S310 - our own URL
            found = json.load(response)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found if isinstance(found, dict) and found.get("pid") == state["pid"] else None


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["start", "serve", "stop"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--build", default="")
    arguments = parser.parse_args()
    if arguments.command == "stop":
        print(stop(arguments.folder))  # noqa: T201 - a command
    elif arguments.model is None:
        parser.error(f"{arguments.command} needs --model")
    elif arguments.command == "start":
        print(json.dumps(start(arguments.folder.absolute(), arguments.model.absolute(), arguments.build)))  # noqa: T201 - a command
    else:
        serve(arguments.folder, arguments.model, arguments.build)


if __name__ == "__main__":
    main()
