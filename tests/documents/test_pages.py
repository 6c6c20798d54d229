"""Images, PDFs, folders and addresses become pages; unreadable ones become problems."""

import io
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from phi3v.documents.pages import (
    LONGER_SIDE_LIMITS,
    MAX_PAGE_PIXELS,
    Page,
    Problem,
    choose_scale,
    find_pages,
    open_pages,
    parse_ranges,
)
from phi3v.request import RequestError

COLOURS = ("red", "green", "blue", "orange", "purple")


def make_pdf(path: Path, pages: int = 5, size: tuple[int, int] = (210, 297)) -> Path:
    first, *others = [Image.new("RGB", size, colour) for colour in COLOURS[:pages]]
    first.save(path, "PDF", save_all=True, append_images=others)
    return path


def make_image(path: Path, colour: str = "red") -> Path:
    Image.new("RGB", (30, 20), colour).save(path)
    return path


def break_page(path: Path, number: int) -> Path:
    """Give page `number` a wrong object type of equal length, so that no offset changes."""
    content = path.read_bytes()
    offsets = [i for i in range(len(content)) if content.startswith(b"/Type /Page\n", i)]
    at = offsets[number - 1]
    path.write_bytes(content[:at] + b"/Type /Fake\n" + content[at + 12 :])
    return path


def names(found: list[Page | Problem]) -> list[str]:
    return [page.name for page in found if isinstance(page, Page)]


def only_problem(found: list[Page | Problem]) -> str:
    (problem,) = [page for page in found if isinstance(page, Problem)]
    return problem.message


def test_a_pdf_becomes_its_pages_in_order(tmp_path: Path) -> None:
    opened = list(open_pages(find_pages([make_pdf(tmp_path / "five.pdf")])))
    colours = [image.getpixel((5, 5)) for _, image in opened]
    assert [page.name for page, _ in opened][:2] == ["five.pdf, page 1", "five.pdf, page 2"]
    assert colours[0][0] > 240 > 100 > colours[0][2]
    assert colours[2][2] > 240 > 100 > colours[2][0]
    assert len(opened) == 5


def test_a_range_selects_pages_of_pdfs_but_not_images(tmp_path: Path) -> None:
    sources = [make_image(tmp_path / "a.png"), make_pdf(tmp_path / "b.pdf")]
    assert names(list(find_pages(sources, "4-,1"))) == [
        "a.png",
        "b.pdf, page 1",
        "b.pdf, page 4",
        "b.pdf, page 5",
    ]


@pytest.mark.parametrize("text", ["a", "1-3-5", "0-2", "5-2", "1,,2", "1 2", "-3", "9" * 20])
def test_a_bad_range_is_refused_before_anything_is_read(text: str) -> None:
    with pytest.raises(RequestError, match="pages"):
        list(find_pages([], text))


def test_spaces_in_ranges_are_ignored() -> None:
    assert parse_ranges(" 1 - 3 , 7,9-") == ((1, 3), (7, 7), (9, None))


def test_pages_beyond_the_end_are_reported_with_the_page_count(tmp_path: Path) -> None:
    found = list(find_pages([make_pdf(tmp_path / "b.pdf")], "9"))
    assert "b.pdf has 5 pages" in only_problem(found)


def test_a_damaged_page_is_reported_and_the_others_are_opened(tmp_path: Path) -> None:
    path = break_page(make_pdf(tmp_path / "five.pdf"), 3)
    opened = list(open_pages(find_pages([path])))
    assert [isinstance(page, Problem) for page in opened] == [False, False, True, False, False]
    assert "five.pdf, page 3 cannot be drawn" in opened[2].message


def test_a_damaged_file_is_reported_and_the_others_are_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing more")
    found = list(find_pages([broken, make_image(tmp_path / "a.png"), tmp_path / "gone.png"]))
    assert [type(page) for page in found] == [Problem, Page, Problem]
    assert "broken.pdf begins like a PDF" in found[0].message
    assert "gone.png is not there" in found[2].message


def test_an_encrypted_pdf_is_reported_as_locked(tmp_path: Path) -> None:
    locked = tmp_path / "locked.pdf"
    locked.write_bytes(make_locked_pdf())
    assert "locked.pdf is locked with a password" in only_problem(list(find_pages([locked])))


def make_locked_pdf() -> bytes:
    """Return a PDF whose encryption dictionary matches no password, so that PDFium needs one."""
    objects = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        f"<</Filter/Standard/V 2/R 3/Length 128/P -4/O<{'61' * 32}>/U<{'62' * 32}>>>",
    )
    body = "".join(f"{number} 0 obj{text}endobj\n" for number, text in enumerate(objects, 1))
    # Without a cross-reference table: PDFium finds the objects itself.
    return f"%PDF-1.4\n{body}trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<61><61>]>>".encode()


def test_a_folder_yields_its_images_and_pdfs_by_name(tmp_path: Path) -> None:
    make_pdf(tmp_path / "b.pdf", pages=1)
    make_image(tmp_path / "c.PNG")
    make_image(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    assert names(list(find_pages([tmp_path]))) == ["a.jpg", "b.pdf, page 1", "c.PNG"]


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    assert "holds no picture" in only_problem(list(find_pages([tmp_path])))


def test_an_address_may_be_a_pdf(tmp_path: Path) -> None:
    content = make_pdf(tmp_path / "x.pdf", pages=2).read_bytes()
    asked = []

    def fetch(url: str) -> tuple[bytes, str]:
        asked.append(url)
        return content, "x.pdf"

    opened = list(open_pages(find_pages(["https://example.org/x.pdf"], fetch=fetch)))
    assert [page.name for page, _ in opened] == ["x.pdf, page 1", "x.pdf, page 2"]
    assert asked == ["https://example.org/x.pdf"]


def test_a_refused_address_is_a_problem() -> None:
    found = list(find_pages(["http://127.0.0.1/a.png"]))
    assert "not on the public internet" in only_problem(found)


def test_pages_over_the_limit_are_left_out_and_reported(tmp_path: Path) -> None:
    found = list(find_pages([make_pdf(tmp_path / "five.pdf")], most_pages=3))
    assert len(names(found)) == 3
    assert "page 4 and what comes after it are left out: 3 pages" in only_problem(found)


def test_the_size_of_a_rendered_page_is_limited() -> None:
    least, most = LONGER_SIDE_LIMITS
    a4 = choose_scale(595, 842)
    assert (round(595 * a4), round(842 * a4)) == (1653, 2339)
    assert choose_scale(10, 5) * 10 == pytest.approx(least)
    assert choose_scale(200, 100_000) * 100_000 == pytest.approx(most)
    scale = choose_scale(14_400, 14_400)
    assert scale * 14_400 * scale * 14_400 <= MAX_PAGE_PIXELS * 1.001


def test_equal_files_have_the_same_content_hash(tmp_path: Path) -> None:
    first, second = make_image(tmp_path / "a.png"), make_image(tmp_path / "b.png")
    other = make_image(tmp_path / "c.png", "blue")
    one, two, three = [page.content for page in find_pages([first, second, other])]
    assert one == two != three


def test_a_rotated_page_is_rendered_upright(tmp_path: Path) -> None:
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 100).set_rotation(90)
    buffer = io.BytesIO()
    document.save(buffer)
    path = tmp_path / "turned.pdf"
    path.write_bytes(buffer.getvalue())
    ((_, image),) = open_pages(find_pages([path]))
    assert image.height == 2 * image.width
