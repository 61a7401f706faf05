"""A real badged on a TPM simulator of its own, for tests that drive it with real processes.

    with Badged(records={"demo": DEMO}) as badged:
        answer = badged.as_uid(61001).token()

Every process started here is ended here, by its pid.
"""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BADGED_BUILD", ROOT / "build" / "release"))
PYTHON = "/usr/bin/python3"
ISSUER = "https://badged.example.org"
AUDIENCE = "https://ledger.example.org/"
DEADLINE = 60  # seconds: for what takes milliseconds, on a machine that does other things too


def record(name, *, match, autonomy="low", access="app-write", binding="process", extra="",
           grant=""):
    """The text of a record that validates; `match` is the body of [match]."""
    return f'''
name = "{name}"
owner = "team@example.org"
purpose = "a test"
autonomy = "{autonomy}"
access = "{access}"
data_sensitivity = "internal"
business_impact = "low"
exposure = "internal"
systems = ["ledger"]
binding = "{binding}"
{extra}
[match]
{match}
[[grant]]
audience = "{AUDIENCE}"
scope = ["invoices.read", "invoices.write"]
{grant}
'''


class Failure(Exception):
    pass


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=DEADLINE):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)  # waits for a place; with a timeout it would give EAGAIN
        self.sock.settimeout(self.timeout)


def call(path, method, target, body=None, headers=None):
    """One request on a connection of its own: (status, headers, JSON or text)."""
    connection = UnixConnection(path)
    try:
        return exchange(connection, method, target, body, headers)
    finally:
        connection.close()


def exchange(connection, method, target, body=None, headers=None):
    headers = dict(headers or {})
    if isinstance(body, dict) and target in ("/v1/token", "/v1/introspect", "/v1/revoke"):
        import urllib.parse
        body = urllib.parse.urlencode(body, doseq=True)
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    elif isinstance(body, dict):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, target, body, headers)
    response = connection.getresponse()
    text = response.read().decode()
    try:
        return response.status, response.headers, json.loads(text)
    except ValueError:
        return response.status, response.headers, text


def wait_for(condition, what, deadline=DEADLINE):
    """Polls until `condition` gives something true; raises after the deadline."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        select.select([], [], [], 0.01)
    raise Failure(f"waited {deadline} s for {what}")


def part(compact, index):
    """One part of a compact JWS as JSON, unchecked: 0 the header, 1 the claims."""
    text = compact.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def claims(token):
    return part(token, 1)


def verifier(badged, token, *options, proof=None, jwks=None, audience=AUDIENCE, issuer=ISSUER):
    """badge-verifier's word on a token: (exit code, its JSON)."""
    with tempfile.TemporaryDirectory(prefix="badged-verify-") as directory:
        token_file = pathlib.Path(directory, "token")
        token_file.write_text(token)
        command = [str(BUILD / "badge-verifier"), "token", "--json", "--issuer", issuer,
                   "--audience", audience,
                   "--jwks", str(jwks or badged.state_dir / "publish" / "jwks.json")]
        if proof is not None:
            proof_file = pathlib.Path(directory, "proof")
            proof_file.write_text(proof)
            command += ["--proof-file", str(proof_file)]
        done = subprocess.run([*command, *options, str(token_file)], capture_output=True,
                              text=True, timeout=DEADLINE)
    return done.returncode, json.loads(done.stdout)


class SimulatedTpm:
    """swtpm with an EK certificate, kept in `directory`; may be stopped and started again."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.tcti = None

    def start(self):
        done = subprocess.run([ROOT / "scripts" / "simulated-tpm", self.directory], check=True,
                              stdout=subprocess.PIPE, text=True)
        self.tcti = done.stdout.strip()
        return self

    @property
    def pid(self):
        return int((self.directory / "pid").read_text())

    def stop(self):
        subprocess.run([ROOT / "scripts" / "simulated-tpm", "--stop", self.directory], check=True,
                       stdout=subprocess.DEVNULL)

    def kill(self):
        """At once, as when the TPM is pulled out; it may be started again."""
        os.kill(self.pid, signal.SIGKILL)
        (self.directory / "pid").unlink()  # init may take a while to reap it

    @contextlib.contextmanager
    def stopped(self):
        """It hangs meanwhile: commands are taken, and not answered."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):  # what went wrong meanwhile counts
                os.kill(pid, signal.SIGCONT)


