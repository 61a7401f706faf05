"""The bash completions, loaded into bash, against what the programs themselves say in --help.

BADGECTL and BADGE_VERIFIER name the programs (ctest sets them).
"""

import os
import re
import subprocess
import tempfile
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = {"badgectl": os.environ.get("BADGECTL"), "badge-verifier": os.environ.get("BADGE_VERIFIER")}

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { :; }
"_${COMP_WORDS[0]//-/_}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words, cwd="/"):
    """What follows `words`, the last of which is being typed."""
    file = os.path.join(REPOSITORY, "scripts", "completion", words[0])
    result = subprocess.run(["bash", "--norc", "--noprofile", "-euc", ASK, "bash", file, *words], cwd=cwd,
                            capture_output=True, text=True, timeout=30)
    if result.returncode != 0 or result.stderr:
        raise AssertionError(result.stderr)
    return set(result.stdout.split())


def offered(program, *verbs):
    """Options and verbs below `verbs` that --help names."""
    text = subprocess.run([PROGRAMS[program], *verbs, "--help"], capture_output=True, text=True, timeout=30).stdout
    options = set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", text, re.M))
    below = text.split("Subcommands:\n")[1].split("\n\n")[0] if "Subcommands:" in text else ""
    return options, set(re.findall(r"^  ([a-z-]+)", below, re.M))


class Completion(unittest.TestCase):
    def test_files_are_plain_bash(self):
        for name in PROGRAMS:
            file = os.path.join(REPOSITORY, "scripts", "completion", name)
            self.assertEqual(subprocess.run(["bash", "-n", file]).returncode, 0)

    def everything(self, program, verbs=()):
        if not PROGRAMS[program]:
            self.skipTest(f"{program} is not named by the environment")
        options, below = offered(program, *verbs)
        found = complete(program, *verbs, "") | complete(program, *verbs, "-")
        self.assertLessEqual(options | below, found, (program, verbs))
        known = {"--", "--help", "--json"} | options | below
        invented = {w for w in found if w.startswith("--") or below} - known - offered(program)[0]
        self.assertEqual({w for w in invented if not os.path.exists("/" + w)}, set(), (program, verbs))
        for verb in below:
            self.everything(program, (*verbs, verb))

    def test_badgectl_offers_what_help_names_and_no_more(self):
        self.everything("badgectl")

    def test_badge_verifier_offers_what_help_names_and_no_more(self):
        self.everything("badge-verifier")

    def test_a_begun_word_narrows(self):
        self.assertEqual(complete("badgectl", "au"), {"audit"})
        self.assertEqual(complete("badgectl", "agents", "v"), {"validate"})
        self.assertEqual(complete("badgectl", "token", "--aud"), {"--audience"})

    def test_options_before_the_verb_do_not_confuse(self):
        self.assertEqual(complete("badgectl", "--socket", "token", "audit", "t"), {"tail"})
        self.assertEqual(complete("badgectl", "--json", "proof", "--tok"), {"--token-file"})

    def test_values_complete_as_what_they_are(self):
        with tempfile.TemporaryDirectory() as directory:
            open(directory + "/token.txt", "w").close()
            os.mkdir(directory + "/records")
            self.assertEqual(complete("badgectl", "proof", "--token-file", "tok", cwd=directory), {"token.txt"})
            self.assertEqual(complete("badgectl", "agents", "validate", "", cwd=directory), {"records"})
            self.assertEqual(complete("badge-verifier", "token", "--jwks", "tok", cwd=directory), {"token.txt"})
        self.assertIn("DELETE", complete("badgectl", "proof", "--method", ""))
        self.assertEqual(complete("badgectl", "token", "--audience", ""), set())

    def test_a_command_follows_exec(self):
        self.assertIn("bash", complete("badgectl", "exec", "--", "bas"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
