"""Images as transformers takes them: kinds, channel orders, values, nestings and settings."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from support.golden import golden_image
from transformers.utils import logging

from phi3v import Phi3VImageProcessor
from phi3v.model.image_inputs import flatten_images

IMAGE = golden_image(90, 60)
ARRAY = np.array(IMAGE)  # (60, 90, 3)


def process(image, **kwargs):
    return Phi3VImageProcessor(num_crops=1)(image, **kwargs)["pixel_values"]


PLAIN = process(IMAGE)
FIRST = ARRAY.transpose(2, 0, 1)
SAME = {
    "channels last": ARRAY,
    "channels first": FIRST,
    "a tensor": torch.from_numpy(FIRST.copy()),
    "a tensor with channels last": torch.from_numpy(ARRAY),
    "floats": ARRAY.astype(np.float32),
    "integers": ARRAY.astype(np.int64),
    "bfloat16": torch.from_numpy(ARRAY).bfloat16(),
    "a tensor that trains": torch.from_numpy(ARRAY).float().requires_grad_(),
    "an opaque RGBA array": np.dstack([ARRAY, np.full((60, 90), 255, np.uint8)]),
    "an RGBA image": IMAGE.convert("RGBA"),
}


@pytest.mark.parametrize("kind", SAME)
def test_an_array_is_taken_as_the_image_it_holds(kind):
    assert torch.equal(process(SAME[kind]), PLAIN)


@pytest.mark.parametrize("scaled", [ARRAY / 255, torch.from_numpy(ARRAY) / 255])
def test_values_of_zero_to_one_are_taken_without_rescaling(scaled):
    assert torch.equal(process(scaled, do_rescale=False), PLAIN)


def test_values_of_zero_to_one_with_rescaling_are_warned_of(caplog):
    logging.warning_once.cache_clear()
    process(ARRAY / 255)
    assert "already rescaled images" in caplog.text


def test_values_that_are_no_colours_are_refused_with_their_range():
    with pytest.raises(ValueError, match=r"from -2.0 to 1.0; give 0 to 255, or 0 to 1"):
        process(np.linspace(-2, 1, 27).reshape(3, 3, 3))


@pytest.mark.parametrize("grey", [ARRAY[..., 0], ARRAY[..., :1], FIRST[:1]])
def test_grey_arrays_are_taken_as_grey_images(grey):
    assert torch.equal(process(grey), process(Image.fromarray(ARRAY[..., 0])))


@pytest.mark.parametrize("mode", ["P", "1", "CMYK", "LA"])
def test_images_of_other_modes_are_converted(mode):
    image = IMAGE.convert(mode)
    assert torch.equal(process(image), process(image.convert("RGB")))


def test_an_image_that_is_not_rgb_is_refused_without_conversion():
    assert torch.equal(process(IMAGE, do_convert_rgb=False), PLAIN)
    with pytest.raises(ValueError, match="mode L and do_convert_rgb is off"):
        process(IMAGE.convert("L"), do_convert_rgb=False)


def test_an_array_that_could_be_read_both_ways_is_read_as_it_is_said():
    both = np.random.default_rng(0).integers(0, 255, (3, 8, 3), dtype=np.uint8)
    last = process(both, input_data_format="channels_last")
    assert torch.equal(last, process(Image.fromarray(both)))
    assert torch.equal(
        process(both, input_data_format="channels_first"),
        process(Image.fromarray(both.transpose(1, 2, 0).copy())),
    )


def data_address() -> str:
    file = io.BytesIO()
    IMAGE.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_paths_and_addresses_are_opened(tmp_path):
    IMAGE.save(tmp_path / "image.png")
    for name in (tmp_path / "image.png", str(tmp_path / "image.png"), data_address()):
        assert torch.equal(process(name), PLAIN)


def test_a_web_address_is_downloaded(site_port):
    address = f"http://127.0.0.1:{site_port}/picture.png"
    assert process(address).shape == PLAIN.shape


def test_a_path_that_does_not_exist_is_refused_with_its_name():
    with pytest.raises(ValueError, match="missing.png"):
        process("missing.png")


@pytest.mark.parametrize(
    "nested", [IMAGE, [IMAGE], [[IMAGE]], (IMAGE,), ARRAY[None], [ARRAY[None]], [FIRST]]
)
def test_nestings_hold_the_same_images(nested):
    assert torch.equal(process(nested), PLAIN)


def test_nested_lists_keep_their_order():
    images = [golden_image(width, 20) for width in (10, 20, 30)]
    assert flatten_images([[images[0]], [], images[1:]]) == images


def test_without_resizing_an_image_keeps_its_pixels_on_white():
    processor = Phi3VImageProcessor(do_resize=False, do_rescale=False, do_normalize=False)
    output = processor(IMAGE, num_crops=1)
    placed = output["pixel_values"][0, 1, :, 138:198, 123:213]
    assert torch.equal(placed, torch.from_numpy(FIRST.copy()).float())
    assert output["image_sizes"].tolist() == [[336, 336]]
    with pytest.raises(ValueError, match="400 x 60 pixels, 1 x 2 crops, and num_crops is 1"):
        processor(golden_image(400, 60), num_crops=1)


def test_normalizing_and_rescaling_are_what_their_settings_say():
    raw = process(IMAGE, do_rescale=False, do_normalize=False)
    assert raw.max() > 200
    assert torch.equal(process(IMAGE, do_normalize=False), raw / 255)
    half = process(IMAGE, image_mean=0.5, image_std=0.5)
    torch.testing.assert_close(half, (raw / 255 - 0.5) / 0.5)
    with pytest.raises(ValueError, match="image_mean has 2 numbers"):
        process(IMAGE, image_mean=[0.5, 0.5])


def test_settings_survive_saving_and_loading(tmp_path):
    settings = {
        "num_crops": 3,
        "do_normalize": False,
        "do_rescale": False,
        "do_resize": False,
        "do_convert_rgb": False,
        "resample": Image.Resampling.NEAREST,
        "image_mean": [0.1, 0.2, 0.3],
        "auto_num_crops": [5, 2],
        "auto_least_scale": 0.5,
        "auto_least_side": 100,
    }
    saved = Phi3VImageProcessor(**settings)
    saved.save_pretrained(tmp_path)
    again = Phi3VImageProcessor.from_pretrained(tmp_path)
    assert {name: getattr(again, name) for name in settings} == {
        **settings,
        "image_mean": (0.1, 0.2, 0.3),
    }
    assert torch.equal(
        again(IMAGE)["pixel_values"], Phi3VImageProcessor(**settings)(IMAGE)["pixel_values"]
    )


def test_without_a_kind_of_tensor_the_output_is_lists_of_arrays():
    output = Phi3VImageProcessor(num_crops=1)([IMAGE, IMAGE], return_tensors=None)
    assert [array.shape for array in output["pixel_values"]] == [(2, 3, 336, 336)] * 2
    assert output["image_sizes"] == [[336, 336]] * 2
