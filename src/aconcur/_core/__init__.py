"""Code that several packages of aconcur share. Nothing here is public."""
