"""What the tests of tokens and proofs share: a badged with an agent of each tier."""
import os
import unittest

from harness import AUDIENCE, Badged, Granting, record

URL = AUDIENCE + "api/x"
LOW, HIGH, BASE, LONG, BRIEF, TWO, TWIN, ABSENT = range(61001, 61009)
TWO_TARGETS = record("two", match=f"uid = {TWO}", grant="""
urls = ["https://ledger.example.org/api/"]
[[grant]]
audience = "https://mail.example.org/"
scope = ["mail.send"]
authorization_details_types = ["message", "folder"]
""")
RECORDS = {
    "low": record("low", match=f"uid = {LOW}"),
    "high": record("high", match=f"uid = {HIGH}", autonomy="high", access="admin",
                   grant='max_lifetime = "1h"'),
    "base": record("base", match=f"uid = {BASE}", access="public-read",
                   grant='bearer = true\nmax_lifetime = "12h"'),
    "long": record("long", match=f"uid = {LONG}", grant='max_lifetime = "12h"'),
    "brief": record("brief", match=f"uid = {BRIEF}", grant='max_lifetime = "2s"'),
    "two": TWO_TARGETS,
    "twin": record("twin", match=f"uid = {TWIN}", grant='max_lifetime = "4s"'),
}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to start agents of other users")


class Case(Granting, unittest.TestCase):
    """One badged for all: each test starts processes, thus sessions, of its own."""

    @classmethod
    def setUpClass(cls):
        cls.badged = Badged(records=RECORDS).__enter__()
        cls.addClassCleanup(cls.badged.__exit__)

    def proved(self, agent, token, *arguments, **fields):
        status, answer = agent.proof(token, *arguments, **fields)
        self.assertEqual(status, 200, answer)
        return answer["dpop"]

    def refused(self, answer, status, error):
        self.assertEqual((answer[0], answer[1].get("error")), (status, error), answer)
        self.assertTrue(answer[1]["error_description"])
        self.assertTrue(answer[1]["correlation_id"])
        return answer[1]
