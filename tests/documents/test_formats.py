"""Files beside pictures are refused by name, with what to do; those that phones make are read."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from support.cases import CASES, draw_sign

from phi3v.documents.images import measure_image, open_image
from phi3v.documents.pages import Page, Problem, find_pages, open_pages
from phi3v.request import RequestError


def refuse(path: Path) -> str:
    with pytest.raises(RequestError) as refusal:
        open_image(path)
    return str(refusal.value)


def make_archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def test_a_heic_photo_is_read(tmp_path: Path) -> None:
    import pillow_heif

    path = tmp_path / "IMG_1.HEIC"
    pillow_heif.from_pillow(draw_sign("RGB", (128, 64))).save(path, quality=90)
    assert measure_image(path) == (128, 64)
    image = open_image(path)
    assert image.getpixel((10, 10))[0] < 60 < image.getpixel((120, 60))[0]
    assert [page.name for page in find_pages([path])] == ["IMG_1.HEIC"]


@pytest.mark.parametrize("name", ["a.tga", "a.jp2", "a.j2k", "a.ico", "a.bmp", "a.ppm"])
def test_other_formats_are_read(tmp_path: Path, name: str) -> None:
    draw_sign("RGB").save(tmp_path / name)
    image = open_image(tmp_path / name)
    x, y = image.width // 4, image.height // 4
    assert image.getpixel((x, y))[0] < 60 < image.getpixel((image.width - 3, image.height - 3))[0]


def test_of_an_mpo_the_first_picture_is_opened() -> None:
    (page,) = find_pages([CASES / "both.mpo"])
    assert page.open().size == measure_image(CASES / "both.mpo")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cut.avif", "cut.avif is a damaged AVIF"),
        ("cut-half-header.avif", "is a damaged AVIF"),
        ("escape_RuntimeError_1010.avif", "is a damaged AVIF"),
        ("brand-heis.heic", "is a damaged HEIC photo"),
        ("cut.gif", "is a damaged GIF"),
        ("cut.webp", "is a damaged WebP"),
        ("locked.pdf", "a PDF document"),
    ],
)
def test_what_is_broken_is_called_by_its_name(name: str, found: str) -> None:
    assert found in refuse(CASES / name)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (make_archive("[Content_Types].xml", "word/document.xml"), "a Word document"),
        (make_archive("[Content_Types].xml", "xl/workbook.xml"), "an Excel sheet"),
        (make_archive("[Content_Types].xml", "ppt/presentation.xml"), "a PowerPoint"),
        (b"PK\3\4" + bytes(26) + b"mimetypeapplication/vnd.oasis.opendocument.text", "office"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(90), "an office document"),
        (b"{\\rtf1 Hello}", "an office document"),
    ],
)
def test_an_office_document_is_to_be_saved_as_pdf(tmp_path, content, found) -> None:
    path = tmp_path / "paper"
    path.write_bytes(content)
    message = refuse(path)
    assert found in message
    assert "save it as PDF" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (make_archive("a.png", "b.png"), "a ZIP archive"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?>\n<svg width="4"/>', "an SVG drawing"),
        (b"\0\0\0\x18ftypcrx " + bytes(90), "a raw photo"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(90), "a raw photo"),
        (b"8BPS\0\1" + bytes(90), "a Photoshop document"),
        (b"\xff\x0a" + bytes(90), "a JPEG XL picture"),
    ],
)
def test_other_documents_are_named(tmp_path, content, found) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)
    assert found in refuse(path)


def test_a_dng_s_preview_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "raw.dng"
    draw_sign("RGB").save(path, "TIFF", tiffinfo={50706: b"\1\4\0\0", 254: 1})
    assert "is a raw photo" in refuse(path)


def test_a_folder_is_read_in_natural_order_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    for name in ("page10.png", "page2.png", "Page1.png", "nosuffix"):
        draw_sign("RGB").save(tmp_path / name, "PNG")
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / "readme.txt").write_text("words")
    (tmp_path / "IMG_1.heic").write_bytes((CASES / "brand-heis.heic").read_bytes())
    (tmp_path / "sub").mkdir()
    opened = list(open_pages(find_pages([tmp_path])))
    names = [page.name if isinstance(page, Problem) else page[0].name for page in opened]
    assert names == [
        "IMG_1.heic", "nosuffix", "notes.docx", "Page1.png", "page2.png", "page10.png",
        "readme.txt", "sub",
    ]  # fmt: skip
    problems = {page.name: page for page in opened if isinstance(page, Problem)}
    assert "save it as PDF" in problems["notes.docx"].message
    assert {name for name, found in problems.items() if found.is_left_out} == {
        "notes.docx", "readme.txt", "sub",
    }  # fmt: skip


@pytest.mark.parametrize("source", ["data:image/png;base64," + "A" * 6000, "n" * 300, "a\0b.png"])
def test_a_name_that_is_none_is_one_problem(tmp_path: Path, source: str) -> None:
    good = tmp_path / "a.png"
    draw_sign().save(good)
    found = list(find_pages([source, good]))
    assert [type(page) for page in found] == [Problem, Page]
    assert len(found[0].message) < 200


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, KeyError, OSError, AssertionError])
def test_nothing_a_decoder_raises_ends_a_batch(tmp_path, monkeypatch, error) -> None:
    for name in ("a.png", "b.png"):
        draw_sign().save(tmp_path / name)
    from phi3v.documents import decoding

    calls = []

    def fail(image, is_wide):
        calls.append(image)
        if len(calls) == 1:
            raise error("broken")
        return image.convert("RGB")

    monkeypatch.setattr(decoding, "flatten", fail)
    opened = list(open_pages(find_pages([tmp_path])))
    assert [isinstance(page, Problem) for page in opened] == [True, False]


def test_an_earlier_locked_pdf_does_not_lock_the_next() -> None:
    sources = [CASES / "locked.pdf", CASES / "broken-no-pages.pdf"]
    locked, broken = find_pages(sources)
    assert "locked with a password" in locked.message
    assert "cannot be opened" in broken.message


@pytest.mark.parametrize("path", sorted(CASES.glob("broken-*.pdf")), ids=lambda path: path.stem)
def test_a_broken_pdf_is_refused_as_broken_not_as_slow(path: Path) -> None:
    for problem in open_pages(find_pages([path])):
        assert isinstance(problem, Problem)
        assert "longer than" not in problem.message
        assert "garbled" in problem.message or "damaged" in problem.message


def test_a_page_s_own_text_is_offered(tmp_path: Path) -> None:
    path = tmp_path / "text.pdf"
    path.write_bytes(make_text_pdf(b"BT /F1 24 Tf 40 90 Td (Hello there) Tj ET"))
    (page,) = find_pages([path])
    assert page.read_text() == "Hello there"
    assert page.explain_blank(page.open()) is None


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "is empty: nothing is printed"), (b"1 1 1 rg 10 10 50 50 re f", "blank when drawn")],
)
def test_a_page_without_ink_is_told(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "blank.pdf"
    path.write_bytes(make_text_pdf(content))
    (page,) = find_pages([path])
    assert found in page.explain_blank(page.open())


def make_text_pdf(content: bytes) -> bytes:
    """A PDF of one page with this content; PDFium finds the objects without a table of them."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 150]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    body = b"".join(b"%d 0 obj%sendobj\n" % pair for pair in enumerate(objects, 1))
    return b"%%PDF-1.4\n%strailer<</Size 6/Root 1 0 R>>" % body


def test_a_jpeg_of_many_scans_is_decoded_in_the_worker(tmp_path: Path) -> None:
    from phi3v.documents import images

    path = tmp_path / "scans.jpg"
    Image.effect_noise((60, 60), 50).save(path, progressive=True)
    with path.open("rb") as file, Image.open(file) as image:
        assert images.is_quick(image, file)
    path.write_bytes(path.read_bytes() + images.START_OF_SCAN * 50)
    with path.open("rb") as file, Image.open(file) as image:
        assert not images.is_quick(image, file)
