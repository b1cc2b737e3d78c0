"""What every other folder stands on: errors, configuration, counted randomness and artefact folders."""
