"""Reports that are made of the read models: for those who were not there."""
