"""Translates Gradio's aria-labels and titles, which only screen readers and tooltips show.

Gradio writes them in English in every language. A catalog's [labels] translates them, and a script
replaces them wherever they appear on the page. Knows no label of the page's own.
"""

import json
from typing import Final

from phi3v.ui.i18n.languages import Language

# Templates: a name in braces matches any text.
LABELS: Final = (
    *("Click to upload or drop files", "File upload", "Delete image", "Remove this file"),
    *("Thumbnail {number} of {total}", "detailed view of selected image", "capture photo"),
    *("Copy", "Copy conversation", "Download", "Fullscreen", "Close", "More tabs"),
    *("chatbot conversation", "bot's message: {text}", "user's message: {text}"),
    *("number input for {name}", "range slider for {name}", "Reset to default value", "undo"),
    "Gradio footer navigation",
)
SCRIPT: Final = """<script>
{
  const attributes = ["aria-label", "title"];
  const names = Object.entries(LABELS).map(([english, said]) => [
    new RegExp("^" + english.replace(/{(\\w+)}/g, "(?<$1>.*)") + "$", "s"), said
  ]);
  const tell = (element) => {
    for (const attribute of attributes) {
      const value = element.getAttribute(attribute);
      for (const [english, said] of value ? names : []) {
        const found = value.match(english);
        if (!found) continue;
        element.setAttribute(attribute, said.replace(/{(\\w+)}/g, (_, name) => found.groups[name]));
        break;
      }
    }
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") tell(change.target);
      for (const added of change.addedNodes) {
        if (added.nodeType !== Node.ELEMENT_NODE) continue;
        tell(added);
        added.querySelectorAll("[aria-label], [title]").forEach(tell);
      }
    }
  }).observe(document, {
    childList: true, subtree: true, attributes: true, attributeFilter: attributes
  });
}
</script>"""


def script_labels(language: Language) -> str:
    """Return the script that translates labels into a language; "" for English."""
    if not language.labels:
        return ""
    labels = json.dumps(dict(language.labels)).replace("<", "\\u003c")
    return SCRIPT.replace("LABELS", labels)
