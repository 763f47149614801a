"""What is measured of a run and shown of it: a folder for each study."""
