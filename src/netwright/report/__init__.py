"""The report: statistics, verdict, plots, overlays and diagrams in one HTML file."""
