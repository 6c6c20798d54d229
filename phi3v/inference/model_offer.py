"""What a computer without a GPU could run instead of the embedded checkpoint; loads nothing."""

from phi3v.inference.checkpoint_files import PUBLISHED_BYTES, gigabytes
from phi3v.inference.hardware import choose_device, free_memory
from phi3v.translatable import Text

OFFERED = "microsoft/Phi-3.5-vision-instruct"
# Free memory for 4 bits: 3.2 GB of weights, 1.5 GB for an answer, and what converting them takes.
OFFER_BYTES = 8_000_000_000
# Of 32 layers on two cores with AVX512-BF16, 2026-11: a prompt of 328 tokens, a picture at one
# crop, took 22 s. One at 4 crops has 772: 52 s in proportion, which was not measured.
FIRST_TOKEN_SECONDS = 50
TOKENS_PER_SECOND = 5


def find_offer(model: str, device: str = "auto") -> Text | None:
    """Return what to say where "auto" takes the embedded checkpoint and 4 bits of the real one fit.

    That is on a CPU with 8 GB free; it is not started by itself, as it must be downloaded.
    """
    if model != "auto":
        return None
    chosen_device = choose_device(device)
    if chosen_device.type != "cpu" or free_memory(chosen_device) < OFFER_BYTES:
        return None
    return Text(
        "In 4 bits the real one fits this computer: `--model {name} --quantize 4bit`, after "
        "`pip install -r requirements-quantize.txt`. It is downloaded once, {size}. On two CPU "
        "cores a first answer about a picture begins after about {seconds} seconds and goes on at "
        "{rate} tokens a second.",
        name=OFFERED,
        size=gigabytes(PUBLISHED_BYTES),
        seconds=FIRST_TOKEN_SECONDS,
        rate=TOKENS_PER_SECOND,
    )
