"""The report: its template and its charts."""
