"""`python -m benchmarks`: this engine compared with the tutorials' way, in one table.

Both alternate in one process; figures are medians, and the last column is their ratio: absolute
times vary on shared machines.
"""

import argparse
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date

import psutil
import torch
import transformers
from PIL import Image

from benchmarks import baseline
from benchmarks.floor import floor_rate
from benchmarks.models import REAL_SHAPE, open_engine
from phi3v import Engine, Request, Sampling, Turn
from phi3v.conversation.prompt import crop_choices
from phi3v.inference.checkpoint_files import EMBEDDED

FIRST, FOLLOW_UP, SECOND_PICTURE = "Describe this image.", "What else?", "And this one?"
Figures = defaultdict[str, list[float]]
# Tokens in the context for which the limit by memory bandwidth is printed.
CONTEXT = 2048
TWO = "<|image_1|>\n<|image_2|>\n"
WORDS = 256  # most tokens that the three questions take


def measure(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that `work` takes, a GPU's queued kernels included."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def ask_engine(engine: Engine, turns: tuple[Turn, ...], num_crops: int, new_tokens: int):
    """Return the answer's text and statistics."""
    request = Request(turns, Sampling(max_new_tokens=new_tokens), num_crops)
    chunks = list(engine.stream(request))
    assert chunks[-1].statistics is not None
    return "".join(chunk.text for chunk in chunks), chunks[-1].statistics


def converse(ask: Callable, images: list[Image.Image], figures: Figures) -> None:
    """Ask a question, a follow-up and about a second picture, and append the figures.

    `ask` returns text, seconds to the first token, and tokens per second.
    """
    turns: tuple[Turn, ...] = (Turn("user", FIRST, (images[0],)),)
    text, seconds, rate = ask(turns)
    figures["first question, first token (s)"].append(seconds)
    figures["decoding (tokens/s)"].append(rate)
    turns = (*turns, Turn("assistant", text), Turn("user", FOLLOW_UP))
    text, seconds, _ = ask(turns)
    figures["follow-up, first token (s)"].append(seconds)
    turns = (*turns, Turn("assistant", text), Turn("user", SECOND_PICTURE, (images[1],)))
    _, seconds, _ = ask(turns)
    figures["second picture added, first token (s)"].append(seconds)


def run_ours(engine: Engine, images: list[Image.Image], num_crops: int, count: int) -> Figures:
    """Return this engine's figures for one conversation about pictures that are not cached."""
    figures: Figures = defaultdict(list)
    engine.model.set_attn_implementation("sdpa")
    processor = engine.processor.image_processor
    cpu = torch.device("cpu")
    seconds = measure(lambda: processor(images[0], num_crops=num_crops), cpu)
    figures["image processing (ms)"].append(1000 * seconds)
    pixels = processor(images[0], num_crops=num_crops).to(engine.device)
    with torch.inference_mode():
        seconds = measure(lambda: engine.model.model.get_image_features(**pixels), engine.device)
    figures["vision (ms)"].append(1000 * seconds)

    def ask(turns: tuple[Turn, ...]) -> tuple[str, float, float]:
        text, answer = ask_engine(engine, turns, num_crops, count)
        return text, answer.time_to_first_token, answer.tokens_per_second

    converse(ask, images, figures)
    return figures


def run_baseline(engine: Engine, images: list[Image.Image], num_crops: int, count: int) -> Figures:
    """Return the figures of the tutorials' way for the same conversation."""
    figures: Figures = defaultdict(list)
    engine.model.set_attn_implementation("eager")
    processor = engine.processor.image_processor
    cpu = torch.device("cpu")
    seconds = measure(lambda: baseline.prepare_image(images[0], processor, num_crops), cpu)
    figures["image processing (ms)"].append(1000 * seconds)
    crops, size = baseline.prepare_image(images[0], processor, num_crops)
    with torch.inference_mode():
        seconds = measure(lambda: baseline.encode_every_crop(engine, crops, size), engine.device)
    figures["vision (ms)"].append(1000 * seconds)

    def ask(turns: tuple[Turn, ...]) -> tuple[str, float, float]:
        text, times = baseline.answer(engine, turns, num_crops, count)
        return text, times[0], (len(times) - 1) / (times[-1] - times[0])

    converse(ask, images, figures)
    return figures


def draw_noise(size: tuple[int, int], seed: int) -> Image.Image:
    """Draw random pixels, which no cache holds yet."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


def choose_crops(engine: Engine, size: tuple[int, int], new_tokens: int) -> int:
    """Return what the app chooses for one picture, or less so that the context holds two.

    Raises SystemExit if two pictures and three answers do not fit at all.
    """
    room = engine.context_length - WORDS - 3 * new_tokens
    for num_crops in crop_choices(None, [size], engine.processor):
        _, image_tokens = engine.processor.count_tokens(TWO, [size, size], num_crops)
        if image_tokens <= room:
            return num_crops
    raise SystemExit(f"Two pictures and three answers of {new_tokens} tokens do not fit.")


def parse_size(text: str) -> tuple[int, int]:
    """Parse width and height, as in "640x480"."""
    width, height = map(int, text.split("x"))
    return width, height


def collect(engine: Engine, options: argparse.Namespace, num_crops: int) -> tuple[Figures, Figures]:
    """Return this engine's figures, and the baseline's if asked for, after one warm-up run."""
    ours: Figures = defaultdict(list)
    theirs: Figures = defaultdict(list)
    size = parse_size(options.size)
    for run in range(options.runs + 1):
        images = [draw_noise(size, 2 * run), draw_noise(size, 2 * run + 1)]
        ways = [(run_ours, ours)] + ([(run_baseline, theirs)] if options.baseline else [])
        for way, figures in ways:
            measured = way(engine, images, num_crops, options.new_tokens)
            for name, values in measured.items() if run > 0 else ():
                figures[name] += values
    return ours, theirs


def print_table(ours: Figures, theirs: Figures) -> None:
    """Print a Markdown table of medians and of their ratio, above 1 where phi3v is better."""
    print("| | phi3v | tutorials' way | ratio |\n|---|---|---|---|")
    for name, values in ours.items():
        mine = statistics.median(values)
        if name not in theirs:
            print(f"| {name} | {mine:.3g} | | |")
            continue
        other = statistics.median(theirs[name])
        ratio = mine / other if "tokens/s" in name else other / mine
        print(f"| {name} | {mine:.3g} | {other:.3g} | {ratio:.2f} x |")


def peak_memory(device: torch.device) -> str:
    """Return the peak memory: allocated on a GPU, resident in the process on a CPU."""
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB on the GPU"
    information = psutil.Process().memory_info()
    return f"{getattr(information, 'peak_wset', information.rss) / 1e9:.2f} GB resident"


def describe_machine(device: torch.device) -> str:
    """Return hardware, versions and date, to be quoted with figures."""
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    else:
        level = torch.backends.cpu.get_cpu_capability()
        hardware = f"{psutil.cpu_count()} cores of {platform.machine()} with {level}"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{hardware}; {versions}; {date.today()}"


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help=f"{EMBEDDED}, {REAL_SHAPE}, path, id")
    parser.add_argument("--layers", type=int, default=32, help=f"decoder layers of {REAL_SHAPE}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--baseline", action="store_true", help="also measure the tutorials' way")
    parser.add_argument("--size", default="1344x1008", help="the pictures' width x height")
    parser.add_argument("--num-crops", type=int, help="default: as the app chooses")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse_options()
    engine = open_engine(options.model, options.layers, options.device, options.dtype)
    engine.stop_token_ids = lambda: []  # type: ignore[method-assign]  # decode to the limit
    num_crops = options.num_crops or choose_crops(
        engine, parse_size(options.size), options.new_tokens
    )
    ours, theirs = collect(engine, options, num_crops)
    print(
        f"{engine.name}, {str(engine.dtype).removeprefix('torch.')}, {options.size} pictures at "
        f"num_crops {num_crops}, {options.new_tokens} new tokens, median of {options.runs}; "
        f"{describe_machine(engine.device)}; peak {peak_memory(engine.device)}\n"
    )
    print_table(ours, theirs)
    if engine.device.type == "cuda":
        rate = statistics.median(ours["decoding (tokens/s)"])
        floor = floor_rate(engine, CONTEXT)
        print(
            f"\nMemory bandwidth limits decoding to {floor:.0f} tokens/s at {CONTEXT} tokens; "
            f"{rate / floor:.0%} of that is reached."
        )


if __name__ == "__main__":
    main()
