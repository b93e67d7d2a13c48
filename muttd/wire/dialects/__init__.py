"""Dialects: how single vendors depart from the RFCs, one file each."""
