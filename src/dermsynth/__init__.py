"""dermsynth: do synthetic dermoscopy images help my classifier?"""

__version__ = "0.1.0"
