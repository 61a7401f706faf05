"""The published files of a real badged, when they cannot be written for a while."""
import json
import pathlib
import shutil
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

    def test_a_directory_that_was_removed_is_made_again_with_all_its_files(self):
        with Badged(store="software") as badged:
            publish = badged.state_dir / "publish"
            names = {"jwks.json", "oauth-authorization-server", "status.jwt"}
            wait_for(lambda: names <= {f.name for f in publish.iterdir()}, "all files")
            shutil.rmtree(publish)
            wait_for(lambda: publish.exists() and names <= {f.name for f in publish.iterdir()},
                     "all files again")
            self.assertEqual(publish.stat().st_mode & 0o777, 0o755)

    def test_status_and_doctor_warn_for_as_long_as_publishing_fails(self):
        with Badged(store="software") as badged:
            publish = badged.state_dir / "publish"
            wait_for((publish / "status.jwt").exists, "the list")

            def warned():
                return [w for w in badged.status()["warnings"] if str(publish) in w]
            self.assertEqual(warned(), [])
            shutil.rmtree(publish)
            publish.write_text("in the way")
            wait_for(warned, "a warning in status")
            self.assertIn("what was published last", warned()[0])
            self.assertIn("in the way of", warned()[0])
            self.assertIn(str(publish), badged.ctl("doctor", "--config", str(badged.config_file)).stdout)
            publish.unlink()
            wait_for(lambda: not warned(), "the warning to go")
            self.assertTrue((publish / "status.jwt").exists())


if __name__ == "__main__":
    unittest.main()
