"""What the documents name exists: links, tests, commands and options, keys, codes, kinds, limits, files."""
import functools
import re
import subprocess
import sys
import unittest

from documents import ROOT, page, pages

sys.path.insert(0, str(ROOT / "tests" / "scenarios"))
import harness  # noqa: E402


def source(*patterns):
    return "\n".join(path.read_text() for pattern in patterns for path in sorted(ROOT.glob(pattern)))


@functools.lru_cache(maxsize=None)
def help_of(program, *verbs):
    done = subprocess.run([harness.BUILD / program, *verbs, "--help"], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else None


def options_of(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


class Links(unittest.TestCase):
    def test_every_relative_link_resolves(self):
        for document in pages():
            for target in document.links():
                with self.subTest(f"{document.name}: {target}"):
                    path, _, anchor = target.partition("#")
                    file = (document.path.parent / path).resolve() if path else document.path
                    self.assertTrue(file.exists())
                    if anchor:
                        self.assertIn(anchor, page(file.relative_to(ROOT)).anchors())

    def test_every_file_of_the_repository_that_is_named_exists(self):
        folders = "keystore|attest|daemon|systemd|tests|scripts|docs"
        for document in pages():
            for word in document.code_words():
                for path in re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./-]*\w|\.ci/run)", word):
                    if not re.search(r"NAME|PART", path):
                        with self.subTest(f"{document.name}: {path}"):
                            self.assertTrue((ROOT / path).exists())

    def test_no_document_names_a_machines_paths_or_people(self):
        foreign = rf"{re.escape(str(ROOT))}\b|/root/|/home/\w|\.\./shared"
        for document in pages():
            with self.subTest(document.name):
                self.assertEqual(re.findall(foreign, document.text), [])


class ThreatModel(unittest.TestCase):
    """`file.py`: `test_a`, `test_b`; `file.cpp`: "name", "name"."""

    def named(self):
        text = page("docs/threat-model.md").text
        files = list(re.finditer(r"`([\w/]+\.(?:py|cpp))`:", text))
        ends = [found.start() for found in files[1:]] + [len(text)]
        for found, end in zip(files, ends):
            part = text[found.end():end].split(" |")[0]
            yield found[1], re.findall(r"`(test_\w+)`", part), re.findall(r'"([^"\n]+)"', part)

    def test_every_test_that_is_named_exists(self):
        count = 0
        for file, functions, cases in self.named():
            found = [path for path in ROOT.glob("tests/**/" + file) if "node_modules" not in path.parts]
            with self.subTest(file):
                self.assertEqual(len(found), 1)
                text = found[0].read_text()
                self.assertTrue(functions or cases, "no test is named")
                for name in functions:
                    self.assertTrue(f"def {name}(" in text, name)
                joined = re.sub(r'"\s*\n\s*"', "", text)
                for name in cases:
                    self.assertTrue(f'("{name}"' in joined or re.search(rf'\(\s*"{re.escape(name)}"', joined), name)
                count += len(functions) + len(cases)
        self.assertGreater(count, 60)

    def test_every_clause_has_a_row(self):
        text = page("docs/threat-model.md").text
        for number in (*range(1, 23), 25, 26, 27, 29, 30):
            with self.subTest(f"H{number}"):
                self.assertTrue(re.search(rf"\| H{number}\b", text), "no row")


class Commands(unittest.TestCase):
    def commands(self):
        for document in pages():
            for text in [*document.code_words(), *document.commands()]:
                for found in re.finditer(r"(?:^|[\s(|;`'\"])(badgectl|badge-verifier|badged)((?: [^\n|;&`)'\"]*)?)", text):
                    yield document.name, found[1], found[2].split()

    def test_verbs_and_options_are_those_of_help(self):
        tops = {name: help_of(name) for name in ("badged", "badgectl", "badge-verifier")}
        self.assertTrue(all(tops.values()))
        verbs = {name: re.findall(r"^  ([a-z]+) {2,}", text.partition("Subcommands:")[2], re.M) for name, text in tops.items()}
        count = 0
        for document, program, words in self.commands():
            before_dashes = words[:words.index("--")] if "--" in words else words
            used = {option for word in before_dashes for option in options_of(word)}
            verb = next((word for word in before_dashes if word in verbs[program]), None)
            known, text = options_of(tops[program]), tops[program]
            if verb:
                below = re.findall(r"^  ([a-z]+) {2,}", (help_of(program, verb) or "").partition("Subcommands:")[2], re.M)
                sub = next((word for word in before_dashes if word in below), None)
                text = help_of(program, verb, *([sub] if sub else []))
                known |= options_of(text)
            with self.subTest(f"{document}: {program} {' '.join(words)}"):
                self.assertLessEqual(used, known)
                if verb is None and before_dashes and re.fullmatch("[a-z]+", before_dashes[0]) and program == "badgectl":
                    self.fail(f"{before_dashes[0]} is no verb")
            count += 1
        self.assertGreater(count, 50)

    def test_every_verb_is_documented(self):
        text = "\n".join(document.text for document in pages())
        for verb in re.findall(r"^  ([a-z]+) {2,}", help_of("badgectl").partition("Subcommands:")[2], re.M):
            with self.subTest(verb):
                self.assertTrue(re.search(rf"badgectl {verb}\b", text), "it is nowhere")

    def test_exit_codes_are_those_of_the_programs(self):
        enum = re.search(r"enum class Exit \{(.*?)\}", source("daemon/ctl/outcome.h"))[1]
        codes = re.findall(r"= (\d)", enum)
        rows = re.findall(r"^\| (\d) \| ", page("docs/protocol.md").text, re.M)
        self.assertEqual(rows, codes)


