"""mutt, the Multi-Use Telemetry Tool."""

__version__ = "0.1.0"
