"""Programs for people who change aconcur. Run them from a checkout; none of them is installed."""
