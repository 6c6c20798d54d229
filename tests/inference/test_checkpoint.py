import shutil
from collections import namedtuple

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from phi3v.inference import checkpoint, checkpoint_files, hardware
from phi3v.inference.engine import VISION_CACHE_SHARE
from phi3v.inference.loading import plan_memory
from phi3v.request import RequestError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


def test_a_name_that_is_neither_folder_nor_hub_id_is_refused():
    with pytest.raises(RequestError, match="no checkpoint folder './nowhere'"):
        checkpoint_files.find_checkpoint("./nowhere")


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(RequestError, match=r"no \.safetensors file"):
        checkpoint_files.find_checkpoint(str(tmp_path))


def test_an_uncached_hub_id_is_refused_when_offline(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr(checkpoint_files, "snapshot_download", unreachable)
    with pytest.raises(RequestError, match=r"not in the cache.*8\.3 GB.*--model embedded"):
        checkpoint_files.find_checkpoint("microsoft/Phi-3-vision-128k-instruct")


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """The cached folder of a hub that cannot be reached."""

    def only_cached(hub_id, local_files_only=False, **kwargs):
        if local_files_only:
            return str(tmp_path)
        raise checkpoint_files.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(checkpoint_files, "snapshot_download", only_cached)
    return tmp_path


def test_a_cached_hub_id_is_found_when_offline(cached):
    for name in ("config.json", "model.safetensors"):
        (cached / name).touch()
    assert checkpoint_files.find_checkpoint("microsoft/Phi-3.5-vision-instruct") == cached


def test_cached_json_files_are_enough_for_servers_only(cached):
    hub_id = "microsoft/Phi-3.5-vision-instruct"
    with pytest.raises(RequestError, match="JSON files of microsoft/Phi-3.5-vision-instruct are"):
        checkpoint_files.find_processor_files(hub_id)
    (cached / "config.json").touch()
    assert checkpoint_files.find_processor_files(hub_id) == cached
    with pytest.raises(RequestError, match="is not in the cache"):
        checkpoint_files.find_checkpoint(hub_id)


def test_for_servers_no_weights_are_downloaded(monkeypatch, tmp_path):
    asked = []

    def download(hub_id, allow_patterns, dry_run=False):
        asked.append(allow_patterns)
        return [] if dry_run else str(tmp_path)

    monkeypatch.setattr(checkpoint_files, "snapshot_download", download)
    assert checkpoint_files.find_processor_files("microsoft/Phi-3.5-vision-instruct") == tmp_path
    assert asked == [["*.json"], ["*.json"]]


def test_a_download_larger_than_the_disk_is_refused_with_both_sizes(monkeypatch):
    file = namedtuple("File", "file_size will_download")
    listing = [file(10**18, True), file(10**19, False)]
    monkeypatch.setattr(checkpoint_files, "snapshot_download", lambda *args, **kwargs: listing)
    with pytest.raises(RequestError, match=r"needs 1000000000\.0 GB on the disk.*GB free"):
        checkpoint_files.find_checkpoint("microsoft/Phi-3.5-vision-instruct")


def test_weights_larger_than_the_memory_are_refused_with_both_sizes(monkeypatch, tiny_checkpoint):
    monkeypatch.setattr(checkpoint, "free_memory", lambda device: 1_000_000)
    with pytest.raises(RequestError, match=r"need 0\.0 GB as float32 and cpu has 0\.0 GB free"):
        checkpoint.check_memory(tiny_checkpoint("phi35"), CPU, torch.float32)


def test_auto_chooses_the_embedded_checkpoint_without_an_accelerator():
    assert checkpoint.choose_weights("auto", "cpu")[0] == "embedded"


PUBLISHED = "microsoft/Phi-3-vision-128k-instruct"


@pytest.mark.parametrize(
    ("free", "has_packages", "chosen"),
    [
        (4.5, True, ("embedded", "none")),
        (7.8, True, (PUBLISHED, "4bit")),
        (7.8, False, ("embedded", "none")),
        (12.1, False, (PUBLISHED, "none")),
    ],
)
def test_auto_takes_what_the_free_memory_holds(monkeypatch, caplog, free, has_packages, chosen):
    monkeypatch.setattr(checkpoint, "choose_device", lambda device: CUDA)
    monkeypatch.setattr(checkpoint, "free_memory", lambda device: int(free * 1e9))
    monkeypatch.setattr(checkpoint, "missing_packages", lambda *_: [] if has_packages else ["onnx"])
    with caplog.at_level("INFO"):
        assert checkpoint.choose_weights("auto") == chosen
    assert ("pip install" in caplog.text) == (free == 7.8 and not has_packages)


def test_auto_does_not_quantize_on_metal(monkeypatch):
    monkeypatch.setattr(checkpoint, "choose_device", lambda device: MPS)
    monkeypatch.setattr(checkpoint, "free_memory", lambda device: 8 * 10**9)
    monkeypatch.setattr(checkpoint, "missing_packages", lambda *_: [])
    assert checkpoint.choose_weights("auto") == ("embedded", "none")


def test_weights_must_fit_the_computer_s_own_memory_on_their_way_to_the_gpu(
    monkeypatch, tiny_checkpoint
):
    def free(device):
        return 1_000_000 if device.type == "cpu" else 10**12

    monkeypatch.setattr(checkpoint, "free_memory", free)
    with pytest.raises(RequestError, match="cpu has 0.0 GB free"):
        checkpoint.check_memory(tiny_checkpoint("phi35"), CUDA, torch.float32)


def test_a_limited_device_has_no_more_free_memory_than_its_limit():
    unlimited = hardware.free_memory(CPU)
    hardware.limit_memory(CPU, 1000)
    try:
        assert hardware.free_memory(CPU) == 1000
    finally:
        hardware.limit_memory(CPU, None)
    assert hardware.free_memory(CPU) > unlimited / 2


@pytest.mark.parametrize("free", [3.8, 6.8, 15.0, 38.9, 76.0])
def test_every_card_caches_what_a_follow_up_needs(free):
    plan = plan_memory(int(free * 1e9), 393_216)
    prefixes = plan.reuse_bytes * (1 - VISION_CACHE_SHARE)
    assert prefixes >= 2304 * 393_216
    assert plan.captured_bytes >= 2048 * 393_216
    assert plan.reuse_bytes + plan.captured_bytes < 0.6 * free * 1e9


@pytest.mark.parametrize(
    ("free", "chosen"),
    [(8 * 10**9, "embedded"), (40 * 10**9, "microsoft/Phi-3-vision-128k-instruct")],
)
def test_auto_chooses_phi_3_vision_if_an_accelerator_has_the_memory(monkeypatch, free, chosen):
    monkeypatch.setattr(checkpoint, "choose_device", lambda device: CUDA)
    monkeypatch.setattr(checkpoint, "free_memory", lambda device: free)
    assert checkpoint.choose_weights("auto")[0] == chosen


def test_a_named_model_is_chosen_unchanged():
    assert checkpoint.choose_weights("some/model")[0] == "some/model"


@pytest.mark.parametrize(
    ("has_bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)]
)
def test_cuda_uses_bfloat16_if_the_gpu_supports_it(monkeypatch, has_bfloat16, dtype):
    supported = {"including_emulation": False}

    def is_supported(**kwargs):
        assert kwargs == supported
        return has_bfloat16

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert hardware.choose_dtype(CUDA, "auto")[0] == dtype


def test_mps_uses_float16_and_gives_the_reason():
    dtype, reason = hardware.choose_dtype(MPS, "auto")
    assert dtype == torch.float16
    assert "memory" in reason


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx2": True}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_a_cpu_uses_bfloat16_only_with_hardware_support(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    assert hardware.choose_dtype(CPU, "auto")[0] == dtype


def test_a_choice_can_be_overridden():
    assert hardware.choose_dtype(CPU, "float16") == (torch.float16, "as asked")
    assert hardware.choose_attention(CPU, torch.float32, "eager") == "eager"


@pytest.mark.parametrize(
    ("is_installed", "attention"), [(True, "flash_attention_2"), (False, "sdpa")]
)
def test_flash_attention_is_used_on_cuda_if_it_is_installed(monkeypatch, is_installed, attention):
    monkeypatch.setattr(hardware, "find_spec", lambda name: object() if is_installed else None)
    monkeypatch.setattr(hardware, "import_module", lambda name: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert hardware.choose_attention(CUDA, torch.bfloat16, "auto") == attention
    assert hardware.choose_attention(CPU, torch.bfloat16, "auto") == "sdpa"


def test_flash_attention_is_left_out_before_ampere_and_where_it_is_broken(monkeypatch):
    def fail(name):
        raise ImportError("undefined symbol")

    monkeypatch.setattr(hardware, "find_spec", lambda name: object())
    monkeypatch.setattr(hardware, "import_module", lambda name: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert hardware.choose_attention(CUDA, torch.float16, "auto") == "sdpa"
    with pytest.raises(RequestError, match="since Ampere"):
        hardware.choose_attention(CUDA, torch.float16, "flash_attention_2")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(hardware, "import_module", fail)
    assert hardware.choose_attention(CUDA, torch.float16, "auto") == "sdpa"


def test_cudnn_attention_is_left_out_on_cuda(monkeypatch, caplog):
    chosen = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", chosen.append)
    hardware.choose_attention_kernels(CPU)
    assert chosen == []
    with caplog.at_level("INFO"):
        hardware.choose_attention_kernels(CUDA)
    assert chosen == [False]
    assert "without cuDNN's" in caplog.text


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (lambda: hardware.choose_device("gpu7"), "no device 'gpu7'"),
        (lambda: hardware.choose_dtype(CPU, "int3"), "no dtype 'int3'"),
        (lambda: hardware.choose_attention(CPU, torch.float32, "best"), "no attention 'best'"),
        (
            lambda: hardware.choose_attention(CPU, torch.float32, "flash_attention_2"),
            "needs a CUDA device",
        ),
    ],
)
def test_an_unavailable_choice_is_refused(choice, message):
    with pytest.raises(RequestError, match=message):
        choice()


def test_a_checkpoint_loads_from_a_folder_and_logs_one_line(
    published, tiny_checkpoint, tmp_path, caplog
):
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tiny_checkpoint("phi35"), tmp_path, dirs_exist_ok=True)
    with caplog.at_level("INFO", logger="phi3v"):
        model, processor = checkpoint.load_checkpoint(str(tmp_path), "cpu", "float32", "eager")
    assert model.dtype == torch.float32
    assert model.config._attn_implementation == "eager"
    assert processor.image_token_id == model.config.image_token_id
    (line,) = [record.message for record in caplog.records]
    assert line.endswith("on cpu in float32 (as asked) with eager attention.")


def test_a_hub_snapshot_s_revision_is_its_commit(tmp_path):
    folder = tmp_path / "models--a--b" / "snapshots" / "abc123"
    folder.mkdir(parents=True)
    assert checkpoint_files.find_revision(folder) == "abc123"


def test_a_folder_s_revision_changes_with_its_files(tmp_path):
    weights = tmp_path / "model.safetensors"
    (tmp_path / "config.json").write_text("{}")
    weights.write_bytes(bytes(3 * 2**20))
    before = checkpoint_files.find_revision(tmp_path)
    assert checkpoint_files.find_revision(tmp_path) == before
    weights.write_bytes(bytes(3 * 2**20 - 1) + b"x")
    assert checkpoint_files.find_revision(tmp_path) != before
