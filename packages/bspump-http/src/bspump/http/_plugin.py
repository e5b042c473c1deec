"""What bspump-http adds to BSPump."""

from __future__ import annotations

from bspump.plugins import Component, Kind, hookimpl

COMPONENTS = (
    Component(
        Kind.SOURCE,
        "HTTPClientCSVSource",
        "bspump.http.csvsource:HTTPClientCSVSource",
        "Makes a dictionary of each row, while the response arrives. Blank rows are left out.",
    ),
    Component(
        Kind.SOURCE,
        "HTTPClientLineSource",
        "bspump.http.linesource:HTTPClientLineSource",
        "Makes an event of each line of the response, as text without its newline, while the response arrives.",
    ),
    Component(
        Kind.SOURCE,
        "HTTPClientSource",
        "bspump.http.source:HTTPClientSource",
        "Makes a request each time its trigger fires; the body of the response is an event, as bytes.",
    ),
    Component(
        Kind.SOURCE,
        "HTTPClientTextSource",
        "bspump.http.source:HTTPClientTextSource",
        "As `HTTPClientSource`, with the body as text.",
    ),
    Component(
        Kind.SOURCE,
        "WebServiceSource",
        "bspump.http.webservicesource:WebServiceSource",
        "Makes an event of each request, as bytes: the body.",
    ),
    Component(
        Kind.SOURCE,
        "WebSocketSource",
        "bspump.http.websocketsource:WebSocketSource",
        "Makes an event of each message: a text message is a ``str``, a binary one ``bytes``.",
    ),
    Component(
        Kind.SINK,
        "HTTPClientSink",
        "bspump.http.sink:HTTPClientSink",
        "Sends events by HTTP requests, many in one. What is answered with an accepted status counts as durable.",
    ),
    Component(
        Kind.SINK,
        "HTTPClientWebSocketSink",
        "bspump.http.websocketsink:HTTPClientWebSocketSink",
        "Sends each event as a message: bytes as a binary one, text as a text one.",
    ),
    Component(
        Kind.SINK,
        "WebServiceSink",
        "bspump.http.webservicesink:WebServiceSink",
        "Writes each event into the response that its context names: bytes as they are, text in UTF-8.",
    ),
    Component(
        Kind.LOOKUP_PROVIDER,
        "http",
        "bspump.http.lookupprovider:HTTPBatchLookupProvider",
        "Loads the content of a lookup from a URL, such as that of another pump's lookup (``/bspump/v1/lookup/<id>``).",
    ),
    Component(
        Kind.LOOKUP_PROVIDER,
        "https",
        "bspump.http.lookupprovider:HTTPBatchLookupProvider",
        "Loads the content of a lookup from a URL, such as that of another pump's lookup (``/bspump/v1/lookup/<id>``).",
    ),
)


@hookimpl
def bspump_components() -> tuple[Component, ...]:
    """Return the components of this distribution."""
    return COMPONENTS
