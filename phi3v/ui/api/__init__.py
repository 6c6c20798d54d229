"""Endpoints for API clients and tools for agents. Must not know the page's tabs."""
