"""What several parts of aconcur share. Nothing here is public."""
