"""TensorBoard's own reader finds in our event files what was written.

    tensorboard_test.py WRITE_EVENTS     runs under .deps/reference/bin/python (scripts/setup --reference)

WRITE_EVENTS is tests/pipelines/monitoring/write_events.cpp, built.
"""
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy
import PIL.Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, SCALARS, TENSORS, EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

ALL = {SCALARS: 0, IMAGES: 0, TENSORS: 0}  # keep everything, sample nothing
LOSS, RATE, CLUSTER = "train/loss", "train/lr", "cluster_loss/050-099"


class TensorBoardTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_folder = pathlib.Path(folder.name) / "run"
        self.picture = pathlib.Path(folder.name) / "picture.png"
        self.pixels = numpy.random.default_rng(0).integers(0, 256, (6, 10, 3), numpy.uint8)
        PIL.Image.fromarray(self.pixels).save(self.picture)

    def write(self, first, last):
        subprocess.run([BINARY, self.run_folder, str(first), str(last), self.picture, "10", "6"], check=True)

    def read(self):
        return EventAccumulator(str(self.run_folder), ALL).Reload()

    def steps(self, events):
        return [event.step for event in events]

    def test_it_reads_scalars_pictures_and_text(self):
        self.write(1, 300)
        events = self.read()
        self.assertEqual(set(events.Tags()["scalars"]), {LOSS, RATE, CLUSTER})
        self.assertEqual([(e.step, e.value) for e in events.Scalars(LOSS)],
                         [(i, float(numpy.float32(1 / i))) for i in range(1, 301)])
        self.assertEqual([e.value for e in events.Scalars(CLUSTER)], [-i for i in range(1, 301)])
        pictures = events.Images("samples")
        self.assertEqual(self.steps(pictures), list(range(5, 301, 5)))
        self.assertEqual((pictures[0].width, pictures[0].height), (10, 6))
        shown = PIL.Image.open(io.BytesIO(pictures[-1].encoded_image_string))
        self.assertTrue((numpy.asarray(shown) == self.pixels).all())
        text, = events.Tensors("config")
        self.assertEqual(text.tensor_proto.string_val, [b"seed = 1"])
        self.assertEqual(events.SummaryMetadata("config").plugin_data.plugin_name, "text")
        self.assertEqual(events.GetSourceWriter(), "crescendo")

    def test_a_resumed_run_has_each_step_once(self):
        self.write(1, 20)
        self.write(11, 30)
        events = self.read()
        self.assertEqual(self.steps(events.Scalars(LOSS)), list(range(1, 31)))
        begun = [e.value >= 11 for e in events.Scalars(RATE)]  # in the second file
        self.assertEqual(begun, [False] * 10 + [True] * 20)
        self.assertEqual(self.steps(events.Images("samples")), list(range(5, 31, 5)))

    def test_a_file_that_a_kill_cut_short_does_not_hide_the_next(self):
        self.write(1, 19)
        whole, = self.run_folder.iterdir()
        whole.write_bytes(whole.read_bytes()[:-7])
        self.assertEqual(self.steps(self.read().Scalars(LOSS)), list(range(1, 19)))
        self.write(19, 25)
        self.assertEqual(self.steps(self.read().Scalars(LOSS)), list(range(1, 26)))

    def test_the_folder_of_a_run_is_its_name(self):
        self.write(1, 5)
        runs = EventMultiplexer().AddRunsFromDirectory(str(self.run_folder.parent)).Reload()
        self.assertEqual(list(runs.Runs()), ["run"])


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
