"""The shipped units on a live systemd (a container), with badged on a TPM simulator: the sandbox holds
badged up, sockets outlive it, and an agent that is a unit does the whole flow with curl alone.

BADGED_BUILD names the build directory (ctest sets it).
"""

import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tools  # noqa: E402

for folder in ("scenarios", os.path.join("scenarios", "nspawn")):
    sys.path.insert(0, os.path.join(tools.REPOSITORY, "tests", folder))
import harness  # noqa: E402
import machine  # noqa: E402

PORT = 8460
RESOURCE = f"http://127.0.0.1:{PORT}/api/invoices"

# What any program can do with curl: ask for a token, ask for a proof, call.
FLOW = r"""
set -eu
badged() { curl -sS --fail-with-body --unix-socket /run/badged/agent.sock "$@"; }
member() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
TOKEN=$(badged http://localhost/v1/token -d grant_type=client_credentials --data-urlencode "audience=AUDIENCE" | member access_token)
PROOF=$(badged http://localhost/v1/proof -H 'Content-Type: application/json' \
        -d '{"method":"GET","url":"RESOURCE","access_token":"'"$TOKEN"'"}' | member dpop)
curl -sS --fail-with-body -H "Authorization: DPoP $TOKEN" -H "DPoP: $PROOF" RESOURCE
echo; echo "again, with the same proof:"
curl -sS -H "Authorization: DPoP $TOKEN" -H "DPoP: $PROOF" RESOURCE
echo; echo "with badgectl:"
badgectl curl RESOURCE -- -sS
echo; badgectl whoami
""".replace("AUDIENCE", harness.AUDIENCE).replace("RESOURCE", RESOURCE)

