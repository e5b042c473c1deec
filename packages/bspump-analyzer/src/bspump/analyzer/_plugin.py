"""What bspump-analyzer adds to BSPump."""

from __future__ import annotations

from bspump.plugins import Component, Kind, hookimpl

COMPONENTS = (
    Component(
        Kind.SOURCE,
        "MatrixSource",
        "bspump.matrix.matrixsource:MatrixSource",
        "Emits the matrix itself, once in each cycle; a `MatrixExportCSVGenerator` makes rows of it.",
    ),
    Component(
        Kind.PROCESSOR,
        "GeoAnalyzer",
        "bspump.analyzer.geoanalyzer:GeoAnalyzer",
        "An analyzer with a map. Derive from it, and override `evaluate` and `analyze`.",
    ),
    Component(
        Kind.PROCESSOR,
        "LatchAnalyzer",
        "bspump.analyzer.latchanalyzer:LatchAnalyzer",
        "Keeps the latest events that match a query.",
    ),
    Component(
        Kind.PROCESSOR,
        "SessionAnalyzer",
        "bspump.analyzer.sessionanalyzer:SessionAnalyzer",
        "An analyzer with a matrix of sessions. Derive from it, and override `evaluate` and `analyze`.",
    ),
    Component(
        Kind.PROCESSOR,
        "ThresholdAnalyzer",
        "bspump.analyzer.thresholdanalyzer:ThresholdAnalyzer",
        "Adds up a value by name and interval, and calls `alarm` where it is out of bounds in several intervals.",
    ),
    Component(
        Kind.PROCESSOR,
        "TimeDriftAnalyzer",
        "bspump.analyzer.timedriftanalyzer:TimeDriftAnalyzer",
        "Measures how far the times of events are behind the clock, in milliseconds.",
    ),
    Component(
        Kind.PROCESSOR,
        "TimeWindowAnalyzer",
        "bspump.analyzer.timewindowanalyzer:TimeWindowAnalyzer",
        "An analyzer with a time window. Derive from it, and override `evaluate` and `analyze`.",
    ),
    Component(
        Kind.PROCESSOR,
        "AnomalyAnalyzer",
        "bspump.anomaly.anomaly:AnomalyAnalyzer",
        "An analyzer that opens anomalies and sees them end. Derive from it and override `evaluate` and `on_closed`.",
    ),
    Component(
        Kind.GENERATOR,
        "GeoMatrixExportCSVGenerator",
        "bspump.matrix.matrixsource:GeoMatrixExportCSVGenerator",
        "A `MatrixExportCSVGenerator` of a `GeoMatrix`.",
    ),
    Component(
        Kind.GENERATOR,
        "MatrixExportCSVGenerator",
        "bspump.matrix.matrixsource:MatrixExportCSVGenerator",
        "Takes a matrix and emits each open row as a dictionary, as it was when the matrix came; for a CSV file, say.",
    ),
    Component(
        Kind.GENERATOR,
        "NamedMatrixExportCSVGenerator",
        "bspump.matrix.matrixsource:NamedMatrixExportCSVGenerator",
        "A `MatrixExportCSVGenerator` of a `NamedMatrix`.",
    ),
    Component(
        Kind.GENERATOR,
        "SessionMatrixExportCSVGenerator",
        "bspump.matrix.matrixsource:SessionMatrixExportCSVGenerator",
        "A `MatrixExportCSVGenerator` of a `SessionMatrix`; the names are under its ``primary_name``.",
    ),
    Component(
        Kind.GENERATOR,
        "TimeWindowMatrixExportCSVGenerator",
        "bspump.matrix.matrixsource:TimeWindowMatrixExportCSVGenerator",
        "A `MatrixExportCSVGenerator` of a `TimeWindowMatrix`.",
    ),
    Component(
        Kind.LOOKUP,
        "MatrixLookup",
        "bspump.lookup.matrixlookup:MatrixLookup",
        "Looks up the rows of a `NamedMatrix` by their names, and, with indexes, by what is in them.",
    ),
)


@hookimpl
def bspump_components() -> tuple[Component, ...]:
    """Return the components of this distribution."""
    return COMPONENTS
