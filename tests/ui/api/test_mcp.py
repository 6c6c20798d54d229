"""The tools of a running server, called through the official client of the MCP."""

from collections.abc import Iterator

import pytest
from gradio_client import handle_file
from support.fake_engine import MeasuredEngine
from support.serving import connect, serve

from phi3v.settings import Settings
from phi3v.tasks import COMPARE, DESCRIBE, find_preset

mcp = pytest.importorskip("mcp", reason="see requirements-mcp.txt")

from support.agents import as_data_url, talk  # noqa: E402

PICTURES = [str(path) for path in COMPARE.examples[1].paths]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(MeasuredEngine(), Settings(mcp=True)) as address:
        yield address


def test_tools_describe_themselves_and_their_parameters(url: str) -> None:
    tools = talk(url)
    assert set(tools) == {"describe", "ocr", "compare"}
    assert DESCRIBE.hint in tools["describe"].description
    for tool in tools.values():
        for name, one in tool.inputSchema["properties"].items():
            assert one.get("description"), f"{tool.name} does not say what {name} is"
    properties = tools["ocr"].inputSchema["properties"]
    assert list(properties) == ["images", "prompt", "max_new_tokens", "output_format"]
    assert "text" in str(properties["output_format"])
    assert tools["describe"].inputSchema["required"] == ["images"]


@pytest.mark.parametrize("name", ["describe", "ocr", "compare"])
def test_a_tool_gives_the_same_text_as_the_endpoint(url: str, name: str) -> None:
    client = connect(url)
    expected = client.predict(
        [handle_file(path) for path in PICTURES], "Which?", api_name=f"/{name}"
    )
    found = talk(url, name, images=[as_data_url(path) for path in PICTURES], prompt="Which?")
    assert not found.isError, found.content
    assert found.content[0].text.strip() == expected.strip()
    assert "2 pictures" in expected


def test_a_ready_question_is_asked_by_its_name(url: str) -> None:
    assert "(detailed, caption, objects, chart)" in str(talk(url)["describe"].inputSchema)
    found = talk(url, "describe", images=[as_data_url(PICTURES[0])], prompt="caption")
    wording = find_preset(DESCRIBE, "caption").wording(is_embedded=True)
    assert found.content[0].text.strip().endswith(wording)


def test_a_missing_picture_is_reported_to_the_agent(url: str) -> None:
    found = talk(url, "compare", images=[])
    assert found.isError
    assert "at least two pictures" in found.content[0].text


def test_a_private_address_is_refused(url: str) -> None:
    found = talk(url, "describe", images=["http://127.0.0.1/x.png"])
    assert found.isError
    assert "not on the public internet" in found.content[0].text
