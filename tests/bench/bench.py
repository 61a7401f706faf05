"""What scripts/bench runs: every figure beside its limit, measured in the same run.

Each pair (figure, limit) is measured in turns, and the median of the turns is reported. Rates mean
something only on a machine that does nothing else; the ratios hold longer.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "scenarios"))
from harness import AUDIENCE, BUILD, PYTHON, Badged, SimulatedTpm, as_uid, call, claims, record, wait_for  # noqa: E402

UID, STRICT_UID, STRANGER = 61001, 61002, 61003
RATES = "".join(f'''
[limits.{tier}]
tokens_per_second = 1000000
token_burst = 1000000
proofs_per_second = 1000000
proof_burst = 1000000
''' for tier in ("baseline", "elevated", "high-assurance"))
RECORDS = {
    "bench": record("bench", match=f"uid = {UID}"),
    "strict": record("strict", match=f"uid = {STRICT_UID}", autonomy="high", access="admin"),
}
CONNECTIONS = (1, 8, 64)


class Bench:
    def __init__(self, seconds, turns):
        self.seconds, self.turns = seconds, turns
        self.results = []

    def load(self, socket, call, connections, uid=UID):
        out = subprocess.run([*as_uid(uid), BUILD / "bench_load", "--socket", socket, "--call", call,
                              "--audience", AUDIENCE, "--connections", str(connections),
                              "--seconds", str(self.seconds)],
                             check=True, stdout=subprocess.PIPE, text=True)
        result = json.loads(out.stdout)
        if result["errors"]:
            raise SystemExit(f"bench: {call}: {result['errors']} refused: {result['first_error']}")
        return result

    def note(self, name, value, unit, limit=None, limit_unit=None, more=""):
        ratio = round(value / limit, 4) if limit else None
        self.results.append({"name": name, "value": round(value, 3), "unit": unit,
                             "limit": round(limit, 3) if limit else None,
                             "limit_unit": limit_unit, "ratio": ratio})
        beside = f"{limit:>12,.1f} {limit_unit}" if limit else ""
        share = f"{100 * ratio:6.1f}%" if ratio else ""
        print(f"{name:<34}{value:>12,.1f} {unit:<8}{beside:<28}{share:>8}  {more}", flush=True)

    def pair(self, name, figure, limit, limit_unit, unit="/s"):
        """figure() and limit() give results of load or numbers; the medians are compared."""
        values, limits, details = [], [], []
        for _ in range(self.turns):
            got = figure()
            details.append(got)
            values.append(got["rate"])
            limits.append(limit())
        middle = sorted(details, key=lambda d: d["rate"])[len(details) // 2]
        more = " ".join(f"{p} {middle[p + '_us']:,.0f} us" for p in ("p50", "p99", "p999"))
        self.note(name, statistics.median(values), unit, statistics.median(limits), limit_unit, more)
        for p in ("p50", "p99"):
            self.results.append({"name": f"{name} {p}", "value": round(middle[p + "_us"], 1),
                                 "unit": "us", "limit": None, "limit_unit": None, "ratio": None})


def openssl_rate():
    out = subprocess.run(["openssl", "speed", "-seconds", "1", "ecdsap256"], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return float(re.findall(r"nistp256.*?([\d.]+)\s+[\d.]+\s*$", out, re.M)[0])


class BareServer:
    def __init__(self, directory):
        self.socket = pathlib.Path(directory) / "bare.sock"
        self.process = subprocess.Popen([BUILD / "bench_bare_server", self.socket, "1100"])
        wait_for(self.socket.exists, "the bare server")
        self.socket.chmod(0o666)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def bench_http(bench, badged, bare):
    for connections in CONNECTIONS:
        bench.pair(f"cached token, {connections} conn",
                   lambda: bench.load(badged.agent_socket, "token", connections),
                   lambda: bench.load(bare.socket, "whoami", connections)["rate"], "bare Beast/s")


def bench_signing(bench, badged, call, title):
    for connections in CONNECTIONS:
        bench.pair(f"{title}, {connections} conn",
                   lambda: bench.load(badged.agent_socket, call, connections),
                   openssl_rate, "OpenSSL/s")


@contextlib.contextmanager
def esapi_loop(bench, directory, command):
    """The rate of a bare loop of one command, on a TPM of its own."""
    other = SimulatedTpm(pathlib.Path(directory) / "limit-tpm").start()
    try:
        yield lambda: float(subprocess.run(
            [BUILD / "bench_esapi_sign", other.tcti, str(bench.seconds), command], check=True,
            stdout=subprocess.PIPE, text=True).stdout)
    finally:
        other.stop()


def bench_tpm(bench, badged, directory):
    with esapi_loop(bench, directory, "sign") as limit:
        for connections in CONNECTIONS:
            bench.pair(f"TPM-signed token, {connections} conn",
                       lambda: bench.load(badged.agent_socket, "fresh", connections, STRICT_UID),
                       limit, "ESAPI/s")


def bench_evidence(bench, badged, directory):
    """The host's own, which no rate holds back; a quote, three more commands, and a record each."""
    with esapi_loop(bench, directory, "quote") as limit:
        for connections in (1, 2):
            bench.pair(f"evidence, {connections} conn",
                       lambda: bench.load(badged.admin_socket, "evidence", connections, 0),
                       limit, "ESAPI quotes/s")


