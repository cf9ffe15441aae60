"""A program that answers as llama-server does, for the arms of the benches that ask one."""

from __future__ import annotations

import sys
from pathlib import Path

_SERVER = """#!{python}
import http.server, json, sys
{answer}
class Handler(http.server.BaseHTTPRequestHandler):
    def say(self, found):
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.say({{"status": "ok"}})
    def do_POST(self):
        self.say(answer(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
    def log_message(self, *args):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def stand_in(folder: Path, answer: str) -> Path:
    """The program, called llama-server; `answer` is the source of `answer(path, asked)`."""
    path = folder / "llama-server"
    path.write_text(_SERVER.format(python=sys.executable, answer=answer), "utf-8")
    path.chmod(0o755)
    return path
