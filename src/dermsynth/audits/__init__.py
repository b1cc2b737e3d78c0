"""Somebody's files or numbers -> findings."""
