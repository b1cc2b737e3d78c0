"""Pools: cohorts of synthetic images, and how they may join real ones."""
