"""The main job, told on real processes: what an agent can do, and what a thief of its token cannot.

usage: story.py, started by scripts/run with badged and the resource server already running.
Exit code 0: all went as expected. 1: it did not, and the last lines say what.
"""
import base64
import hashlib
import json
import os
import pathlib
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

from jwcrypto import jwk, jws

PYTHON = "/usr/bin/python3"
HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 30  # seconds, for what takes milliseconds
ISSUER, AUDIENCE = "https://badged.example.org", "https://ledger.example.org/"
AGENT_UID, THIEF_UID = 61001, 61666
UNIT = "invoice-bot.service"


def as_uid(uid, *command):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]


def as_unit(*command):
    """Its own uid, its own unit; the unit ends with its main process."""
    return ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={UNIT}",
            "-pDynamicUser=yes", *command]


class CannotGoOn(Exception):
    """What the rest of the story is about did not come to be."""


class LivingAgent:
    """A process of the agent's own that stays while the thieves try."""

    def __init__(self, start, examples, path):
        self.process = subprocess.Popen(
            start(PYTHON, str(examples / "living_agent.py"), str(examples), path),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.answer()
        self.pid, self.uid = said["pid"], said["uid"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise CannotGoOn("the agent's process ended on its own")
        return json.loads(line)

    def post(self, target, fields, who="itself"):
        print(json.dumps({"target": target, "fields": fields, "as": who}), file=self.process.stdin, flush=True)
        return self.answer()

    def end(self):
        self.process.stdin.close()  # no more orders: it leaves its loop
        self.process.wait(DEADLINE)
        self.process.stdout.close()


class Story:
    def __init__(self):
        self.examples = pathlib.Path(os.environ["STORY_EXAMPLES"])  # copies that any uid can read
        self.programs = pathlib.Path(os.environ["STORY_PROGRAMS"])
        self.state = pathlib.Path(os.environ["STORY_STATE"])
        self.socket = os.environ["BADGED_SOCKET"]
        self.url = os.environ["STORY_URL"] + "invoices/42"
        self.under_systemd = os.environ["STORY_MANAGER"] == "systemd"
        self.start = as_unit if self.under_systemd else lambda *c: as_uid(AGENT_UID, *c)
        self.number, self.wrong = 0, []

    def step(self, title):
        self.number += 1
        print(f"\n{bold(f'{self.number:2}. {title}')}")

    def expect(self, wanted, got, detail):
        good = wanted == got
        print(f"      {'expected' if good else 'EXPECTED'} {wanted}, got {got}: {detail}  "
              + (green("ok") if good else red("WRONG")), flush=True)
        if not good:
            self.wrong.append(f"step {self.number}: expected {wanted}, got {got}")

    def proof_request(self, token):
        return {"method": "GET", "url": self.url, "access_token": token}

    def status(self):
        return json.loads(self.ctl("--json", "status"))

    def ctl(self, *arguments):
        return subprocess.run([self.programs / "badgectl", *arguments], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=DEADLINE).stdout

    def audit(self):
        text = (self.state / "audit.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def call_resource(self, token, proof):
        headers = {"Authorization": f"DPoP {token}", **({"DPoP": proof} if proof else {})}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=DEADLINE) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)["error_description"]

    def verifier(self, token, proof):
        """`badge-verifier token`, with files that are gone afterwards: (exit code, its first line)."""
        files = {name: self.state / f"story.{name}" for name in ("token", "proof")}
        try:
            for name, text in (("token", token), ("proof", proof)):
                files[name].touch(0o600)
                files[name].write_text(text)
            done = subprocess.run(
                [self.programs / "badge-verifier", "token", "--jwks", self.state / "publish/jwks.json",
                 "--issuer", ISSUER, "--audience", AUDIENCE, "--proof-file", files["proof"],
                 "--method", "GET", "--url", self.url, files["token"]],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE)
        finally:
            for file in files.values():
                file.unlink(missing_ok=True)
        return done.returncode, (done.stdout.splitlines() or ["(silent)"])[0]

    def example(self):
        self.step("An agent asks badged for a token and calls the ledger with it (docs/examples/agent.py)")
        done = subprocess.run(self.start(PYTHON, str(self.examples / "agent.py"), AUDIENCE, self.url, self.socket),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE)
        for line in filter(None, done.stdout.splitlines()):
            print("      " + line)
        self.expect("exit code 0", f"exit code {done.returncode}", "no password, no key, no secret in its hands")

    def good_pair(self, agent):
        self.step("Another process of the agent asks too, and stays: the session that thieves will be after")
        token = agent.post("/v1/token", {"grant_type": "client_credentials", "audience": AUDIENCE})
        if token["status"] != 200:
            raise CannotGoOn(f"no token for process {agent.pid}: {token.get('error')}: {token.get('hint')}")
        where = f"unit {UNIT}, " if self.under_systemd else ""
        self.expect(200, token["status"], f"a {token.get('token_type')} token for process {agent.pid} "
                                          f"({where}uid {agent.uid}), good for {token.get('expires_in')} s")
        proof = agent.post("/v1/proof", self.proof_request(token["access_token"]))
        if proof["status"] != 200:
            raise CannotGoOn(f"no proof for process {agent.pid}: {proof.get('error')}: {proof.get('hint')}")
        self.expect(200, proof["status"], "a proof for one GET of one URL; its key stays in badged")
        self.step("badge-verifier and the ledger (Python, jwcrypto: not our code) look at token and proof")
        code, said = self.verifier(token["access_token"], proof["dpop"])
        self.expect("exit code 0", f"exit code {code}", said)
        self.expect(200, *self.call_resource(token["access_token"], proof["dpop"]))
        self.step("The same proof once more")
        self.expect(401, *self.call_resource(token["access_token"], proof["dpop"]))
        return token["access_token"], proof["dpop"]

    def thieves_at_badged(self, agent, token):
        self.step("Theft: the agent's own forked child speaks on the connection that it inherited")
        said = agent.post("/v1/proof", self.proof_request(token), "heir")
        self.expect(401, said["status"], f"{said.get('error', 'a proof')} for process {said['pid']}")
        self.step("The agent itself is not disturbed by that")
        said = agent.post("/v1/proof", self.proof_request(token))
        self.expect(200, said["status"], f"a new proof for process {agent.pid}")
        self.step(f"Theft: uid {THIEF_UID} has the token and asks badged for a proof, with curl")
        self.expect(403, *self.curl(THIEF_UID, token))
        if self.under_systemd:
            self.step("Theft: a tool that the agent started, of its unit and uid, with its interpreter")
            said = agent.post("/v1/proof", self.proof_request(token), "tool")
            self.expect(403, said["status"], f"{said.get('error', 'a proof')} for process {said['pid']}: "
                                             f"the unit's main process is {agent.pid}")
            return
        self.step("Theft: another process of the agent's own uid, with the agent's interpreter")
        other = LivingAgent(self.start, self.examples, self.socket)
        said = other.post("/v1/proof", self.proof_request(token))
        self.expect(401, said["status"], f"{said.get('error')} for process {other.pid}: the token is of process {agent.pid}")
        other.end()

    def curl(self, uid, token):
        """The request's body on standard input: no token in any argument."""
        done = subprocess.run(
            as_uid(uid, "curl", "--silent", "--unix-socket", self.socket, "--header", "Content-Type: application/json",
                   "--data-binary", "@-", "--write-out", "\n%{http_code}", "http://localhost/v1/proof"),
            input=json.dumps(self.proof_request(token)), stdout=subprocess.PIPE, text=True, timeout=DEADLINE)
        body, _, status = done.stdout.rpartition("\n")
        answer = json.loads(body or "{}")
        return int(status or 0), f"{answer.get('error')}: {answer.get('error_description')}"

    def thieves_at_the_ledger(self, token):
        self.step("Theft: the token at the ledger, without a proof")
        self.expect(401, *self.call_resource(token, None))
        self.step("Theft: the token with a flawless proof, by a key of the thief's own")
        forged = forge(token, self.url)
        self.expect(401, *self.call_resource(token, forged))
        code, said = self.verifier(token, forged)
        self.expect("exit code 1", f"exit code {code}", f"badge-verifier: {said}")

    def end_of_agent(self, agent, token):
        self.step("The agent's process ends, and its key with it")
        session = claims_of(token)["badged"]["session"]
        before = wait_for(lambda: self.status()["sessions"] == 1 and "one session", "the others to be gone")
        self.expect("one session", before, "status, while it lives")
        agent.end()
        self.expect("none", wait_for(lambda: self.status()["sessions"] == 0 and "none", "its end"),
                    "status, without anybody having said goodbye")
        ended = wait_for(lambda: [entry for entry in self.audit() if entry["kind"] == "session-end"
                                  and entry["session"] == session], "its end in the audit")
        self.expect("exited", ended[0]["reason"] if isinstance(ended, list) else ended, "why, says the audit")
        self.step("A later process of the same agent finds the old token and asks for a proof")
        later = LivingAgent(self.start, self.examples, self.socket)
        said = later.post("/v1/proof", self.proof_request(token))
        self.expect(401, said["status"], f"{said.get('error')}: {said.get('error_description')}")
        later.post("/v1/token", {"grant_type": "client_credentials", "audience": AUDIENCE})
        said = later.post("/v1/proof", self.proof_request(token))
        self.expect(401, said["status"], "the same with a session and a token of its own")
        later.end()

    def tell(self):
        self.example()
        agent = LivingAgent(self.start, self.examples, self.socket)
        try:
            token, _ = self.good_pair(agent)
            self.thieves_at_badged(agent, token)
            self.thieves_at_the_ledger(token)
            self.end_of_agent(agent, token)
        finally:
            agent.end()
        self.step("The record of it all")
        verified = self.ctl("audit", "verify").splitlines()[0]
        findings = sorted({entry["reason"] for entry in self.audit() if entry["kind"] == "proof-refused"
                           or (entry["kind"] == "finding" and "txn" in entry)})
        print(f"      {verified}\n      refusals in it: {', '.join(findings)}")


def encoded(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def forge(token, url):
    """All that a thief can make: right in everything but the key."""
    key = jwk.JWK.generate(kty="EC", crv="P-256")
    claims = {"jti": str(uuid.uuid4()), "htm": "GET", "htu": url, "iat": int(time.time()),
              "ath": encoded(hashlib.sha256(token.encode()).digest())}
    proof = jws.JWS(json.dumps(claims))
    proof.add_signature(key, protected=json.dumps(
        {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.export_public(as_dict=True)}))
    return proof.serialize(compact=True)


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if value := condition():
            return value
        select.select([], [], [], 0.01)
    return f"no sign of {what} in {DEADLINE} s"


def coloured(code):
    return lambda text: f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


bold, green, red = coloured("1"), coloured("32"), coloured("1;31")


def main():
    story = Story()
    try:
        story.tell()
    except CannotGoOn as why:
        story.wrong.append(f"step {story.number}: {why}")
    wrong = story.wrong
    print()
    for line in wrong:
        print(red(f"NOT AS IT MUST BE, {line}"))
    if not wrong:
        print(green("All as expected."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
