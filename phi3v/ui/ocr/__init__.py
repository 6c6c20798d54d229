"""OCR of documents, page by page."""
