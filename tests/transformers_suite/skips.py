"""Why a test of transformers' does not run here: one table, and no skip without its line."""

import re

# Skipped by us: the test's name, and why.
SKIPPED_TESTS = {
    "test_call_numpy_4_channels": "the model sees RGB; four channels are refused",
    "test_model_weights_reload_no_missing_tied_weights": (
        "loads a file without weights; such a checkpoint is refused, and its tensors are named"
    ),
}

# Skipped by transformers: what its reason says, and why that is right here.
EXPECTED_REASONS = {
    r"librosa|[Tt]orchcodec|audio|video|feature_extractor": "the model takes text and images",
    r"does not support tools": "the chat format has no tools",
    r"accelerator|multiple accelerators|MPS|deepspeed": "the suite runs on one CPU",
    r"Flash Attention|kernels library|use_kernels": "an optional package for GPUs",
    r"test is slow": "transformers runs it by night; RUN_SLOW=1 does here",
    r"Not a prioritized model": "transformers runs it for its own list of models",
    r"PHI3V_TRANSFORMERS_TESTS": "the source archive ships no generation/",
    r"grouped_mm|sparse experts|output_router_logits": "no mixture of experts",
    r"not an encoder-decoder": "a decoder",
    r"position embeddings|axial RoPE|sliding window": "the decoder has RoPE, and no window",
    r"_keep_in_fp32_modules": "no module needs float32",
    r"Only PrefixChange conversions": "the checkpoint's names are the model's",
    r"composite SDPA|does not support (SDPA|output_attentions)": "tower and decoder in one model",
    r"not in MODEL_MAPPING": "asks a table of transformers' own classes",
    r"No validation found for `preprocess`": "validated by its typed keywords",
    r"dict size or list image_mean": "images have no fixed size",
}


def explain(reason: str) -> str | None:
    """Return why transformers' own skip of that reason is right, None for an unknown one."""
    lines = (why for said, why in EXPECTED_REASONS.items() if re.search(said, reason))
    return next(lines, None)
