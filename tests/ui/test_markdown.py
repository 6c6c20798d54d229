"""Markdown is disarmed: HTML is text, images are links, code and plain words stay as they are."""

import pytest

from phi3v.ui.markdown import disarm, disarm_question, rearm_question


@pytest.mark.parametrize(
    "text",
    [
        "plain *words* and [a link](http://a.example/b)",
        "a < b & c > d, 5! and [1]",
        "line<br>line, H<sub>2</sub>O, <b>bold</b>, <br />",
        "<https://a.example/b>",
        "`<img src=x>` and ``![a](b) ` <b c>``",
        "```html\n<img src=x>\n![a](b)\n```",
        "~~~\n![a](b)",
        "| a | b |\n|---|---|\n| 1 | 2 |",
    ],
)
def test_what_loads_nothing_stays(text: str) -> None:
    assert disarm(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see ![cat](http://a/b)", "see &#33;[cat](http://a/b)"),
        ("![](http://a/b)", "&#33;[http://a/b](http://a/b)"),
        ("![ ](<http://a/b>)", "&#33;[http://a/b](<http://a/b>)"),
        ("![a][b]\n\n[b]: http://a", "&#33;[a][b]\n\n[b]: http://a"),
        ("![![a](b)](c)", "&#33;[&#33;[a](b)](c)"),
        ("\\\\![a](b)", "\\\\&#33;[a](b)"),
        ("<IMG SRC=x>", "&lt;IMG SRC=x>"),
        ("<br onload=x> <b\nc>", "&lt;br onload=x> &lt;b\nc>"),
        ("<!-- x --> <?x?> </form>", "&lt;!-- x --> &lt;?x?> &lt;/form>"),
        ("> ```Mermaid\n> A", "> ```text Mermaid\n> A"),
        ("`open ![a](b)\n\nnext` ![c](d)", "`open &#33;[a](b)\n\nnext` &#33;[c](d)"),
    ],
)
def test_what_would_load_something_is_disarmed(text: str, expected: str) -> None:
    assert disarm(text) == expected


@pytest.mark.parametrize("text", ["![a](b) !\\[", "```mermaid\nA-->B\n```", "wow! [x]"])
def test_an_edited_question_is_what_was_typed(text: str) -> None:
    assert rearm_question(disarm_question(text)) == text
