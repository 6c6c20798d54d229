"""Settings of the app, read from flags and environment variables, with defaults and ranges.

Importing reads nothing; must not know the model or the page.
"""

import re
import sys
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    CliSuppress,
    CliToggleFlag,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

PREFIX = "PHI3V_"


class Settings(BaseSettings):
    """
    Phi-3-Vision in the browser: describe pictures, read their text, compare them.

    Every flag can also be given as an environment variable, PHI3V_ and its name in capitals
    (--num-crops is PHI3V_NUM_CROPS); the flag wins.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    model: Annotated[str | tuple[str, ...], NoDecode] = Field(
        "auto",
        min_length=1,
        description="auto (Phi-3-vision where a GPU has room for it, else embedded), embedded, "
        "a directory, or a Hugging Face id such as microsoft/Phi-3.5-vision-instruct; given "
        "several times, the page offers the choice and loads one at a time, the first at start",
    )
    adapter: Annotated[str | tuple[str, ...], NoDecode] = Field(
        "",
        description="PEFT adapter on top of the model, such as a LoRA: a directory, a Hugging Face "
        "id, or name=directory; given several times, each conversation chooses one or none, and "
        "the first answers whoever does not (needs peft, see requirements-adapters.txt)",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="number format of the weights"
    )
    attention: Literal["auto", "flash_attention_2", "sdpa", "eager"] = Field(
        "auto", description="attention kernels; auto takes flash attention where installed on CUDA"
    )
    quantize: Literal["none", "8bit", "4bit"] = Field(
        "none",
        description="language model's weights in fewer bits: less memory, and faster on a CPU "
        "(CUDA and CPUs, needs requirements-quantize.txt)",
    )
    server: str | None = Field(
        None,
        description="address of an OpenAI-compatible server that answers instead of this process, "
        "such as http://127.0.0.1:8000; several with commas between",
    )
    server_key: CliSuppress[SecretStr | None] = Field(
        None, description="key that the servers ask for; only as PHI3V_SERVER_KEY"
    )
    parallel: Literal["auto"] | int = Field(
        "auto",
        description="most requests that run at once on the servers: auto (what they say they take) "
        "or 1 to 1024",
    )
    num_crops: Literal["auto"] | int = Field(
        "auto",
        description="most 336 x 336 crops a picture is cut into: auto (16 for one picture, 4 for "
        "several and on a CPU) or 1 to 64; more crops show finer detail and take longer",
    )
    max_new_tokens: int = Field(
        512, ge=1, le=32768, description="longest answer, in tokens, unless the user asks otherwise"
    )
    reuse_memory: Literal["auto"] | int = Field(
        "auto",
        description="MB kept for follow-up questions, so that pictures and conversations are not "
        "computed twice: auto (an eighth of what is free on a GPU, 500 elsewhere) or a number",
    )
    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 lets other machines in"
    )
    port: int = Field(7860, ge=1, le=65535, description="port to listen on")
    share: bool = Field(False, description="make a public link through Gradio's servers")
    mcp: bool = Field(
        False,
        description="also serve describe, ocr and compare as tools for agents (MCP, at "
        "/gradio_api/mcp; needs requirements-mcp.txt)",
    )
    auth: str | None = Field(
        None,
        repr=False,
        description="user:password that everyone must enter (as PHI3V_AUTH it stays out of the "
        "process list)",
    )
    # a toggle: of other switches argparse takes --no-... for the denial
    no_auth: CliToggleFlag[bool] = Field(
        False,
        description="start a public link without a login and without a warning about it "
        "(default: off)",
    )
    allowed_hosts: str = Field(
        "",
        description="more names under which the app may be called, with commas, such as those that "
        "a proxy on this machine passes on; on 127.0.0.1 only local names are answered otherwise",
    )
    trusted_proxies: str = Field(
        "",
        description="addresses or networks of proxies, with commas, whose X-Forwarded-For and "
        "X-Forwarded-Host are believed",
    )
    per_address: int = Field(
        0,
        ge=0,
        le=10000,
        description="most waiting requests and uploads of one address; 0 sets no limit. A link, a "
        "Space and a proxy send everybody from one address: use it with --trusted-proxies there",
    )
    queue_size: int = Field(
        64, ge=1, le=10000, description="most requests that wait at once; further ones are refused"
    )
    upload_limit: int = Field(20, ge=1, le=1024, description="largest picture file, in MB")

    @field_validator("server")
    @classmethod
    def check_server(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Raise ValueError for what is no list of addresses, and beside an adapter."""
        if value is not None and info.data.get("adapter"):
            raise ValueError("a server loads its own adapters: leave --adapter out")
        return None if value is None else ",".join(map(read_address, value.split(",")))

    @field_validator("server_key")
    @classmethod
    def check_server_key(cls, value: SecretStr | None) -> SecretStr | None:
        """Raise ValueError for what cannot stand in a header, without showing it."""
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("a key has printable ASCII characters only, and no space")
        return value

    @field_validator("parallel", mode="before")
    @classmethod
    def check_parallel(cls, value: object) -> object:
        """Raise one error that names the valid values, as check_num_crops does."""
        if value == "auto" or (str(value).isdecimal() and 1 <= int(str(value)) <= 1024):
            return value
        raise ValueError("give auto or a number from 1 to 1024")

    @field_validator("model", "adapter", mode="before")
    @classmethod
    def join_names(cls, value: object) -> object:
        """Join several names, as repeated flags are joined already: by commas."""
        return ",".join(value) if isinstance(value, list | tuple) else value

    @field_validator("num_crops", mode="before")
    @classmethod
    def check_num_crops(cls, value: object) -> object:
        """Raise one error that names the valid values; a union gives one for each of its types."""
        if value == "auto" or (str(value).isdecimal() and 1 <= int(str(value)) <= 64):
            return value
        raise ValueError("give auto or a number from 1 to 64")

    @field_validator("reuse_memory", mode="before")
    @classmethod
    def check_reuse_memory(cls, value: object) -> object:
        """Raise one error that names the valid values, as check_num_crops does."""
        if value == "auto" or str(value).isdecimal():
            return value
        raise ValueError("give auto or a number of MB, 0 to keep nothing")

    @field_validator("auth")
    @classmethod
    def check_auth(cls, value: str | None) -> str | None:
        """Raise ValueError for a password without a user, or a user without a password."""
        if value is not None and not all(value.partition(":")):
            raise ValueError("give user:password")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def check_proxies(cls, value: str) -> str:
        """Raise ValueError for what is no address or network."""
        read_networks(value)
        return value

    @field_validator("no_auth")
    @classmethod
    def check_no_auth(cls, value: bool, found: ValidationInfo) -> bool:
        """Raise ValueError where a login is both given and declined."""
        if value and found.data.get("auth") is not None:
            raise ValueError("give --auth or --no-auth, not both")
        return value

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names in allowed_hosts, in small letters."""
        return tuple(name.strip().lower() for name in self.allowed_hosts.split(",") if name.strip())

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks in trusted_proxies."""
        return read_networks(self.trusted_proxies)

    @property
    def models(self) -> tuple[str, ...]:
        """The names in `model`, each once, in order."""
        return split_names(str(self.model)) or ("auto",)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters in `adapter`, each once, in order."""
        return split_names(str(self.adapter))

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password for HTTP access; None if no login is required."""
        if self.auth is None:
            return None
        user, _, password = self.auth.partition(":")
        return user, password

    @property
    def servers(self) -> list[str]:
        """The servers' addresses; none if this process answers itself."""
        return self.server.split(",") if self.server else []

    @property
    def reuse_bytes(self) -> int | None:
        """Size of the engine's caches in bytes; None lets the engine choose."""
        return None if self.reuse_memory == "auto" else self.reuse_memory * 1_000_000

    @property
    def upload_limit_bytes(self) -> int:
        """Largest accepted image file in bytes; a MB is 2^20 bytes, as on the page."""
        return self.upload_limit * 2**20