class Protocol(unittest.TestCase):
    def setUp(self):
        self.text = page("docs/protocol.md").text

    def assert_all(self, found, at_least):
        self.assertGreater(len(found), at_least)
        for word in sorted(found):
            with self.subTest(word):
                self.assertTrue(word in self.text, "it is not in docs/protocol.md")

    def test_every_call_is_documented_and_no_other(self):
        rows = re.findall(r"Row\{\{Method::(\w+), \"([^\"]+)\"", source("daemon/calls/table.cpp"))
        self.assertGreater(len(rows), 10)
        documented = re.findall(r"^\| `(GET|POST) ([^`?]+)(?:\?[^`]*)?` \|", self.text, re.M)
        self.assertEqual(sorted((method.upper(), path + ("NAME" if path.endswith("/") else "")) for method, path in rows),
                         sorted(documented))

    def test_every_error_code_is_documented(self):
        code = source("daemon/calls/*.cpp", "daemon/policy/*.cpp", "daemon/front/*.cpp")
        self.assert_all({"`" + name + "`" for name in re.findall(
            r'"((?:invalid|unsupported|unauthorized|temporarily|access|not)_[a-z_]+)"', code)} - {"`not_checked`"}, 8)

    def test_every_audit_kind_is_documented(self):
        code = source("daemon/**/*.cpp")
        kinds = set(re.findall(r'Entry(?: entry)?\("([a-z-]+)"\)', code)) | set(re.findall(r'entry_about\("([a-z-]+)"', code)) | \
            set(re.findall(r'deny\(context, "([a-z-]+)"', code))
        self.assert_all({"`" + kind + "`" for kind in kinds}, 9)

    def test_every_reason_of_peers_is_documented_with_its_kind(self):
        rows = re.findall(r'\{PeerRefusal::\w+, Errc::\w+, (true|false), "([a-z-]+)"', source("daemon/peers/refusal.cpp"))
        self.assertGreater(len(rows), 20)
        for finding, name in rows:
            with self.subTest(name):
                marked = r"\*" if finding == "true" else r"(?!\*)"
                self.assertTrue(re.search(rf"`{name}`" + marked, self.text), "absent, or marked wrongly")

    def test_limits_are_those_of_the_headers(self):
        rows = re.findall(r"^\| `(\w+)`: `(k\w+[^`]*)` \|", self.text, re.M)
        self.assertGreater(len(rows), 15)
        for part, constant in rows:
            with self.subTest(constant):
                header = source(f"daemon/{part}/limits.h", f"{part}/limits.h")
                self.assertTrue(constant + ";" in header, "limits.h has it not, or another value")

    def test_every_claim_and_form_field_is_documented(self):
        fields = re.findall(r'FieldShape\{"([a-z_]+)"', source("daemon/calls/table.cpp"))
        claims = re.findall(r'member\(out, "([a-z_0-9]+)"', source("daemon/tokens/mint.cpp"))
        self.assert_all(set(fields) | set(claims), 20)


class Keys(unittest.TestCase):
    def keys(self, *files):
        code = source(*files)
        call = r'(?:text|word|table|tables|flag|number|duration|date|texts|any|read_path|read_rate|read_permission|scale|words)'
        return set(re.findall(call + r'(?:<\w+>)?\((?:\w+, )?"([a-z_0-9]+)"', code)) - {"adaptive"}

    def test_every_configuration_and_record_key_is_in_the_guide(self):
        text = page("docs/admin-guide.md").text
        for files in (("daemon/config/config.cpp", "daemon/config/subject_issuers.cpp"), ("daemon/agents/record_parse.cpp",)):
            keys = self.keys(*files)
            self.assertGreater(len(keys), 15)
            for key in sorted(keys):
                with self.subTest(f"{files[0]}: {key}"):
                    self.assertTrue(re.search(rf"\b{key} = |\[+{key}\b", text), "it is not in the guide")

    def test_the_key_stores_conditions_and_hints_are_in_the_guide(self):
        text = page("docs/admin-guide.md").text
        for condition in re.findall(r'return "([a-z-]+)"', source("keystore/store.cpp")):
            if condition != "unknown":
                with self.subTest(condition):
                    self.assertTrue(f"| `{condition}` |" in text, "no row")
        code = re.sub(r'"\s*\n\s*"', "", source("keystore/tpm/*.cpp"))
        for quote in re.findall(r'"([^"\n`]{25,})"', text.partition("## The key store's conditions")[2].partition("### Re-enrol")[0]):
            with self.subTest(quote):
                self.assertTrue(quote in code, "the key store does not say so")


if __name__ == "__main__":
    unittest.main()
