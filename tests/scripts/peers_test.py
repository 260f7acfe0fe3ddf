#!/usr/bin/env python3
"""What the works of bench/peers rely on; any Python."""
import pathlib
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import peer_loader  # noqa: E402
import turns  # noqa: E402


class TurnsTest(unittest.TestCase):
    def test_peak_is_the_process_own(self):
        large = turns.run(sys.executable, "-c", "bytearray(b'x' * 200_000_000)", threads=1)
        small = turns.run(sys.executable, "-c", "print('small')", threads=1)
        self.assertGreater(large.peak_mb, 200)
        self.assertLess(small.peak_mb, 100)
        self.assertEqual(small.output, "small\n")

    def test_threads_and_environment_reach_the_process(self):
        code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['GOMP_SPINCOUNT'])"
        self.assertEqual(turns.run(sys.executable, "-c", code, threads=3, GOMP_SPINCOUNT="7").output, "3 7\n")

    def test_failure_shows_what_the_program_said(self):
        with self.assertRaisesRegex(SystemExit, "no such model"):
            turns.run(sys.executable, "-c", "import sys; sys.exit('no such model')", threads=1)

    def test_functions_are_called_elsewhere(self):
        value, peak = turns.call(peer_loader.workers_mb, threads=1)
        self.assertEqual(value, 0)
        self.assertGreater(peak, 0)

    @mock.patch("importlib.metadata.version", lambda package: f"{package} 2")
    def test_row_has_medians_and_tells_what_is_better(self):
        ours, theirs = [(1, 10), (2, 30), (9, 20)], [(4, 50), (5, 70), (3, 60)]
        row = turns.row("work", "s", ours, "peer", "package", theirs)
        self.assertEqual((row["ours"], row["theirs"], row["our_peak_mb"], row["peer_peak_mb"]), (2, 4, 20, 60))
        self.assertEqual(row["version"], "package 2")
        self.assertEqual(row["ratio"], 2)
        self.assertEqual(turns.row("work", "images/s", ours, "peer", "package", theirs)["ratio"], 0.5)


if __name__ == "__main__":
    unittest.main()
