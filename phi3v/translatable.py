"""English messages that keep their template and values, so that a page can translate them.

Must not know other languages: the page has the catalogs.
"""

from collections.abc import Sequence


class Text(str):
    """A str, formatted from a template and values, that keeps both for translation.

    A value that is itself shown in the user's language should be a Text too.
    """

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> "Text":
        """Format the template with the values; without values it is used verbatim."""
        text = super().__new__(cls, template.format(**values) if values else template)
        text.template, text.values = template, values
        return text


def join_texts(texts: Sequence[str], between: str) -> Text:
    """Return several texts as one that can still be translated part by part."""
    names = [f"text{number}" for number in range(len(texts))]
    template = between.join(f"{{{name}}}" for name in names)
    return Text(template, **dict(zip(names, texts, strict=True)))
