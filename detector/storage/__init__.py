"""What is elsewhere: downloads, archives, and Google Cloud Storage: one client, one translation of errors."""
