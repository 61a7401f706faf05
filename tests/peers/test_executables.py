"""The executable's digest, H6: hostile files, and hashing that holds up nobody else."""

import hashlib
import json
import os
import shutil
import unittest

from stuck_fuse import StuckFuse
from support import AGENT_UID, PYTHON, ProbeTest

DIGEST = "s = connect(); tell(**line(s)); tell(**ask(s, 'digest')); input()"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Executables(ProbeTest):
    def digest_of(self, program):
        agent = self.agent(DIGEST, program=program)
        return agent.next(), agent.next()

    def test_hashes_the_program_that_runs(self):
        self.probe()
        facts, answer = self.digest_of(PYTHON)
        self.assertEqual(answer["sha256"], sha256(PYTHON))

    def test_a_file_is_read_once_for_many_processes(self):
        self.probe()
        for _ in range(3):
            self.assertEqual(self.digest_of(PYTHON)[1]["files_read"], 1)

    def test_many_spawns_at_once_share_readings_of_a_new_file(self):
        self.probe()
        program = self.copy_of_python()
        agents = [self.agent("s = connect(); line(s); tell(ready=1); input(); tell(**ask(s, 'digest')); input()",
                             program=program) for _ in range(24)]
        for agent in agents:
            agent.next()
        for agent in agents:
            agent.go_on()
        answers = [agent.next() for agent in agents]
        self.assertEqual({answer["sha256"] for answer in answers}, {sha256(PYTHON)})

    def test_a_full_queue_answers_busy_and_others_go_on(self):
        self.probe("--hash-workers", "1", "--hash-queue", "1")
        programs = []
        for name in ("one", "two", "three"):
            program = self.copy_of_python(name)
            os.truncate(program, 400 << 20)  # sparse: seconds of hashing, no disk
            programs.append(program)
        waiting = "s = connect(); line(s); s.sendall(b'digest\\n'); tell(**ask(s)); tell(**line(s)); input()"
        first, second, third = (self.agent(waiting, program=program) for program in programs)
        replies = []
        for agent in (first, second, third):
            replies.append(agent.next())  # "facts" is answered while hashing goes on, or "busy" before
        plain = self.agent("s = connect(); tell(**line(s)); input()")
        self.assertEqual(plain.next()["uid"], AGENT_UID)
        self.assertIn("busy", [reply.get("refused") for reply in replies])

    def test_a_deadline_answers_busy(self):
        self.probe("--hash-deadline-ms", "1")
        program = self.copy_of_python()
        os.truncate(program, 400 << 20)
        self.assertEqual(self.digest_of(program)[1]["refused"], "busy")

    def test_replaced_on_disk_under_the_same_path_is_another_file(self):
        self.probe()
        program = self.copy_of_python()
        old = self.agent(DIGEST, program=program)
        old_facts = old.next()
        self.assertEqual(old.next()["sha256"], sha256(PYTHON))
        update = self.copy_of_python("update")
        with open(update, "ab") as file:
            file.write(b"changed")
        os.rename(update, program)
        new_facts, new = self.digest_of(program)
        self.assertNotEqual(old_facts["inode"], new_facts["inode"])
        self.assertEqual(new["sha256"], sha256(program))
        self.assertNotEqual(new["sha256"], sha256(PYTHON))

    def test_replaced_in_place_is_hashed_anew(self):
        self.probe()
        program = self.copy_of_python()
        for extra in (b"", b"one", b"two"):
            with open(program, "ab") as file:
                file.write(extra)
            agent = self.agent(DIGEST, program=program)
            agent.next()
            self.assertEqual(agent.next()["sha256"], sha256(program))
            agent.close()

    def test_deleted_while_running_is_still_what_runs(self):
        self.probe()
        program = self.copy_of_python()
        agent = self.agent("s = connect(); line(s); tell(ready=1); input(); tell(**ask(s, 'digest')); input()",
                           program=program)
        agent.next()
        os.unlink(program)
        agent.go_on()
        self.assertEqual(agent.next()["sha256"], sha256(PYTHON))

    def test_refuses_a_2_gib_executable(self):
        self.probe()
        program = self.copy_of_python()
        os.truncate(program, 2 << 30)
        self.assertEqual(self.digest_of(program)[1]["refused"], "executable-too-large")

    def test_a_script_is_its_interpreter(self):
        probe = self.probe()
        script = os.path.join(self.folder, "agent.py")
        with open(script, "w") as file:
            file.write(f"#!{PYTHON}\nimport socket\ns = socket.socket(socket.AF_UNIX)\n"
                       f"s.connect({probe.path!r})\nprint(s.recv(4096).decode(), end='', flush=True)\ninput()\n")
        os.chmod(script, 0o755)
        agent = self.agent("", wrap=[script])
        self.assertEqual(agent.next()["executable"], PYTHON)

    def test_a_name_with_control_bytes_is_not_shown(self):
        self.probe()
        facts, answer = self.digest_of(self.copy_of_python("bad\nname"))
        self.assertEqual(facts["executable"], "")
        self.assertEqual(answer["sha256"], sha256(PYTHON))

    def test_a_fuse_mount_that_never_answers_holds_up_nobody(self):
        point = os.path.join(self.folder, "fuse")
        os.mkdir(point)
        with open(PYTHON, "rb") as file:
            content = file.read()
        try:
            fuse = StuckFuse(point, "agent", content)
        except OSError as error:
            self.skipTest(f"no FUSE here: {error}")
        self.addCleanup(fuse.close)
        self.probe("--hash-workers", "1")
        # Reads itself first, so that it needs its file system no more.
        agent = self.agent("open('/proc/self/exe', 'rb').read(); tell(ready=1); input()\n" + DIGEST,
                           program=os.path.join(point, "agent"))
        agent.next()
        fuse.hang()
        agent.go_on()
        self.assertEqual(agent.next()["uid"], AGENT_UID)
        self.assertEqual(agent.next()["refused"], "executable-not-local")
        self.assertEqual(self.digest_of(PYTHON)[1]["sha256"], sha256(PYTHON))


if __name__ == "__main__":
    unittest.main()
