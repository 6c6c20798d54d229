"""Who may call the app: host names, origins, logins, and the headers that bind browsers.

Knows requests and headers; must not know what the page or its endpoints do.
"""
