"""The pages: their templates, what they read, their charts, pictures and languages."""
