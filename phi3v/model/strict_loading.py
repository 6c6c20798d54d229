"""Loads checkpoints that fit, from safetensors, and names the tensors of those that do not.

Knows names of tensors; must not know the model's parts.
"""

from typing import Any

import torch

HEAD = "lm_head.weight"
# Arguments of from_pretrained that say where its files are.
HUB_ARGUMENTS = (
    "cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token",
)  # fmt: skip


class StrictLoading:
    """Makes from_pretrained of a PreTrainedModel strict."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load a checkpoint from safetensors; as PreTrainedModel.from_pretrained, but strict.

        A head that the saved model did not have of its own is made: of the embedding where both
        were tied, else newly, as transformers reports. Raises ValueError naming other tensors that
        are missing or unexpected, and for use_safetensors=False: pickled weights can run code.
        Tensors of another shape are transformers' RuntimeError, unless ignore_mismatched_sizes=True
        replaces them by new ones.
        """
        if kwargs.pop("use_safetensors", None) is False:
            raise ValueError("Pickled weights can run code; only safetensors files are loaded.")
        # The published scripts pass the attribute's private name.
        if "_attn_implementation" in kwargs:
            kwargs.setdefault("attn_implementation", kwargs.pop("_attn_implementation"))
        wants_info = kwargs.pop("output_loading_info", False)
        base: Any = super()
        model, info = base.from_pretrained(
            pretrained_model_name_or_path,
            *args,
            **kwargs,
            use_safetensors=True,
            output_loading_info=True,
        )
        missing, unexpected = set(info["missing_keys"]), set(info["unexpected_keys"])
        if HEAD in missing and pretrained_model_name_or_path is not None:
            where = {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}
            if make_head(model, read_config(model, pretrained_model_name_or_path, where)):
                missing.discard(HEAD)
        if model.get_output_embeddings() is None:
            unexpected.discard(HEAD)
        problems = [
            f"{kind}: {', '.join(sorted(keys))}"
            for kind, keys in (("missing", missing), ("unexpected", unexpected))
            if keys
        ]
        if problems:
            raise ValueError(f"The checkpoint does not fit Phi-3-V. {'; '.join(problems)}")
        return (model, info) if wants_info else model


def read_config(model: Any, name: Any, where: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's config.json as it was saved, without what a caller changed."""
    return dict(model.config_class.get_config_dict(name, **where)[0])


def make_head(model: Any, saved: dict[str, Any]) -> bool:
    """Make the head of a model whose checkpoint has none; False if it should have had one.

    A checkpoint whose head is tied to its embedding has none of its own, and gives an untied model
    a copy. One of the base model alone leaves it as transformers has made it, at random.
    """
    if saved.get("tie_word_embeddings"):
        with torch.no_grad():
            model.lm_head.weight.copy_(model.get_input_embeddings().weight)
        return True
    return saved.get("architectures") == [type(model.base_model).__name__]
