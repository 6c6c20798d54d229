"""OCR of documents, page by page. Must not know the chat's events."""
