"""Languages of the page and their catalogs."""
