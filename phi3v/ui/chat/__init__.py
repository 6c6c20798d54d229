"""Chat tabs: one session's conversation about its images. Must not know the page around them."""
