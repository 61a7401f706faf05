"""The project's documents: their text, fenced blocks, links, words in backquotes; the sessions they show."""
import doctest
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)


class Page:
    def __init__(self, path):
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.text = path.read_text()

    def blocks(self, kind):
        """(line number, content) of each block whose info string is `kind`."""
        return [(self.text.count("\n", 0, found.start()) + 1, found[2])
                for found in FENCE.finditer(self.text) if found[1].strip() == kind]

    def commands(self):
        """Contents of all blocks of commands, whatever the tests do with them."""
        return [found[2] for found in FENCE.finditer(self.text) if found[1].split()[:1] in (["sh"], ["console"])]

    def prose(self):
        return FENCE.sub("", self.text)

    def code_words(self):
        """Texts in single backquotes, outside of blocks."""
        return re.findall(r"`([^`\n]+)`", self.prose())

    def links(self):
        return [target for target in re.findall(r"\]\(([^)\s]+)\)", self.prose())
                if "://" not in target and not target.startswith("mailto:")]

    def anchors(self):
        """GitHub's: lower case, punctuation out, spaces to hyphens."""
        headings = re.findall(r"^#+ +(.*)$", self.prose(), re.M)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages():
    return [Page(path) for path in PAGES]


def page(name):
    return Page(ROOT / name)


class Step:
    """One command of a console block, and what must come of it."""

    def __init__(self, line, root, command):
        self.line = line
        self.root = root  # "# " is root's prompt, "$ " the agent's
        self.command = command
        self.expected = ""  # empty: any output
        self.exit_code = 0


def steps(first_line, content):
    found = []
    for offset, line in enumerate(content.splitlines(), 1):
        exit_code = re.fullmatch(r"\[exit (\d+)\]", line)
        if line.startswith(("$ ", "# ")):
            found.append(Step(first_line + offset, line.startswith("# "), line[2:]))
        elif exit_code:
            found[-1].exit_code = int(exit_code[1])
        else:
            found[-1].expected += line + "\n"
    return found


def matches(expected, got):
    wanted = expected.replace("...", "").replace("…", "...")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(wanted, got, flags)
