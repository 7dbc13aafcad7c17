"""What every room needs, and nothing else: errors, whole files, params.yaml, where artefacts are."""
