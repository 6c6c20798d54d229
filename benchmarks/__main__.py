"""`python -m benchmarks`: time to first token and decoding rate, beside the tutorials' way.

The baseline is the same network driven by plain `generate` with eager attention, every padding crop
and the repeated global crop computed. Both run in turns in one process, and the ratio is of their
medians, because a shared machine is never twice as fast.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import torch
import transformers
from PIL import Image
from transformers import AutoProcessor, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPooling

from phi3v import Engine, Phi3VConfig, Phi3VForCausalLM, Request, Sampling, Turn, load
from phi3v.checkpoint import EMBEDDED, EMBEDDED_FOLDER, choose_device, choose_dtype
from phi3v.model.modeling import merge_patches

QUESTION = "Describe this image."


@dataclass(frozen=True)
class Figures:
    """One answer's figures: seconds, and tokens per second after the first."""

    time_to_first_token: float
    tokens_per_second: float


def build_real_shape(layers: int, device: torch.device, dtype: torch.dtype) -> Engine:
    """An engine with random weights of the published sizes, its decoder cut to some layers.

    Its tokenizer is the embedded checkpoint's; which words they are does not change the work.
    """
    processor = AutoProcessor.from_pretrained(EMBEDDED_FOLDER)
    processor.image_processor.auto_num_crops = [16, 4]
    config = Phi3VConfig(
        num_hidden_layers=layers,
        image_token_id=processor.image_token_id,
        rope_scaling={"type": "su", "short_factor": [1.0] * 48, "long_factor": [1.0] * 48},
    )
    previous = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = Phi3VForCausalLM(config)
    finally:
        torch.set_default_dtype(previous)
    return Engine(model, processor, name=f"real-shape, {layers} decoder layers")


class Clock:
    """A stopping criterion that never stops, but keeps the time of every token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: object) -> torch.Tensor:
        """Note the time; end no row."""
        self.times.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def encode_every_crop(
    engine: Engine, pixel_values: torch.Tensor, image_sizes: torch.Tensor
) -> BaseModelOutputWithPooling:
    """Image features as the published code makes them: zeros and repeated crops run too."""
    embedding = engine.model.model.vision_embed_tokens
    features = []
    for crops, (height, width) in zip(pixel_values, image_sizes.tolist(), strict=True):
        rows, columns = height // embedding.crop_size, width // embedding.crop_size
        maps = merge_patches(embedding.encode_crops(crops.to(engine.dtype)))
        tokens = embedding.arrange_tokens(maps[0], maps[1 : 1 + rows * columns], rows, columns)
        features.append(embedding.img_projection(tokens))
    return BaseModelOutputWithPooling(pooler_output=tuple(features))


def run_baseline(engine: Engine, image: Image.Image, num_crops: int, new_tokens: int) -> Figures:
    """Prepare, encode and generate as the tutorials' scripts do."""
    began, clock = time.perf_counter(), Clock()
    prompt = f"<|user|>\n<|image_1|>\n{QUESTION}<|end|>\n<|assistant|>\n"
    inputs = engine.processor(prompt, image, num_crops=num_crops).to(engine.device)
    with torch.inference_mode():
        features = encode_every_crop(engine, inputs["pixel_values"], inputs["image_sizes"])
        engine.model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            mm_encoder_outputs={"image": features},
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=None,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
    seconds = clock.times[-1] - clock.times[0]
    return Figures(clock.times[0] - began, (len(clock.times) - 1) / seconds)


def run_engine(engine: Engine, image: Image.Image, num_crops: int, new_tokens: int) -> Figures:
    """Ask the engine as an app does."""
    turns = (Turn("user", QUESTION, (image,)),)
    request = Request(turns, Sampling(max_new_tokens=new_tokens), num_crops)
    *_, last = engine.stream(request)
    assert last.statistics is not None
    return Figures(last.statistics.time_to_first_token, last.statistics.tokens_per_second)


def run_in_turns(engine: Engine, runs: int, *ways: Callable[[], Figures]) -> list[list[Figures]]:
    """Every way's figures, the ways taking turns, each warmed up once."""
    attentions = ["sdpa", "eager"]
    results: list[list[Figures]] = [[] for _ in ways]
    for run in range(runs + 1):
        for way, attention, figures in zip(ways, attentions, results, strict=True):
            engine.model.set_attn_implementation(attention)
            measured = way()
            if run > 0:
                figures.append(measured)
    return results


def print_table(title: str, ours: list[Figures], baseline: list[Figures]) -> None:
    """One Markdown table: medians, and how many times better ours is."""
    rows = []
    for name, unit, field, larger_is_better in (
        ("time to first token", "s", "time_to_first_token", False),
        ("decoding", "tokens/s", "tokens_per_second", True),
    ):
        mine = statistics.median(getattr(figures, field) for figures in ours)
        theirs = statistics.median(getattr(figures, field) for figures in baseline)
        ratio = mine / theirs if larger_is_better else theirs / mine
        rows.append(f"| {name} | {mine:.3g} {unit} | {theirs:.3g} {unit} | {ratio:.2f} x |")
    print(f"{title}; median of {len(ours)}\n")
    print("| | phi3v | plain generate, every crop | better by |\n|---|---|---|---|")
    print("\n".join(rows))


def describe_machine(device: torch.device) -> str:
    """Hardware, versions and date, for beside a figure."""
    hardware = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{torch.get_num_threads()} CPU threads ({platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()})"
    )
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{hardware}, {versions}, {date.today()}"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="embedded, real-shape, folder or hub id")
    parser.add_argument("--layers", type=int, default=32, help="decoder layers of real-shape")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", default="1344x1008", help="the picture's width x height")
    parser.add_argument("--num-crops", type=int, help="default: what the checkpoint names")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()

    device = choose_device(options.device)
    dtype, _ = choose_dtype(device, options.dtype)
    if options.model == "real-shape":
        engine = build_real_shape(options.layers, device, dtype)
    else:
        engine = load(options.model, options.device, options.dtype)
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]  # both decode to the limit
    width, height = map(int, options.size.split("x"))
    image = Image.effect_noise((width, height), 64).convert("RGB")
    num_crops = options.num_crops or engine.processor.image_processor.auto_num_crops[0]
    ours, baseline = run_in_turns(
        engine,
        options.runs,
        lambda: run_engine(engine, image, num_crops, options.new_tokens),
        lambda: run_baseline(engine, image, num_crops, options.new_tokens),
    )
    title = (
        f"{engine.name}, {str(engine.dtype).removeprefix('torch.')}, one {options.size} picture at "
        f"num_crops {num_crops}, {options.new_tokens} new tokens; {describe_machine(device)}"
    )
    print_table(title, ours, baseline)


if __name__ == "__main__":
    main()