SCRIPT = f"""
set -eu
systemd-sysusers badged.conf
systemd-tmpfiles --create badged.conf
install -o root -g badged -m 0640 /scenario/badged.toml /etc/badged/badged.toml
install -o root -g badged -m 0640 /scenario/curl-agent.toml /etc/badged/agents.d/curl-agent.toml
useradd --system --no-create-home curl-agent
useradd --system --no-create-home --groups badged-admin watcher

echo "== sockets"; systemctl start badged.socket badged-admin.socket
stat -c '%n %a %U %G' /run/badged/agent.sock /run/badged/admin /run/badged/admin/admin.sock
echo "== start"; systemctl start badged.service || {{ journalctl -u badged --no-pager; exit 1; }}
for turn in $(seq 1200); do badgectl --json status | grep -q '"condition":"ready"' && break; sleep 0.05; done
badgectl status
echo "== operator"; setpriv --reuid watcher --regid watcher --init-groups badgectl status
echo "== no operator"; setpriv --reuid curl-agent --regid curl-agent --clear-groups badgectl status || echo "exit $?"
echo "== reload"; systemctl reload badged.service; badgectl reload
echo "== doctor"; badgectl doctor || echo "doctor exit $?"

echo "== flow"
cp /var/lib/badged/publish/jwks.json /scenario/jwks
/usr/bin/python3 /scenario/resource-server.py /scenario/jwks {harness.ISSUER} {harness.AUDIENCE} {PORT} >/scenario/server &
until grep -q listening /scenario/server; do sleep 0.05; done
systemctl start curl-agent.service || {{ echo "curl-agent failed"; journalctl -u curl-agent -u badged --no-pager; exit 1; }}
journalctl -u curl-agent --no-pager -o cat
echo "== stranger"; badgectl token --audience {harness.AUDIENCE} || echo "exit $?"
systemctl show badged -p NRestarts -p StatusText -p MainPID
echo "== stop"; systemctl stop badged.service
ls /run/badged/agent.sock /run/badged/admin/admin.sock
systemctl show badged -p Result
echo "== activation"; badgectl status; systemctl is-active badged.service
badgectl audit verify
"""


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if tools.missing():
            raise unittest.SkipTest(tools.missing())
        machine.root()
        cls.directory = tempfile.mkdtemp(prefix="service-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        tpm = harness.SimulatedTpm(os.path.join(cls.directory, "tpm")).start()
        cls.addClassCleanup(tpm.stop)
        path = tpm.tcti.split("path=")[1].split(",")[0]
        os.chmod(cls.directory, 0o755)
        os.chmod(os.path.dirname(path), 0o755)
        for socket in (path, path + ".ctrl"):
            os.chmod(socket, 0o666)
        cls.outcome = machine.run(SCRIPT, units=cls.units(), files=cls.files(tpm.tcti.replace(path, "/tpm/" + os.path.basename(path))),
                                  binds=cls.binds(), writable={os.path.dirname(path): "/tpm"}, timeout=180)

    @staticmethod
    def units():
        units = {}
        for name in ("badged.service", "badged.socket", "badged-admin.socket"):
            with open(os.path.join(tools.REPOSITORY, "systemd", name)) as file:
                units[name] = file.read()
        units["curl-agent.service"] = ("[Service]\nType=oneshot\nUser=curl-agent\nExecStart=/bin/sh /scenario/flow\n")
        return units

    @staticmethod
    def files(tcti):
        with open(os.path.join(tools.EXAMPLES, "resource-server.py")) as file:
            server = file.read()
        return {"badged.toml": f'issuer = "{harness.ISSUER}"\ntrust_domain = "example.org"\nhost = "build-7"\n'
                               f'[keystore]\nkind = "tpm"\ntcti = "{tcti}"\n',
                "curl-agent.toml": harness.record("curl-agent", match='unit = "curl-agent.service"', binding="unit",
                                                  grant=f'urls = ["http://127.0.0.1:{PORT}/api"]'),
                "flow": FLOW, "resource-server.py": server}

    @classmethod
    def binds(cls):
        binds = {str(harness.BUILD / name): "/usr/bin/" + name for name in ("badged", "badgectl")}
        for name in ("sysusers", "tmpfiles"):
            binds[os.path.join(tools.REPOSITORY, "systemd", "badged." + name)] = f"/usr/lib/{name}.d/badged.conf"
        binds["/usr/lib/python3/dist-packages"] = "/usr/lib/python3/dist-packages"
        for program in ("badged", "badgectl"):
            binds.update(machine.libraries(str(harness.BUILD / program)))
        return binds

    def part(self, name):
        output = self.outcome.output
        self.assertIn("== " + name + "\n", output)
        return output.split("== " + name + "\n")[1].split("\n== ")[0]

    def test_the_scenario_ends_well(self):
        self.assertEqual(self.outcome.code, 0, self.outcome.output + self.outcome.journal[-3000:])

    def test_sockets_have_the_modes_and_owners_of_the_contract(self):
        self.assertEqual(self.part("sockets").split("\n")[:3],
                         ["/run/badged/agent.sock 666 root root", "/run/badged/admin 750 root badged-admin",
                          "/run/badged/admin/admin.sock 660 root badged-admin"])

    def test_badged_runs_in_its_sandbox_without_a_restart(self):
        self.assertIn("tpm, ready", self.part("start"))
        self.assertIn("NRestarts=0", self.outcome.output)

    def test_an_operator_of_the_group_may_and_another_user_may_not(self):
        self.part("operator")
        self.assertIn("exit 4", self.part("no operator"))

    def test_curl_alone_does_the_whole_flow_for_a_unit(self):
        flow = self.part("flow")
        self.assertIn('{"ok": true, "sub": "spiffe://example.org/host/build-7/agent/curl-agent"', flow)
        again = flow.split("again, with the same proof:")[1]
        self.assertIn("invalid_dpop_proof", again.split("with badgectl:")[0])
        self.assertIn('"ok": true', again.split("with badgectl:")[1])

    def test_a_stranger_gets_nothing(self):
        self.assertIn("unauthorized_client", self.part("stranger"))
        self.assertIn("exit 1", self.part("stranger"))

    def test_sockets_outlive_the_service_and_bring_it_back(self):
        stop = self.part("stop")
        self.assertIn("/run/badged/admin/admin.sock\n/run/badged/agent.sock\n", stop)
        self.assertIn("Result=success", stop)
        self.assertIn("active", self.part("activation"))
        self.assertIn("intact", self.part("activation"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
