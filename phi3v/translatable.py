"""English messages that keep their template and values, so that a page can translate them.

Must not know other languages: the page has the catalogs.
"""


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
