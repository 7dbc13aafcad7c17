"""The report: its template, what it reads, its charts and its pictures."""
