"""report.html: one file of one or several run folders, or of claims, to look at by itself."""
