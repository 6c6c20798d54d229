"""Files that API clients send as web addresses are downloaded with the app's own limits."""

from collections.abc import Iterator

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from support.fake_engine import FakeEngine
from support.serving import connect, serve
from support.sites import resolve_site

from phi3v.settings import Settings


@pytest.fixture
def client() -> Iterator[Client]:
    with serve(FakeEngine(), Settings(upload_limit=1)) as url:
        yield connect(url)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, site_port: int) -> str:
    monkeypatch.setattr("phi3v.documents.download.resolve_public", resolve_site)
    return f"http://pictures.example:{site_port}"


def describe(client: Client, address: str) -> str:
    return client.predict(images=[handle_file(address)], api_name="/describe")


def test_a_picture_is_fetched_and_described(client: Client, site: str) -> None:
    assert describe(client, f"{site}/picture.png").startswith("1 pictures (6 x 5)")


def test_a_file_over_the_limit_is_refused(client: Client, site: str) -> None:
    with pytest.raises(AppError, match="1 MB"):
        describe(client, f"{site}/huge")


def test_what_is_not_public_is_refused(client: Client, site_port: int) -> None:
    with pytest.raises(AppError, match="not on the public internet"):
        describe(client, f"http://127.0.0.1:{site_port}/picture.png")
