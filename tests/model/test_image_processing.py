import hashlib

import numpy as np
import pytest
import torch
from golden import make_images
from PIL import Image
from support.golden import GOLDEN, golden_image, golden_json

from phi3v.model.crops import count_image_tokens, crop_grid
from phi3v.model.image_processing import Phi3VImageProcessor, resize_and_pad

IMAGES = {name: settings for name, *settings in make_images.LIST}
CASES = golden_json("image_index.json")


def split_case(case: str) -> tuple[Image.Image, int]:
    name, num_crops = case.split("/nc")
    return golden_image(*IMAGES[name]), int(num_crops)


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.parametrize("case", [case for case in CASES if "error" not in CASES[case]])
def test_crops_are_the_reference_s(case):
    image, num_crops = split_case(case)
    expected = CASES[case]
    output = Phi3VImageProcessor()(image, num_crops=num_crops)
    rows, columns = crop_grid(*image.size, num_crops)
    crops = output["pixel_values"][0]

    assert output["image_sizes"][0].tolist() == expected["image_sizes"]
    assert list(crops.shape) == expected["pixel_values_shape"]
    assert count_image_tokens(rows, columns) == expected["num_img_tokens"]
    padded = np.array(resize_and_pad(image.convert("RGB"), num_crops))
    assert sha256(padded) == expected["hd_u8_sha256"]
    assert sha256(crops[1 : 1 + rows * columns].numpy()) == expected["sub_sha256"]
    assert not crops[1 + rows * columns :].any()
    with np.load(GOLDEN / "image_global_s24.npz") as archive:
        name = case.split("/")[0]
        reference = archive[f"nc{num_crops}/{name}/global_s24"]
    assert np.abs(crops[0, :, ::24, ::24].numpy() - reference).max() < 1e-5


@pytest.mark.parametrize("case", [case for case in CASES if "error" in CASES[case]])
def test_an_image_more_elongated_than_its_crops_is_refused_with_the_limit(case):
    image, num_crops = split_case(case)
    with pytest.raises(ValueError, match=f"4000 x 3 pixels.*limit is {336 * num_crops}"):
        Phi3VImageProcessor()(image, num_crops=num_crops)


def test_an_image_of_zero_size_is_refused_with_its_size():
    with pytest.raises(ValueError, match="0 x 5 pixels"):
        Phi3VImageProcessor()(Image.new("RGB", (0, 5)))


def test_num_crops_below_one_is_refused():
    with pytest.raises(ValueError, match="num_crops is 0"):
        Phi3VImageProcessor()(Image.new("RGB", (5, 5)), num_crops=0)


def test_an_input_that_is_no_image_is_refused_with_its_type():
    with pytest.raises(ValueError, match="An image is a int"):
        Phi3VImageProcessor()([7])


def test_at_one_crop_the_global_crop_is_the_sub_crop():
    crops = Phi3VImageProcessor(num_crops=1)(golden_image(333, 517))["pixel_values"][0]
    assert torch.equal(crops[0], crops[1])


def test_several_images_are_stacked_in_order():
    images = [golden_image(640, 480), golden_image(300, 900)]
    output = Phi3VImageProcessor(num_crops=4)(images)
    alone = Phi3VImageProcessor(num_crops=4)(images[1])
    assert output["pixel_values"].shape == (2, 5, 3, 336, 336)
    assert torch.equal(output["pixel_values"][1], alone["pixel_values"][0])


@pytest.mark.parametrize(
    ("rows", "columns", "tokens"),
    [(1, 1, 313), (2, 2, 757), (1, 4, 745), (4, 1, 781), (3, 4, 1921), (16, 1, 2653)],
)
def test_the_number_of_image_tokens_is_the_published_one(rows, columns, tokens):
    assert count_image_tokens(rows, columns) == tokens
