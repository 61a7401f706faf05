"""The container itself: boots, runs, reports."""

import unittest

import machine


class Machine(unittest.TestCase):
    def test_runs_a_script_under_systemd_and_returns_its_exit_code(self):
        outcome = machine.run("cat /proc/1/comm; cat /scenario/word; systemctl start x; exit 7",
                              files={"word": "hello\n"},
                              units={"x.service": "[Service]\nType=oneshot\nExecStart=echo from-the-unit\n"})
        self.assertEqual(outcome.code, 7, outcome)
        self.assertIn("systemd\nhello\n", outcome.output)
        self.assertIn("from-the-unit", outcome.journal)


if __name__ == "__main__":
    unittest.main()
