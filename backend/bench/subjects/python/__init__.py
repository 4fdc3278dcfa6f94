"""The measured systems that are written in Python."""
