"""Evidence while others ask for it, do not read it, or the TPM is away: bounded, and served again afterwards."""
import json
import os
import socket
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from evidence_case import AT_ONCE_EACH, IMA_LOG_LIMIT, LOW, Case, ask, fresh, setUpModule  # noqa: E402
from harness import DEADLINE, call, part, wait_for  # noqa: E402


class Busy(Case):
    """Evidence under way is bounded, for each agent and in all; the next is told at once."""

    def test_an_agents_third_at_once_is_refused_while_two_wait_for_the_tpm(self):
        badged = self.start()
        agents = [self.agent(LOW, badged) for _ in range(AT_ONCE_EACH + 1)]
        for agent in agents:
            self.assertEqual(agent.token()[0], 200)  # each has its session
        answers = []
        with badged.tpm.stopped():
            waiting = [threading.Thread(target=lambda a=agent: answers.append(
                a.call("POST", "/v1/evidence", ask()))) for agent in agents]
            for thread in waiting:
                thread.start()
                self.addCleanup(thread.join)
            [status, answer] = wait_for(lambda: answers, "the one too many to be refused")[0]
            self.assertEqual((status, answer["error"]), (503, "temporarily_unavailable"))
            self.assertEqual(len(answers), 1)
        for thread in waiting:
            thread.join()
        self.assertEqual([status for status, _ in answers], [503, 200, 200])

    def test_who_does_not_read_holds_a_place_until_it_goes(self):
        with tempfile.NamedTemporaryFile() as log:
            log.write(b"x" * IMA_LOG_LIMIT)
            log.flush()
            badged = self.start(config=f'[evidence]\nima_log = "{log.name}"')
            body = json.dumps(ask()).encode()
            request = (b"POST /v1/evidence HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(body)) + body
            readers = []
            for _ in range(AT_ONCE_EACH):
                reader = socket.socket(socket.AF_UNIX)
                self.addCleanup(reader.close)
                reader.connect(str(badged.admin_socket))
                reader.settimeout(DEADLINE)
                reader.sendall(request)
                self.assertEqual(reader.recv(15), b"HTTP/1.1 200 OK")  # the rest stays there
                readers.append(reader)
            status, headers, answer = call(badged.admin_socket, "POST", "/v1/evidence", ask())
            self.assertEqual((status, headers["Retry-After"]), (503, "1"), answer)
            self.made(self.agent(LOW, badged))
            readers[0].close()
            wait_for(lambda: call(badged.admin_socket, "POST", "/v1/evidence", ask())[0] == 200,
                     "the place to be free again")


class Away(Case):
    def test_h26_without_its_tpm_it_is_unavailable_and_back_again_with_it(self):
        badged = self.start()
        agent = self.agent(LOW, badged)
        self.made(agent)
        badged.tpm.kill()
        for answer in (agent.call("POST", "/v1/evidence", ask()),
                       call(badged.admin_socket, "POST", "/v1/evidence", ask())[::2]):
            self.assertEqual((answer[0], answer[1]["error"]), (503, "temporarily_unavailable"))
        badged.tpm.start()
        wait_for(lambda: badged.status()["keystore"]["condition"] == "ready", "the TPM to be back")
        challenge = fresh()
        evidence = self.made(agent, challenge=challenge)
        self.check_quote(badged, evidence, challenge, part(evidence, 1)["cnf"]["jkt"])


if __name__ == "__main__":
    unittest.main()
