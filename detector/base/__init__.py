"""What every room needs, and nothing else: errors, signs of progress, whole files, params.yaml, where artefacts are."""
