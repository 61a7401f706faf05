"""badge-verifier quote, as people and scripts call it. Arguments: the program, the folder of vectors.

Quotes of real machines are tried where the folder of fixtures is at hand (BADGED_FIXTURES, or
../shared/fixtures beside the repository).
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

VECTORS = sys.argv.pop(2)
PROGRAM = sys.argv.pop(1)
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIXTURES = os.environ.get("BADGED_FIXTURES") or os.path.join(os.path.dirname(REPOSITORY), "shared", "fixtures")

GCE = "google__go-tpm-tools/internal/test/attestations"
IMMUNE = "immune-gmbh__guard-oss/apisrv/test"
KEYLIME = "keylime__keylime"


def vector(name):
    return os.path.join(VECTORS, "tpm", name)


def quote(ak, attest, signature, *options, stdin=b""):
    done = subprocess.run(
        [PROGRAM, "quote", "--ak", ak, "--attest", attest, "--signature", signature, "--json", *options],
        input=stdin, capture_output=True, check=False,
    )  # fmt: skip
    answer = json.loads(done.stdout) if done.stdout else None
    return done.returncode, answer, done.stderr.decode()


def good(*options, **kwargs):
    return quote(vector("ak.public"), vector("quote.attest"), vector("quote.signature"), *options, **kwargs)


class Verdicts(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def write(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    def zero_pcrs(self, numbers=(0, 1, 7), bank="sha256", digits=64):
        return self.write("pcrs.json", json.dumps({bank: {str(n): "0" * digits for n in numbers}}))

    def test_accepts_a_good_quote_and_names_what_it_did_not_check(self):
        code, answer, _ = good("--nonce", "00112233")
        self.assertEqual(code, 0, answer)
        self.assertTrue(answer["valid"])
        self.assertEqual(answer["quote"]["selection"], "sha256:0,1,7")
        self.assertIn("pcr_values", answer["not_checked"])
        self.assertIn("enrolment", answer["not_checked"])
        self.assertNotIn("nonce", answer["not_checked"])
        self.assertEqual({c["check"]: c["result"] for c in answer["checks"]}["nonce"], "pass")
        self.assertEqual(set(answer["not_checked_because"]), set(answer["not_checked"]))

    def test_compares_the_nonce_whole_and_in_either_case(self):
        self.assertEqual(good("--nonce", "00112233")[0], 0)
        for nonce in ("", "001122", "0011223300", "00112234"):
            code, answer, _ = good("--nonce", nonce)
            self.assertEqual((code, answer["reason"]), (1, "nonce"), nonce)
        for nonce in ("0", "xx", "0x00112233", "00" * 67):
            self.assertEqual(good("--nonce", nonce)[0], 2, nonce)

    def test_recomputes_the_digest_over_the_given_values(self):
        code, answer, _ = good("--nonce", "00112233", "--pcrs", self.zero_pcrs())
        self.assertEqual(code, 0, answer)
        self.assertNotIn("pcr_values", answer["not_checked"])
        for numbers in ((0, 1), (0, 1, 7, 8), ()):
            code, answer, _ = good("--pcrs", self.zero_pcrs(numbers))
            self.assertEqual((code, answer["reason"]), (1, "pcr_values"), numbers)
        code, answer, _ = good("--pcrs", self.zero_pcrs(bank="sha1", digits=40))
        self.assertEqual((code, answer["reason"]), (1, "pcr_values"))
        self.assertEqual(good("--pcrs", self.zero_pcrs(bank="sm3_256"))[0], 1)
        self.assertEqual(good("--pcrs", self.zero_pcrs(digits=63))[0], 3)

    def test_a_refusal_has_the_shape_of_every_refusal_and_the_checks(self):
        code, answer, stderr = quote(vector("ak_rsassa.public"), vector("quote.attest"), vector("quote.signature"))
        self.assertEqual(code, 1)
        for member in ("error", "error_description", "hint", "correlation_id", "reason", "checks", "not_checked"):
            self.assertIn(member, answer)
        self.assertEqual(stderr, "")

    def test_tells_refused_from_malformed_from_misused(self):
        attest, signature = vector("quote.attest"), vector("quote.signature")
        self.assertEqual(quote(vector("ak_unrestricted.public"), attest, signature)[0], 1)
        self.assertEqual(quote(vector("ak.public"), vector("time.attest"), vector("time.signature"))[0], 1)
        self.assertEqual(quote(vector("ak.public"), attest, self.write("s", b"\0"))[0], 3)
        self.assertEqual(quote(self.write("k", "no key"), attest, signature)[0], 3)
        self.assertEqual(quote(vector("ak.public"), self.write("a", b"x" * 5000), signature)[0], 3)
        self.assertEqual(quote("/nonexistent", attest, signature)[0], 3)
        self.assertEqual(quote("-", "-", signature)[0], 2)
        with open(vector("ak.public"), "rb") as file:
            area = file.read()
        code, answer, _ = quote(self.write("sha1-name", area[:2] + b"\0\x04" + area[4:]), attest, signature)
        self.assertEqual((code, answer["reason"]), (1, "algorithm"))

    def test_says_what_to_do_with_the_files_that_other_tools_write(self):
        ak, attest, signature = (vector(name) for name in ("ak.public", "quote.attest", "quote.signature"))
        with open(attest, "rb") as file:
            bare = file.read()
        certificate = self.write("crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        plain = self.write("plain", b"\x30\x06\x02\x01\x01\x02\x01\x01")  # tpm2_quote -f plain
        sized = self.write("sized", len(bare).to_bytes(2, "big") + bare)  # a TPM2B_ATTEST
        for files, exit_code, wanted in (
            ((certificate, attest, signature), 3, "openssl x509 -pubkey -noout"),
            ((ak, attest, plain), 3, "without -f plain"),
            ((ak, sized, signature), 1, "TPM2B"),
        ):
            code, answer, _ = quote(*files)
            self.assertEqual(code, exit_code, answer)
            self.assertIn(wanted, answer["hint"])

    def test_reads_any_one_file_from_standard_input(self):
        files = [vector("ak.public"), vector("quote.attest"), vector("quote.signature")]
        for at, path in enumerate(files):
            with open(path, "rb") as content:
                given = files[:at] + ["-"] + files[at + 1 :]
                self.assertEqual(quote(*given, stdin=content.read())[0], 0, path)
        self.assertEqual(good("--pcrs", "-", stdin=json.dumps({"sha256": {n: "0" * 64 for n in "017"}}).encode())[0], 0)

    def test_reads_a_shells_substitutions_and_a_fifo(self):
        ak, attest, signature = (vector(name) for name in ("ak.public", "quote.attest", "quote.signature"))
        done = subprocess.run(
            ["bash", "-c", '"$0" quote --ak <(cat "$1") --attest <(cat "$2") --signature "$3"',
             PROGRAM, ak, attest, signature], capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        writer = subprocess.Popen(["cp", attest, fifo])
        self.addCleanup(writer.wait)
        self.addCleanup(writer.kill)  # it waits for a reader, also where none comes
        self.assertEqual(quote(ak, fifo, signature)[0], 0)
        self.assertEqual(writer.wait(60), 0)

    def test_reads_no_device(self):
        code, answer, _ = quote(vector("ak.public"), "/dev/zero", vector("quote.signature"))
        self.assertEqual((code, answer["error"]), (3, "invalid_input"))
        self.assertIn("/dev/zero", answer["error_description"])

    def test_prints_for_people_without_json(self):
        done = subprocess.run(
            [PROGRAM, "quote", "--ak", vector("ak.public"), "--attest", vector("quote.attest"),
             "--signature", vector("quote.signature")], capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0)
        self.assertIn("good: a quote over sha256:0,1,7", done.stdout)
        self.assertIn("not checked  nonce", done.stdout)


@unittest.skipUnless(os.path.isdir(FIXTURES), "SKIPPED: no fixtures of real machines here (set BADGED_FIXTURES)")
class RealMachines(unittest.TestCase):
    def try_quote(self, folder, ak, attest, signature, *options, exit_code=0, reason=None):
        at = lambda name: os.path.join(FIXTURES, folder, name)  # noqa: E731
        self.tried.add(os.path.join(folder, attest))
        options = [at(o) if o.endswith(".json") else o for o in options]
        code, answer, _ = quote(at(ak), at(attest), at(signature), *options)
        self.assertEqual(code, exit_code, (folder, attest, answer))
        if reason:
            self.assertEqual(answer["reason"], reason)
        return answer

    def test_every_quote_of_the_manifest_verifies_or_is_refused_as_its_row_says(self):
        self.tried = set()
        swtpm = "derived/swtpm"
        self.try_quote(swtpm, "ak.pem", "quote_pcr0-7_10.tpms_attest", "quote_pcr0-7_10.tpmt_signature", "--nonce", "00112233")
        self.try_quote(swtpm, "ak.pem", "nv_certify.tpms_attest", "nv_certify.tpmt_signature", "--nonce", "00112233",
                       exit_code=1, reason="not_attested")
        self.try_quote(swtpm, "unrestricted_key.pem", "wrong_magic.attest", "wrong_magic.tpmt_signature",
                       exit_code=1, reason="not_attested")
        for machine in ("failed-1", "good-1", "latitude-7520"):
            self.try_quote(f"{IMMUNE}/{machine}.evidence.d", "ak.recovered.pem", "quote.tpms_attest",
                           "quote.tpmt_signature", "--pcrs", "pcrs.json")
        for machine, nonce in (("gce-cos-85-no-nonce", ""), ("gce-cos-85-nonce9009", "9009")):
            for bank in ("sha1", "sha256", "sha384"):
                answer = self.try_quote(f"{GCE}/{machine}.pb.d", "ak.tpmt_public", f"quote.{bank}.tpms_attest",
                                        f"quote.{bank}.tpmt_signature", "--nonce", nonce, "--pcrs", f"pcrs.{bank}.json")
                results = {c["check"]: c["result"] for c in answer["checks"]}
                self.assertEqual(results["banks"], "warning" if bank == "sha1" else "pass")
                self.assertEqual(results["qualified_signer"], "pass")
        for ak in ("ak.pub", "akpub.pem"):
            self.try_quote(f"{KEYLIME}/test-data/files", ak, "quote.out", "quotesig.out")
        nonce = b"Ai5M5SjYjnkyv4P7itH1".hex()
        self.try_quote(f"{KEYLIME}/extracted/tpm_util_test.checkquote.d", "ak.spki.der", "quoteblob.bin", "sigblob.bin",
                       "--nonce", nonce)
        for machine in ("uki-secureboot", "seabios"):
            self.try_quote(f"qemu-debian12/{machine}", "ak.pub", "quote.msg", "quote.sig", "--nonce", "aabbccdd")
        self.try_quote("google__go-attestation/extracted/activation_test.0", "ak.tpmt_public", "creation_attest",
                       "creation_sig", exit_code=1, reason="algorithm")
        self.assertEqual(self.rows() - self.tried, set(), "rows of the manifest that no line above tries")

    def rows(self):
        """The statements that the manifest or the folder has: a new one must be added above."""
        found = set()
        for folder, _, files in os.walk(FIXTURES):
            for name in files:
                if name.endswith(("tpms_attest", ".attest", "_attest")) or name in ("quote.msg", "quote.out", "quoteblob.bin"):
                    found.add(os.path.relpath(os.path.join(folder, name), FIXTURES))
        return found


if __name__ == "__main__":
    unittest.main()
