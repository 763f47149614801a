"""report.html: one file of one or several run folders, to look at without anything else."""