class Badged:
    def __init__(self, records=None, store="tpm", config="", directory=None, start=True,
                 wait_ready=True):
        self.store = store
        self.records = records or {}
        self.extra_config = config
        self.given = directory
        self.autostart = start
        self.wait_ready = wait_ready
        self.process = None
        self.tpm = None

    def __enter__(self):
        self.own = None
        if self.given is None:
            self.own = tempfile.mkdtemp(prefix="badged-test-")
            os.chmod(self.own, 0o755)
        self.directory = pathlib.Path(self.given or self.own)
        self.agents_dir = self.directory / "agents.d"
        self.agents_dir.mkdir(exist_ok=True)
        self.state_dir = self.directory / "state"
        self.agent_socket = self.directory / "run" / "agent.sock"
        self.admin_socket = self.directory / "run" / "admin" / "admin.sock"
        self.config_file = self.directory / "badged.toml"
        self.log_file = self.directory / "log"
        for name, text in self.records.items():
            self.write_record(name, text)
        if self.store == "tpm":
            self.tpm = SimulatedTpm(self.directory / "tpm").start()
        self.write_config()
        if self.autostart:
            self.start()
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.clean()

    def clean(self):
        if self.tpm:
            self.tpm.stop()
        if self.own:
            shutil.rmtree(self.own)

    def write_record(self, name, text):
        file = self.agents_dir / f"{name}.toml"
        file.write_text(text)
        file.chmod(0o644)

    def write_config(self):
        keystore = (f'kind = "tpm"\ntcti = "{self.tpm.tcti}"' if self.tpm else
                    'kind = "software"\ni_accept_software_keys = true')
        self.config_file.write_text(f'''
issuer = "{ISSUER}"
trust_domain = "example.org"
host = "build-7"
agents_dir = "{self.agents_dir}"
state_dir = "{self.state_dir}"
agent_socket = "{self.agent_socket}"
admin_socket = "{self.admin_socket}"
[keystore]
{keystore}
{self.extra_config}
''')
        self.config_file.chmod(0o644)

    def start(self, wrapper=(), env=None):
        log = open(self.log_file, "ab")
        self.process = subprocess.Popen(
            [*wrapper, str(BUILD / "badged"), "--config", str(self.config_file)],
            stdout=log, stderr=log, env={**os.environ, **(env or {})})
        log.close()
        wait_for(self.answers, "badged to answer")
        if self.wait_ready:
            wait_for(lambda: self.status()["keystore"]["condition"] == "ready" and
                     self.get("/v1/jwks")["keys"], "the key store to be ready")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise Failure(f"badged ended with {self.process.returncode}:\n{self.log()}")
        try:
            return call(self.agent_socket, "GET", "/v1/jwks")[0] == 200
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(sig)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("badged did not stop:\n" + self.log()) from None
        if sig == signal.SIGTERM and self.process.returncode != 0:
            raise Failure(f"badged ended with {self.process.returncode}:\n{self.log()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def get(self, target, admin=False):
        status, _, body = call(self.admin_socket if admin else self.agent_socket, "GET", target)
        if status != 200:
            raise Failure(f"{target}: {status} {body}")
        return body

    def status(self):
        return self.get("/v1/status", admin=True)

    def audit(self):
        """Every whole line of the log, parsed."""
        text = (self.state_dir / "audit.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def ctl(self, *arguments, uid=None, **kwargs):
        command = [str(BUILD / "badgectl"), "--socket", str(self.agent_socket),
                   "--admin-socket", str(self.admin_socket), *arguments]
        if uid is not None:
            command = as_uid(uid) + command
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, **kwargs)

    def agent(self, uid):
        return Agent(self, uid)


def as_uid(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


class WithAgents:
    """For a TestCase: agents that end with their test, of its `badged` or of the one that is given."""

    def agent(self, uid, badged=None):
        made = (badged or self.badged).agent(uid)
        self.addCleanup(made.end)
        return made


class Granting(WithAgents):
    """The same, and tokens that must be given."""

    def granted(self, agent, headers=None, fresh=False, **fields):
        headers = {"Cache-Control": "no-cache"} if fresh else headers
        status, answer = agent.token(headers, **fields)
        self.assertEqual(status, 200, answer)
        return answer["access_token"]


class Agent:
    """A real process of its own uid that makes calls when told, one line each way."""

    def __init__(self, badged, uid, command=None):
        self.badged = badged
        script = pathlib.Path(__file__).with_name("agent_process.py")
        self.process = subprocess.Popen(
            (command or as_uid(uid) + [PYTHON]) + [str(script), str(badged.agent_socket)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    @property
    def pid(self):
        return self.process.pid

    def waits_for_an_answer(self):
        """Whether it has sent the request it was told to: it reads its orders, polls its connection."""
        number = pathlib.Path(f"/proc/{self.pid}/syscall").read_text().split()[0]
        return number in ("7", "45")  # poll, recvfrom

    def tell(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failure("the agent's process ended")
        return json.loads(line)

    def call(self, method, target, body=None, headers=None):
        answer = self.tell(do="call", method=method, target=target, body=body, headers=headers)
        return answer["status"], answer["body"]

    def token(self, headers=None, **fields):
        return self.call("POST", "/v1/token", {"grant_type": "client_credentials", **fields},
                         headers)

    def proof(self, token, method="GET", url=AUDIENCE + "api/x", **fields):
        return self.call("POST", "/v1/proof",
                         {"method": method, "url": url, "access_token": token, **fields})

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
