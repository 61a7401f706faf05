"""What strangers can send: one request has one meaning, or none (H8)."""
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from front_case import JWKS, LOW, Case, get, post, setUpModule  # noqa: E402


class Shapes(Case):
    """H8: one request has one meaning, or none."""

    def refused(self, cases, statuses):
        for name, data in cases.items():
            with self.subTest(name):
                got = self.statuses(data)
                self.assertEqual(len(got), 1, self.raw(data))
                self.assertIn(got[0], statuses)
        self.assertEqual(self.statuses(JWKS), [200])

    def test_two_lengths_or_a_length_and_a_coding_are_refused(self):
        body = b"grant_type=client_credentials"
        self.refused({
            "two equal lengths": post(body, b"Content-Length: 29"),
            "two different lengths": post(body, b"Content-Length: 0"),
            "length and chunked": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked"),
            "chunked": get(b"Transfer-Encoding: chunked"),
            "chunked nonsense": get(b"Transfer-Encoding: xchunked, identity") + b"zz\r\n",
            "coding with odd case": get(b"tRANSFER-eNCODING:\tchunked"),
            "coding hidden by a space": get(b"Transfer-Encoding : chunked"),
            "length list": get(b"Content-Length: 0, 0"),
            "length with sign": get(b"Content-Length: +0"),
            "negative length": get(b"Content-Length: -1"),
            "hexadecimal length": get(b"Content-Length: 0x10"),
            "length of 20 digits": get(b"Content-Length: 18446744073709551617"),
        }, (400, 411, 413))

    def test_folded_lines_bare_line_feeds_and_nul_are_refused(self):
        for name, data in {
                "folded": get(b"X: a\r\n b"), "folded by a tab": get(b"X: a\r\n\tTransfer-Encoding: x"),
                "folded first": b"GET /v1/jwks HTTP/1.1\r\n Host: x\r\n\r\n",
                "bare line feed within": get(b"X: a\nTransfer-Encoding: chunked"),
                "bare line feeds": b"GET /v1/jwks HTTP/1.1\nHost: x\n\n",
                "bare carriage return": get(b"X: a\rb"),
                "nul in the target": get(target=b"/v1/jwks\0"), "nul in a value": get(b"X: a\0b"),
                "nul in a name": get(b"X\0: a"), "nul alone": b"\0" * 100 + b"\r\n\r\n",
                "space before the colon": get(b"X : a"), "no colon": get(b"Xa"),
                "empty name": get(b": a"), "escape": get(b"X: \x1b[2J")}.items():
            with self.subTest(name):
                self.assertFalse([s for s in self.statuses(data) if s < 400], self.raw(data))
        self.assertEqual(self.statuses(JWKS), [200])

    def test_other_targets_than_the_paths_themselves_are_no_calls(self):
        self.refused({repr(target): get(target=target) for target in (
            b"http://localhost/v1/jwks", b"//v1/jwks", b"/v1//jwks", b"/v1/../v1/jwks", b"/v1/jwks/",
            b"/V1/JWKS", b"/v1/jwks%00", b"/v1/%6awks", b"*", b"v1/jwks", b"/", b"/v1/jwks?x=1",
            b"/v1/jwks#x", b"/v1/jwks;x", b"/v1/status", b"/" + b"a" * 7000)}, (400, 404))

    def test_other_versions_and_methods_are_refused(self):
        self.refused({
            "1.0": get(version=b"HTTP/1.0"), "2.0": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "0.9": b"GET /v1/jwks\r\n\r\n", "1.2": get(version=b"HTTP/1.2"),
            "lower case": get(version=b"http/1.1"), "HEAD": get().replace(b"GET", b"HEAD"),
            "CONNECT": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            "PUT": get().replace(b"GET", b"PUT"), "unknown": get().replace(b"GET", b"FOO"),
            "no host": get(host=b"X: y"), "two hosts": get(b"Host: y"),
            "expect": post(b"a=b", b"Expect: 100-continue"), "TLS": b"\x16\x03\x01\x02\x00\r\n\r\n",
        }, (400, 404, 405, 417, 505))

    def test_what_is_too_large_is_refused_before_it_is_read(self):
        self.refused({"header": get(b"X: " + b"a" * 9000)}, (431,))
        self.refused({"header without end": b"GET /v1/jwks HTTP/1.1\r\n" + b"X: a\r\n" * 3000}, (431,))
        self.refused({"65 fields": get(*[b"X: a"] * 65)}, (431,))
        self.refused({"body": post(b"", length=65537), "body of a TB": post(b"", length=2**40)}, (413,))
        self.refused({"fields": post(b"a=b&" * 50), "one field": post(b"scope=" + b"a" * 20000),
                      "body of a GET": get(b"Content-Length: 5") + b"hello"}, (400,))

    def test_a_refusal_can_be_read_although_the_body_is_still_being_written(self):
        for _ in range(20):
            with self.badged.agent(LOW) as agent:
                status, answer = agent.token({"DPoP": "x"}, scope="a" * 60000)
                self.assertEqual((status, answer["error"]), (400, "invalid_request"))

    def test_pipelined_requests_are_answered_in_their_order(self):
        other = get(target=b"/.well-known/oauth-authorization-server")
        data = self.raw(JWKS + other + JWKS)
        self.assertEqual(re.findall(rb'\{"(keys|issuer)"', data), [b"keys", b"issuer", b"keys"])
        self.assertEqual(self.statuses(JWKS + b"nonsense\r\n\r\n" + JWKS), [200, 400])
        self.assertEqual(self.statuses(get(b"Connection: close") + JWKS), [200])

    def test_a_body_that_looks_like_a_request_is_a_body(self):
        inner = get(target=b"/v1/whoami")
        self.assertEqual(self.statuses(post(inner) + JWKS), [400])  # no form: refused, and closed
        self.assertEqual(self.statuses(post(JWKS, length=len(JWKS) + 5)), [])  # it never ends

    def test_a_request_may_come_a_byte_at_a_time(self):
        request = get(b"X: y")
        self.assertEqual(self.statuses(*(request[i:i + 1] for i in range(len(request)))), [200])

    def test_every_refusal_is_json_with_a_code_and_an_id(self):
        for data in (b"x\r\n\r\n", get(target=b"/"), get(b"X: " + b"a" * 9000)):
            body = json.loads(self.raw(data).partition(b"\r\n\r\n")[2])
            self.assertTrue(body["error"] and body["error_description"] and body["correlation_id"])


if __name__ == "__main__":
    unittest.main()
