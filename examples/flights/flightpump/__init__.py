"""A job on real data: every flight that left New York, enriched, sorted and counted by linked pipelines."""
