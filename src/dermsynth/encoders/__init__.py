"""Encoders: images in, features out. Distances between images are distances between features: name the encoder."""
