"""Networks: a backbone from images to features, one file per family, and the head that scores classes."""
