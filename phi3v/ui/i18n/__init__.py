"""Languages of the page and their catalogs. Must not know tabs and events."""