def bench_peers(bench, *_):
    out = subprocess.run([BUILD / "bench_peers"], check=True, stdout=subprocess.PIPE,
                         text=True).stdout
    print(out, end="")
    for line in out.splitlines():
        if found := re.match(r"(.+?)\s+([\d.]+) us", line):
            bench.results.append({"name": f"peers: {found[1].strip()}", "value": float(found[2]),
                                  "unit": "us", "limit": None, "limit_unit": None, "ratio": None})


def bench_evidence_check(bench):
    """Evidence checked, beside its three signatures alone."""
    rows = []
    for _ in range(bench.turns):
        out = subprocess.run([BUILD / "bench_evidence_check", str(bench.seconds)], check=True,
                             stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(out.stdout))
    middle = lambda name: statistics.median(row[name] for row in rows)  # noqa: E731
    bench.note("evidence checked", middle("checked"), "/s", middle("bare"), "OpenSSL/s")
    bench.note("evidence checked, peak memory", middle("kb") / 1024, "MB")


def anonymous_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1])


def bench_memory(bench, badged):
    before = anonymous_kb(badged.process.pid)
    bench.note("idle memory (anonymous)", before / 1024, "MB", 10, "MB goal")
    held = subprocess.Popen([*as_uid(UID), BUILD / "bench_load", "--socket", badged.agent_socket,
                             "--idle", "10000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        held.stdout.readline()
        wait_for(lambda: badged.status()["connections"] >= 10000, "10,000 connections")
        each = (anonymous_kb(badged.process.pid) - before) / 10000
        bench.note("per idle connection, 10,000", each, "kB", 4, "kB goal")
        quiet = statistics.median(
            bench.load(badged.agent_socket, "token", 8)["p99_us"] for _ in range(bench.turns))
        bench.note("p99 of 8 beside 10,000 idle", quiet, "us")
    finally:
        held.stdin.close()
        held.wait()


def bench_flood(bench, badged):
    """A listed caller beside 10,000 idle connections and a stranger's 100 hostile ones."""
    hostile = ROOT / "tests" / "scenarios" / "hostile_process.py"
    median = lambda: statistics.median(  # noqa: E731
        bench.load(badged.agent_socket, "token", 1)["p99_us"] for _ in range(bench.turns))
    alone = median()
    held = subprocess.Popen([*as_uid(UID), BUILD / "bench_load", "--socket", badged.agent_socket,
                             "--idle", "10000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        held.stdout.readline()
        flood = subprocess.Popen([*as_uid(STRANGER), PYTHON, hostile, badged.agent_socket,
                                  "garbage", "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            flood.stdout.readline()
            bench.note("p99 beside 10,000 idle, 100 hostile", median(), "us", alone, "us alone")
        finally:
            flood.stdin.close()
            flood.wait()
    finally:
        held.stdin.close()
        held.wait()


def bench_start(bench):
    with Badged(records=RECORDS, config=RATES) as badged:
        times = []
        for _ in range(max(5, bench.turns)):
            badged.stop()
            begin = time.monotonic()
            badged.process = subprocess.Popen([BUILD / "badged", "--config", badged.config_file],
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.run([*as_uid(UID), PYTHON, ROOT / "tests" / "bench" / "first_token.py",
                            badged.agent_socket], check=True)
            times.append((time.monotonic() - begin) * 1000)
        bench.note("start to first token", statistics.median(times), "ms")


def bench_introspection(bench, badged):
    """By the agent itself, on one connection; a question costs one verification."""
    with badged.agent(UID) as agent:
        token = agent.token()[1]["access_token"]
        count = int(200 * bench.seconds)
        begin = time.monotonic()
        for _ in range(count):
            status, answer = agent.call("POST", "/v1/introspect", {"token": token})
            if status != 200 or not answer["active"]:
                raise SystemExit(f"bench: introspection: {status} {answer}")
        bench.note("introspection, 1 conn (Python)", count / (time.monotonic() - begin), "/s")


def bench_revocation(bench, badged):
    """From asking to revoke until the proof is refused and the published list has the bit."""
    refused, listed, told = [], [], []
    file = badged.state_dir / "publish" / "status.jwt"
    for _ in range(max(20, 10 * bench.turns)):
        with badged.agent(UID) as agent:
            token = agent.token()[1]["access_token"]
            before = file.read_bytes()
            begin = time.monotonic()
            status, _, answer = call(badged.admin_socket, "POST", "/v1/revoke",
                                     {"jti": claims(token)["jti"]})
            answered = time.monotonic()
            if status != 200 or agent.proof(token)[0] != 401:
                raise SystemExit(f"bench: a revoked token got a proof: {status} {answer}")
            refused.append((time.monotonic() - begin) * 1000)
            listed.append((answered - begin) * 1000)
            told.append(answer["took_ms"])
            if file.read_bytes() == before:
                raise SystemExit("bench: the answer came before the list")
    bench.note("revocation to refusal", statistics.median(refused), "ms", 50, "ms goal",
               f"max {max(refused):.1f} ms")
    bench.note("revocation stored and published", statistics.median(listed), "ms", None, None,
               f"{statistics.median(told):.1f} ms of it as told in the answer")


def bench_exit(bench, badged):
    times = []
    for _ in range(50):
        with badged.agent(UID) as agent:
            agent.token()
            size = badged.state_dir.joinpath("audit.jsonl").stat().st_size
            agent.process.kill()
            begin = time.monotonic()
            agent.process.wait()
            with open(badged.state_dir / "audit.jsonl", "rb") as log:
                log.seek(size)
                while b'"session-end"' not in log.read():
                    log.seek(size)
                    if time.monotonic() - begin > 5:
                        raise SystemExit("bench: a session outlived its process by 5 s")
            times.append((time.monotonic() - begin) * 1000)
    bench.note("exit to key gone and on record", statistics.median(times), "ms", 10, "ms goal",
               f"max {max(times):.1f} ms")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    names = ["http", "new", "exchange", "proof", "tpm", "evidence", "evidence-check", "peers",
             "memory", "flood", "start", "exit", "introspection", "revocation"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default all")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    wanted = options.names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    bench = Bench(options.seconds, options.turns)
    print(f"{'':<34}{'badged':>12} {'':<8}{'limit, same run':>24}{'':4}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="badged-bench-") as directory:
        os.chmod(directory, 0o755)
        bare = BareServer(directory)
        try:
            with Badged(records=RECORDS, config=RATES) as badged:
                if "http" in wanted:
                    bench_http(bench, badged, bare)
                if "new" in wanted:
                    bench_signing(bench, badged, "fresh", "new token, durable audit")
                if "exchange" in wanted:  # a verification and a signature each
                    bench_signing(bench, badged, "exchange", "exchange, durable audit")
                if "proof" in wanted:
                    bench_signing(bench, badged, "proof", "proof")
                if "tpm" in wanted:
                    bench_tpm(bench, badged, directory)
                if "evidence" in wanted:
                    bench_evidence(bench, badged, directory)
                if "peers" in wanted:
                    bench_peers(bench)
                if "exit" in wanted:
                    bench_exit(bench, badged)
                if "introspection" in wanted:
                    bench_introspection(bench, badged)
                if "revocation" in wanted:
                    bench_revocation(bench, badged)
            if "memory" in wanted:
                with Badged(records=RECORDS, config=RATES) as badged:
                    bench_memory(bench, badged)
            if "flood" in wanted:
                with Badged(records=RECORDS, config=RATES) as badged:
                    bench_flood(bench, badged)
            if "start" in wanted:
                bench_start(bench)
            if "evidence-check" in wanted:
                bench_evidence_check(bench)
        finally:
            bare.stop()
    (ROOT / "build" / "bench.json").write_text(json.dumps(bench.results, indent=1) + "\n")
    print("build/bench.json has it")


main()
