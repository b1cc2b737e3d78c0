"""`python -m dermsynth`, which `torchrun -m dermsynth train …` needs."""

from dermsynth.cli import main

main()
