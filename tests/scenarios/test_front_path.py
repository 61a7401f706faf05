"""What may stand at the socket's path (H9)."""
import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from front_case import LOW, RECORDS, setUpModule  # noqa: E402
from harness import BUILD, DEADLINE, Badged, call  # noqa: E402


class Path(unittest.TestCase):
    """H9: what may stand at the socket's path."""

    def setUp(self):
        self.badged = Badged(store="software", records=RECORDS, start=False).__enter__()
        self.addCleanup(self.badged.__exit__)
        self.run_dir = self.badged.directory / "run"
        self.run_dir.mkdir(0o755)
        self.path = self.badged.agent_socket

    def refuses(self, *words):
        done = subprocess.run([BUILD / "badged", "--config", self.badged.config_file],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 4, done)
        for word in words:
            self.assertIn(word, done.stderr)

    def serves(self):
        self.badged.start()
        self.assertEqual(call(self.path, "GET", "/v1/jwks")[0], 200)

    def test_a_foreign_file_stays_and_is_named(self):
        self.path.write_text("precious")
        self.refuses(str(self.path), "not a socket")
        self.assertEqual(self.path.read_text(), "precious")

    def test_a_symlink_is_not_followed_wherever_it_leads(self):
        target = self.badged.directory / "target"
        for prepare in (lambda: None, lambda: target.write_text("x")):
            prepare()
            self.path.symlink_to(target)
            self.refuses(str(self.path), "not a socket")
            self.assertTrue(self.path.is_symlink())
            self.path.unlink()

    def test_a_symlink_to_a_dead_socket_is_not_followed(self):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(self.badged.directory / "dead"))
        dead.close()
        self.path.symlink_to(self.badged.directory / "dead")
        self.refuses("not a socket")

    def test_a_directory_that_others_can_write_is_refused(self):
        for mode in (0o777, 0o775, 0o1777):
            self.run_dir.chmod(mode)
            self.refuses(str(self.run_dir), "written by others", "chmod go-w")

    def test_a_directory_above_that_others_can_write_is_refused_unless_sticky(self):
        self.badged.directory.chmod(0o777)
        self.refuses(str(self.badged.directory), "written by others")
        self.badged.directory.chmod(0o1777)
        self.serves()

    def test_a_directory_of_another_user_or_one_behind_a_link_is_refused(self):
        os.chown(self.run_dir, LOW, LOW)
        self.refuses("belongs to another user")
        self.run_dir.rename(self.badged.directory / "real")
        os.chown(self.badged.directory / "real", 0, 0)
        self.run_dir.symlink_to(self.badged.directory / "real")
        self.refuses("not a directory")

    def test_a_dead_badgeds_socket_is_replaced(self):
        self.badged.start()
        self.badged.kill()
        self.assertTrue(self.path.is_socket())
        self.serves()

    def test_a_living_server_is_left_alone(self):
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(self.path))
        server.listen()
        inode = os.stat(self.path).st_ino
        self.refuses(str(self.path), "living server")
        self.assertEqual(os.stat(self.path).st_ino, inode)

    def test_another_users_socket_is_left_alone(self):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(self.path))
        dead.close()
        os.chown(self.path, LOW, LOW)
        self.refuses(str(self.path), "another user")

    def test_a_second_badged_does_not_take_the_first_ones_sockets(self):
        self.badged.start()
        with Badged(store="software", records=RECORDS, start=False) as second:
            second.agent_socket, second.admin_socket = self.path, self.badged.admin_socket
            second.write_config()
            done = subprocess.run([BUILD / "badged", "--config", second.config_file],
                                  capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 4, done)
        self.assertIn("living server", done.stderr)
        self.assertEqual(call(self.path, "GET", "/v1/jwks")[0], 200)

    def test_absent_directories_are_made_with_the_right_modes(self):
        self.run_dir.rmdir()
        os.umask(0o077)
        self.addCleanup(os.umask, 0o022)
        self.serves()
        self.assertEqual(os.stat(self.run_dir).st_mode & 0o777, 0o755)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o666)
        self.assertEqual(os.stat(self.badged.admin_socket.parent).st_mode & 0o027, 0)


if __name__ == "__main__":
    unittest.main()
