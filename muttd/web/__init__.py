"""What people see: the page, and the API that the page is one more client of."""

from muttd.web.server import web_application

__all__ = ["web_application"]
