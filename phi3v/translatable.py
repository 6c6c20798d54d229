"""English texts that remember what they were made of, so that a page can say them in other words.

Knows no other language: the page has those.
"""


class Text(str):
    """The English text of a template filled in with values; a plain str for whoever asks no more.

    A value that is itself a text for people should be a Text too.
    """

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> "Text":
        """Fill the values in; without any, the template is taken as it is."""
        text = super().__new__(cls, template.format(**values) if values else template)
        text.template, text.values = template, values
        return text
