"""Settings from flags and environment: defaults, precedence, validation and messages."""

import subprocess
import sys

import pytest

from phi3v.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PHI3V_{name.upper()}", raising=False)


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as refusal:
        read_settings(arguments)
    assert refusal.value.code == 2
    return capsys.readouterr().err


def test_settings_without_flags_have_defaults() -> None:
    settings = read_settings()
    assert (settings.model, settings.device, settings.dtype) == ("auto", "auto", "auto")
    assert (settings.host, settings.port, settings.share) == ("127.0.0.1", 7860, False)
    assert settings.credentials is None


def test_a_flag_is_written_with_hyphens() -> None:
    assert read_settings(["--max-new-tokens", "7"]).max_new_tokens == 7


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI3V_NUM_CROPS", "4")
    assert read_settings().num_crops == 4


def test_a_flag_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHI3V_PORT", "8000")
    assert read_settings(["--port", "9000"]).port == 9000


def test_num_crops_may_be_auto() -> None:
    assert read_settings(["--num-crops", "auto"]).num_crops == "auto"


def test_share_is_a_switch() -> None:
    assert read_settings(["--share"]).share is True


def test_auth_is_split_at_the_first_colon() -> None:
    assert read_settings(["--auth", "me:a:b"]).credentials == ("me", "a:b")


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(read_settings(["--auth", "me:hush"]))


def test_the_upload_limit_is_in_megabytes() -> None:
    assert read_settings(["--upload-limit", "3"]).upload_limit_bytes == 3 * 1024 * 1024


def test_an_invalid_flag_is_reported_with_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    message = refuse(capsys, "--num-crops", "many")
    assert "--num-crops" in message
    assert "auto or a number from 1 to 64, found 'many'" in message


def test_an_invalid_variable_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHI3V_PORT", "high")
    assert "PHI3V_PORT" in refuse(capsys)


def test_a_port_out_of_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "65535" in refuse(capsys, "--port", "70000")


def test_an_unknown_dtype_is_refused_with_the_valid_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "'bfloat16', 'float16' or 'float32'" in refuse(capsys, "--dtype", "int4")


def test_auth_without_a_password_is_refused_and_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    message = refuse(capsys, "--auth", "hush:")
    assert "user:password" in message
    assert "hush" not in message


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--modell" in refuse(capsys, "--modell", "x")


def test_help_explains_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    shown = Settings.model_fields.keys() - {"server_key"}
    for name in shown:
        assert f"--{name.replace('_', '-')} " in text
    assert text.count("(default: ") == len(shown)


def test_addresses_of_servers_are_completed() -> None:
    settings = read_settings(["--server", "gpu1:8000, https://gpu2/v1/,http://[::1]:8000/v1"])
    assert settings.servers == ["http://gpu1:8000", "https://gpu2", "http://[::1]:8000"]
    assert Settings().servers == []


@pytest.mark.parametrize("value", ["", "ftp://gpu1", "gpu1,,gpu2", "http://gpu1?x=1", "http://"])
def test_what_is_no_address_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--server", value])
    assert "give addresses such as http://127.0.0.1:8000" in capsys.readouterr().err


def test_a_key_in_an_address_is_refused_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--server", "http://secret@gpu1:8000"])
    problem = capsys.readouterr().err
    assert "PHI3V_SERVER_KEY" in problem
    assert "secret" not in problem


def test_the_key_of_the_servers_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHI3V_SERVER_KEY", "a-secret")
    settings = read_settings([])
    assert settings.server_key.get_secret_value() == "a-secret"
    assert "a-secret" not in repr(settings) + str(settings.model_dump())
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    assert "server-key" not in capsys.readouterr().out
    monkeypatch.setenv("PHI3V_SERVER_KEY", "a\nbad-secret")
    with pytest.raises(SystemExit):
        read_settings([])
    assert "bad-secret" not in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "many", "2000"])
def test_parallel_out_of_range_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--parallel", value])
    assert "give auto or a number from 1 to 1024" in capsys.readouterr().err


def test_importing_settings_reads_no_flags() -> None:
    code = "import sys; sys.argv.append('--nonsense'); import phi3v.settings"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_and_proxies_are_lists_with_commas() -> None:
    settings = read_settings(
        ["--allowed-hosts", "App.example, b", "--trusted-proxies", "10.0.0.2,fd00::/8"]
    )
    assert settings.host_names == ("app.example", "b")
    assert [str(network) for network in settings.proxy_networks] == ["10.0.0.2/32", "fd00::/8"]


def test_a_proxy_without_an_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give addresses or networks" in refuse(capsys, "--trusted-proxies", "proxy.example")


def test_a_login_cannot_be_asked_for_and_declined(capsys: pytest.CaptureFixture[str]) -> None:
    message = refuse(capsys, "--auth", "me:hush", "--no-auth")
    assert "not both" in message
    assert "hush" not in message