def read_address(text: str) -> str:
    """Return a server's address as scheme://host:port. Raises ValueError for what is none.

    The scheme may be left out (http), and /v1 at the end may be there.
    """
    text = text.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    path = parts.path.rstrip("/").removesuffix("/v1")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("give addresses such as http://127.0.0.1:8000, with commas between")
    if "@" in parts.netloc:
        raise ValueError("put the key into PHI3V_SERVER_KEY, not into the address")
    return f"{parts.scheme}://{parts.netloc}{path}"


def read_networks(listed: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the addresses and networks in a list with commas. Raises ValueError for others."""
    try:
        parts = [part.strip() for part in listed.split(",") if part.strip()]
        return tuple(ip_network(part, strict=False) for part in parts)
    except ValueError as error:
        raise ValueError(
            "give addresses or networks with commas between them, like 10.0.0.2,192.168.0.0/16"
        ) from error


def split_names(joined: str) -> tuple[str, ...]:
    """Return names that are joined by commas, each once; an existing path is one name."""
    if Path(joined.rpartition("=")[2]).expanduser().exists():
        return (joined,) if joined else ()
    names = (name.strip() for name in joined.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def read_settings(arguments: Sequence[str] = (), program: str = "app.py") -> Settings:
    """Return the settings from flags and environment.

    arguments are the command line without the program's name; program is that name, for messages.
    For a bad value it prints the flag and the problem, and exits with code 2.
    """
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(Settings, cli_prog_name=program)
        return CliApp.run(Settings, cli_args=list(arguments), cli_settings_source=source)
    except ValidationError as error:
        problems = [
            describe_problem(str(problem["loc"][0]), problem["msg"], problem["input"])
            for problem in error.errors()
        ]
    except SettingsError as error:
        problems = [f"  {error}"]
    print("\n".join([f"{program}: the settings cannot be used.", *problems]), file=sys.stderr)
    print("Run it with --help to list them all.", file=sys.stderr)
    raise SystemExit(2)


def describe_problem(name: str, message: str, found: object) -> str:
    """Return a pydantic error as a line that names flag and variable; passwords are not shown."""
    is_secret = name in ("auth", "server_key") or (name == "server" and "@" in str(found))
    shown = "" if is_secret else f", found {found!r}"
    flag = "--" + name.replace("_", "-")
    return f"  {flag} (or {PREFIX}{name.upper()}): {message.removeprefix('Value error, ')}{shown}"
