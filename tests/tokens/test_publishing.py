"""The published files of a real badged, when they cannot be written for a while."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenarios"))
from harness import Badged, wait_for  # noqa: E402


class Publishing(unittest.TestCase):
    def test_files_that_could_not_be_written_are_written_once_they_can_be(self):
        with Badged(store="software", start=False) as badged:
            badged.state_dir.mkdir(mode=0o700)
            publish = badged.state_dir / "publish"
            publish.write_text("in the way")
            badged.start()
            keys = badged.get("/v1/jwks")["keys"]
            self.assertEqual(len(keys), 2)
            wait_for(lambda: f"publish {publish}" in badged.log() or str(publish) in badged.log(),
                     "the journal to name the directory")
            publish.unlink()
            file = publish / "jwks.json"
            wait_for(file.exists, "the file to be published")
            self.assertEqual(json.loads(file.read_text())["keys"], keys)
            # Tried each second, told once.
            self.assertEqual(badged.log().count(str(publish)), 1, badged.log())


if __name__ == "__main__":
    unittest.main()
