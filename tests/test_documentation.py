"""The project's papers agree with each other, with the files and with the command line."""

import re
import shlex
from pathlib import Path

import pytest
from support.golden import ROOT

from phi3v.cli.arguments import build_parser
from phi3v.settings import Settings, read_settings

README = ROOT / "README.md"
TRANSLATIONS = [ROOT / "README.he.md", ROOT / "README.fa.md"]
GUIDES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAPERS = [README, *TRANSLATIONS, *GUIDES, ROOT / "CHANGELOG.md"]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
OURS = re.compile(
    r"(?:\.venv/bin/)?(?:python3? app\.py(?!\S)|(?:python3? -m )?phi3v (?=\w))",
)
# Folders of one machine, which readers do not have.
MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:work|tmp|root|home)\b")


def name_of(paper: Path) -> str:
    return str(paper.relative_to(ROOT))


def read_blocks(paper: Path) -> list[tuple[str, str]]:
    """Language and content of each block of code."""
    return BLOCK.findall(paper.read_text())


def read_prose(paper: Path) -> str:
    """A paper without its front matter and its blocks of code."""
    text = BLOCK.sub("", paper.read_text())
    return text.split("---\n", 2)[2] if text.startswith("---\n") else text


def read_links(paper: Path) -> list[str]:
    """The targets of links and pictures, in order."""
    prose = CODE.sub("", read_prose(paper))
    return ["".join(found) for found in LINK.findall(prose)]


def read_anchors(paper: Path) -> set[str]:
    """What GitHub makes of a paper's headings."""
    headings = (re.sub(r"[`*]", "", heading) for heading in HEADING.findall(read_prose(paper)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def read_skeleton(paper: Path) -> list[str]:
    """What stands at the beginning of a paper's headings, rows of tables and items of lists."""
    return re.findall(r"^(#+ |\||- )", read_prose(paper), re.MULTILINE)


def read_commands(paper: Path) -> list[list[str]]:
    """The words of all commands that run the app, in blocks of bash and within lines."""
    blocks = (content for kind, content in read_blocks(paper) if kind == "bash")
    lines = [*"".join(blocks).splitlines(), *CODE.findall(read_prose(paper))]
    commands = (command.strip() for line in lines for command in line.split(" && "))
    return [shlex.split(command, comments=True) for command in commands if OURS.match(command)]


def is_refused(words: list[str]) -> bool:
    """Whether the command line, or the settings, do not understand a command."""
    arguments = words[words.index("phi3v") + 1 :] if "phi3v" in words else words[1:]
    try:
        if arguments[0] in ("app.py", "serve"):
            read_settings(arguments[1:])
        else:
            build_parser().parse_args(arguments)
    except SystemExit as end:  # --help ends with 0
        return bool(end.code)
    return False


@pytest.mark.parametrize("paper", TRANSLATIONS, ids=name_of)
def test_a_translated_readme_has_the_same_commands_and_links(paper: Path) -> None:
    def is_no_language(link: str) -> bool:
        return not link.startswith("README")

    assert read_blocks(paper) == read_blocks(README)
    assert [*filter(is_no_language, read_links(paper))] == [
        *filter(is_no_language, read_links(README))
    ]


@pytest.mark.parametrize("paper", TRANSLATIONS, ids=name_of)
def test_a_translated_readme_has_the_same_skeleton_and_names(paper: Path) -> None:
    assert read_skeleton(paper) == read_skeleton(README)
    assert set(CODE.findall(read_prose(paper))) == set(CODE.findall(read_prose(README)))


def test_the_readme_has_one_line_of_tests_for_ci() -> None:
    (line,) = [line for line in README.read_text().splitlines() if "-m pytest" in line]
    assert ("bash", f"{line}\n") in read_blocks(README)


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(paper: Path) -> None:
    for link in read_links(paper):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (paper.parent / path).resolve() if path else paper
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in read_anchors(target), link


@pytest.mark.parametrize("paper", GUIDES, ids=name_of)
def test_every_named_source_exists(paper: Path) -> None:
    text = paper.read_text()
    named = re.findall(r"(?<![\w./-])((?:phi3v|tests)/[\w*./-]*)", text)
    assert [path for path in named if not any(ROOT.glob(path.rstrip("/.")))] == []


def test_every_file_beside_its_package_exists() -> None:
    rows = re.findall(
        r"^\| `(phi3v/[\w/]+/)` \|(.*)$",
        (ROOT / "docs/architecture.md").read_text(),
        re.MULTILINE,
    )
    files = [
        ROOT / folder / name for folder, row in rows for name in re.findall(r"`(\w+\.py)`", row)
    ]
    assert files
    assert [str(file) for file in files if not file.is_file()] == []


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_command_is_understood(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PHI3V_{name.upper()}", raising=False)
    assert [shlex.join(words) for words in read_commands(paper) if is_refused(words)] == []


def test_commands_are_found() -> None:
    found = [words for paper in PAPERS for words in read_commands(paper)]
    assert ["phi3v", "compare", "before.png", "after.png"] in found
    assert ["python", "app.py", "--mcp"] in found
    assert [".venv/bin/python", "app.py"] in found


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_no_paper_names_a_folder_of_one_machine(paper: Path) -> None:
    assert MACHINE_PATH.findall(paper.read_text()) == []
