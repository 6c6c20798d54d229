"""transformers' common tests of processors, on the embedded checkpoint's."""

import unittest

from transformers_suite.source import load

from phi3v import Phi3VProcessor
from phi3v.inference.checkpoint_files import EMBEDDED_FOLDER

common = load("test_processing_common")


class Phi3VProcessorTest(common.ProcessorTesterMixin, unittest.TestCase):
    processor_class = Phi3VProcessor
    model_id = str(EMBEDDED_FOLDER)
    # An image takes 313 tokens at the checkpoint's one crop.
    images_text_kwargs_max_length = 400
    images_text_kwargs_override_max_length = 390
    images_unstructured_max_length = 380
    chat_template_max_length = 100
