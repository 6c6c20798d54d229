"""transformers' common tests of image processors."""

import unittest

from transformers_suite.source import load

from phi3v import Phi3VImageProcessor

common = load("test_image_processing_common")

NUM_CROPS = 4


class Phi3VImageProcessingTester(common.ImageProcessingTester):
    def __init__(self, parent):
        super().__init__(parent, num_crops=NUM_CROPS, image_mean=[0.5] * 3, image_std=[0.25] * 3)

    def _get_image_processing_classes(self):
        return {"pil": Phi3VImageProcessor, "torchvision": Phi3VImageProcessor}

    def expected_output_image_shape(self, images):
        return NUM_CROPS + 1, 3, 336, 336


class Phi3VImageProcessingTest(common.ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = Phi3VImageProcessingTester
    test_cast_dtype = True
