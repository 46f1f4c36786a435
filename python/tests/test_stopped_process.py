"""A process that is stopped while a submission is answered, as by Ctrl-Z, ``docker pause`` or a laptop's lid:
the answer lies in the socket when it goes on, and the time of its request is over.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

PROGRAM = """
import sys
from spark_effects import Client

client = Client(base_url=sys.argv[1], api_key="key-for-tests", request_timeout=0.5, poll=0.05)
print(client.run("glass_ball", "https://example.com/cat.jpg", fetch=False).task_id)
"""


class Gateway(http.server.BaseHTTPRequestHandler):
    """Answers a submission once it may."""

    protocol_version = "HTTP/1.1"
    submitted, may_answer = threading.Event(), threading.Event()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.submitted.set()
        self.may_answer.wait(60)
        self.answer({"id": "task-1"})

    def do_GET(self):
        output = [{"content": [{"url": "https://example.com/a.png"}]}]
        self.answer({"id": "task-1", "status": "completed", "output": output})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process is stopped on this system")
def test_an_answer_that_came_meanwhile_is_read():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True
        ) as program:
            try:
                assert Gateway.submitted.wait(60)
                os.kill(program.pid, signal.SIGSTOP)
                Gateway.may_answer.set()
                # Stopped for longer than the submission may take: that is what this is about.
                time.sleep(3)
                os.kill(program.pid, signal.SIGCONT)
                assert program.communicate(timeout=60)[0].strip() == "task-1"
            finally:
                program.kill()
                server.shutdown()
