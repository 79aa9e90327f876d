"""Photographs to masks, overlays, outlines and tables."""
