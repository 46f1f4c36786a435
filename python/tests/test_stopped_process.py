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

client = Client(base_url=sys.argv[1], api_key="key-for-tests", request_timeout=2, poll=0.05)
print(client.run("glass_ball", "https://example.com/cat.jpg", fetch=False).task_id)
"""


class Gateway(http.server.ThreadingHTTPServer):
    """Answers a submission once it may, but for what it sends of the answer at once."""

    def __init__(self, sends_at_once):
        super().__init__(("127.0.0.1", 0), Exchange)
        self.sends_at_once = sends_at_once
        self.is_submitted, self.may_answer = threading.Event(), threading.Event()


class Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"id": "task-1"}, self.server.sends_at_once)

    def do_GET(self):
        output = [{"content": [{"url": "https://example.com/a.png"}]}]
        self.answer({"id": "task-1", "status": "completed", "output": output})

    def answer(self, value, sends_at_once="all"):
        body = json.dumps(value).encode()
        if sends_at_once == "nothing":
            self.wait()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if sends_at_once == "headers":
            self.wait()
        self.wfile.write(body)

    def wait(self):
        self.server.is_submitted.set()
        self.server.may_answer.wait(60)

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process is stopped on this system")
@pytest.mark.parametrize("sends_at_once", ["nothing", "headers"])
def test_an_answer_that_came_meanwhile_is_read(sends_at_once):
    with Gateway(sends_at_once) as gateway:
        threading.Thread(target=gateway.serve_forever).start()
        url = f"http://127.0.0.1:{gateway.server_port}"
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True
        ) as program:
            try:
                assert gateway.is_submitted.wait(60)
                os.kill(program.pid, signal.SIGSTOP)
                gateway.may_answer.set()
                # Stopped for longer than the submission may take: that is what this is about.
                time.sleep(5)
                os.kill(program.pid, signal.SIGCONT)
                assert program.communicate(timeout=60)[0].strip() == "task-1"
            finally:
                program.kill()
                gateway.shutdown()
