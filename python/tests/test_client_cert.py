"""Certificates of clients, for a gateway that asks for one."""

import http.server
import json
import os
import pathlib
import ssl
import subprocess
import sys
import threading

import pytest
from conftest import ROOT, URL

from spark_effects import Client, EffectsError, InvalidRequest

CERTIFICATES = ROOT / "tests" / "certificates"
GIVEN = {"api_key": "key-of-the-tests", "ca_bundle": CERTIFICATES / "ca.pem", "wait_timeout": 5}


class Completed(http.server.BaseHTTPRequestHandler):
    """Every task is completed at once, and none is known later."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        picture = {"url": "https://example.com/ball.png"}
        task = {"id": "task-1", "status": "completed", "output": [{"content": [picture]}]}
        self.answer(200, task)

    def do_GET(self):
        self.answer(404, {"message": "there is no such task"})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def gateway():
    """A gateway for clients with a certificate of the tests' authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    context.load_verify_locations(CERTIFICATES / "client-ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Completed)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_it_is_shown_from_one_file_or_two(gateway, tmp_path, monkeypatch):
    together = CERTIFICATES / "client.pem"
    text = together.read_text()
    at = text.index("-----BEGIN PRIVATE KEY")
    apart = (tmp_path / "client.crt", tmp_path / "client.key")
    for path, part in zip(apart, (text[:at], text[at:]), strict=True):
        path.write_text(part)
    for cert in (together, str(together), apart):
        client = Client(base_url=gateway, client_cert=cert, **GIVEN)
        assert client.run("glass_ball", URL, fetch=False).task_id == "task-1"
    monkeypatch.setenv("EFFECTS_CLIENT_CERT", str(apart[0]))
    monkeypatch.setenv("EFFECTS_CLIENT_KEY", str(apart[1]))
    assert Client(base_url=gateway, **GIVEN).run("glass_ball", URL, fetch=False).task_id == "task-1"


@pytest.mark.parametrize(
    ("cert", "words"),
    [(None, "asks for a client certificate"), ("stranger.pem", "does not accept the client certificate")],
)
def test_one_that_is_missing_or_not_accepted_is_told_as_such(gateway, cert, words):
    client = Client(base_url=gateway, client_cert=cert and CERTIFICATES / cert, **GIVEN)
    with pytest.raises(EffectsError, match=words) as raised:
        client.run("glass_ball", URL)
    assert raised.value.kind == "transport"
    assert "client_cert" in str(raised.value)


def test_one_that_cannot_be_used_is_named_with_what_is_missing():
    for cert, words in (
        (CERTIFICATES / "ca.pem", "ca.pem holds no private key"),
        (CERTIFICATES / "none.pem", "none.pem cannot be read"),
        ((CERTIFICATES / "client.pem", CERTIFICATES / "server.key"), "do not go together"),
        (("one", "two", "three"), "client_cert is .* give one file, or a pair"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            Client(client_cert=cert, **GIVEN)
    with pytest.raises(TypeError, match=r"^client_cert is 5: give a path"):
        Client(client_cert=5, **GIVEN)


def test_the_command_shows_it_by_its_options_and_by_the_environment(gateway, tmp_path):
    cert = str(CERTIFICATES / "client.pem")

    def submit(*options, **environment):
        line = ["effects", "submit", "glass_ball", URL, "--base-url", gateway]
        bare = {"EFFECTS_STATE_DIR": str(tmp_path), "EFFECTS_API_KEY": GIVEN["api_key"], **environment}
        path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        line += ["--ca-bundle", str(CERTIFICATES / "ca.pem"), *options]
        return subprocess.run(
            line, env={**bare, "PATH": path}, capture_output=True, text=True, check=False, timeout=60
        )

    assert submit("--client-cert", cert).stdout.strip() == "task-1"
    assert submit(EFFECTS_CLIENT_CERT=cert).stdout.strip() == "task-1"
    missing = submit()
    assert missing.returncode == 7
    assert "--client-cert" in missing.stderr
    wrong = submit("--client-cert", cert, "--client-key", str(CERTIFICATES / "server.key"))
    assert wrong.returncode == 2
    assert "do not go together" in wrong.stderr


def test_doctor_looks_with_it(gateway, tmp_path):
    def doctor(*options):
        line = ["effects", "doctor", "--json", "--base-url", gateway, *options]
        bare = {"EFFECTS_STATE_DIR": str(tmp_path), "EFFECTS_API_KEY": GIVEN["api_key"]}
        path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        bare |= {"PATH": path, "EFFECTS_CA_BUNDLE": str(CERTIFICATES / "ca.pem")}
        ran = subprocess.run(line, env=bare, capture_output=True, text=True, check=False, timeout=60)
        return {check["name"]: check for check in json.loads(ran.stdout)["checks"]}

    checks = doctor("--client-cert", str(CERTIFICATES / "client.pem"))
    assert [checks[name]["status"] for name in ("certificates", "client cert", "gateway")] == ["ok"] * 3
    assert "from EFFECTS_CA_BUNDLE" in checks["certificates"]["message"]
    without = doctor()
    assert without["client cert"]["message"] == "none is shown"
    assert without["gateway"]["status"] == "fail"
    assert "--client-cert" in without["gateway"]["message"]


def test_a_profile_names_one(gateway, tmp_path, monkeypatch):
    monkeypatch.setenv("EFFECTS_CONFIG_DIR", str(tmp_path))
    profile = f"""
[studio]
base_url = "{gateway}"
ca_bundle = "{CERTIFICATES / "ca.pem"}"
client_cert = "{CERTIFICATES / "client.pem"}"
"""
    (tmp_path / "profiles.toml").write_text(profile)
    client = Client.from_profile("studio", api_key="key-of-the-tests", wait_timeout=5)
    assert client.run("glass_ball", URL, fetch=False).task_id == "task-1"
